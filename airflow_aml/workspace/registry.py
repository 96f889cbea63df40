"""The registry: what a workspace knows by name, as small JSON documents.

::

    registry/<kind>/<name>/<version>.json      kinds with versions: 1.json, 2.json, ...
    registry/<kind>/<name>.json                kinds without: one document, replaced whole
    registry/<kind>/.ids/<id>.json             which name a document with an "id" belongs to

A version is made by an exclusive create of its file, so of many writers each gets a number of its
own and none is lost. Names are written as :mod:`~airflow_aml.workspace.names` says.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.workspace.documents import parse_json
from airflow_aml.workspace.names import file_name, name_of
from airflow_aml.workspace.stores.base import Store

REGISTRY_VERSION = 1
LATEST = "latest"

_SUFFIX = ".json"
_MOST_TRIES = 1000
_LONGEST_WAIT = 2.0

Document = Dict[str, Any]


class Registry:
    """The registry of one workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, kind: str, name: str, document: Document) -> int:
        """Adds a version and returns its number: 1, 2, ...

        A document with an ``"id"`` is found again by :meth:`by_id`.

        Raises:
            UserErrorException: the name cannot be used.
            WorkspaceException: the store cannot be written.
        """
        folder = f"{_place(kind, name)}/"
        version = max(self._numbers(folder), default=0) + 1
        # The id comes first: a version whose id leads nowhere could not be found any more.
        self._write_id(kind, name, document, version)
        first, wait = version, 0.2
        for _ in range(_MOST_TRIES):
            data = _packed(document, version)
            if self._store.create(f"{folder}{version}{_SUFFIX}", data):
                if version != first:
                    self._write_id(kind, name, document, version)
                return version
            # Writers that arrive together would else meet at every number.
            time.sleep(random.uniform(0, wait))  # noqa: S311
            wait = min(2 * wait, _LONGEST_WAIT)
            version = max(version, *self._numbers(folder)) + 1
        raise WorkspaceException(
            f"no version of {name!r} could be made: too many others make some at once.",
            where=self._store.uri(folder.rstrip("/")),
        )

    def get(self, kind: str, name: str, version: Union[int, str] = LATEST) -> Tuple[int, Document]:
        """A version's number and document.

        Raises:
            UserErrorException: there is no such name or version; the text says which there are.
            WorkspaceException: the document is damaged, or of a later release.
        """
        number = _number(version)
        if number is None:
            number = self.versions(kind, name)[-1]
        path = f"{_place(kind, name)}/{number}{_SUFFIX}"
        try:
            return number, self._read(path)
        except FileNotFoundError:
            known = ", ".join(str(each) for each in self.versions(kind, name))
            raise UserErrorException(
                f"{_one(kind)} {name!r} has no version {number}.", hint=f"Its versions: {known}."
            ) from None

    def update(self, kind: str, name: str, version: int, document: Document) -> None:
        """Replaces the document of a version that there is; of two writers the later one wins.

        Raises:
            UserErrorException: there is no such name or version.
        """
        self.get(kind, name, version)
        path = f"{_place(kind, name)}/{version}{_SUFFIX}"
        self._store.write(path, _packed(document, version))

    def versions(self, kind: str, name: str) -> List[int]:
        """The numbers of a name's versions, ascending.

        Raises:
            UserErrorException: there is no such name; the text lists names like it.
        """
        numbers = self._numbers(f"{_place(kind, name)}/")
        if not numbers:
            raise self._unknown(kind, name)
        return numbers

    def names(self, kind: str) -> List[str]:
        """The names of that kind, sorted."""
        return sorted(
            name_of(each[: -len(_SUFFIX)] if each.endswith(_SUFFIX) else each.rstrip("/"))
            for each in self._store.children(f"{_folder(kind)}/")
            if not each.startswith(".") and each.endswith(("/", _SUFFIX))
        )

    def by_id(self, kind: str, identifier: str) -> Tuple[str, int, Document]:
        """Name, number and document of the version whose document has that ``"id"``.

        Raises:
            UserErrorException: there is none.
        """
        try:
            entry = self._read(_id_path(kind, identifier))
            name, hint = str(entry["name"]), int(entry["version"])
            numbers = self._numbers(f"{_place(kind, name)}/")
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            numbers, name, hint = [], "", 0
        # A writer that was killed between two writes may have left a wrong number.
        for number in sorted(numbers, key=lambda each: (each != hint, -each)):
            document = self._read(f"{_place(kind, name)}/{number}{_SUFFIX}")
            if document.get("id") == identifier:
                return name, number, document
        raise UserErrorException(f"there is no {_one(kind)} with the id {identifier!r}.")

    def put(self, kind: str, name: str, document: Document, overwrite: bool = False) -> None:
        """Stores the document of a kind without versions.

        Raises:
            UserErrorException: there is one of that name, and ``overwrite`` is not set.
        """
        path = f"{_place(kind, name)}{_SUFFIX}"
        data = _packed(document, None)
        if overwrite:
            self._store.write(path, data)
        elif not self._store.create(path, data):
            raise UserErrorException(
                f"there is already a {_one(kind)} named {name!r}.",
                hint="Use another name, or replace it with overwrite=True.",
            )

    def load(self, kind: str, name: str) -> Document:
        """The document of a kind without versions.

        Raises:
            UserErrorException: there is no such name; the text lists names like it.
            WorkspaceException: the document is damaged, or of a later release.
        """
        found = self.try_load(kind, name)
        if found is None:
            raise self._unknown(kind, name)
        return found

    def try_load(self, kind: str, name: str) -> Optional[Document]:
        """The document of a kind without versions; None if there is no such name.

        Raises:
            WorkspaceException: the document is damaged, or of a later release.
        """
        try:
            return self._read(f"{_place(kind, name)}{_SUFFIX}")
        except FileNotFoundError:
            return None

    def remove(self, kind: str, name: str) -> None:
        """Removes the document of a kind without versions.

        Raises:
            UserErrorException: there is no such name.
        """
        path = f"{_place(kind, name)}{_SUFFIX}"
        if not self._store.exists(path):
            raise self._unknown(kind, name)
        self._store.delete([path])

    def _numbers(self, folder: str) -> List[int]:
        stems = (
            each[: -len(_SUFFIX)] for each in self._store.children(folder) if each.endswith(_SUFFIX)
        )
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())

    def _write_id(self, kind: str, name: str, document: Document, version: int) -> None:
        identifier = document.get("id")
        if identifier is not None:
            entry = _packed({"name": name, "version": version}, None)
            self._store.write(_id_path(kind, str(identifier)), entry)

    def _read(self, path: str) -> Document:
        where = self._store.uri(path)
        content = parse_json(self._store.read(path), where)
        if not isinstance(content, dict) or not isinstance(content.get("registry"), int):
            raise WorkspaceException("this document is damaged: it is no entry.", where=where)
        if content["registry"] > REGISTRY_VERSION:
            raise WorkspaceException(
                f"this document was written by a later release (version {content['registry']}; "
                f"this release knows up to {REGISTRY_VERSION}).",
                where=where,
                hint="Upgrade airflow-provider-aml here.",
            )
        document = content.get("document")
        if not isinstance(document, dict):
            raise WorkspaceException("this document is damaged: it holds nothing.", where=where)
        return document

    def _unknown(self, kind: str, name: str) -> UserErrorException:
        known = self.names(kind)
        return UserErrorException(
            f"there is no {_one(kind)} named {name!r}.", hint=_near(name, known)
        )


def _one(kind: str) -> str:
    """What a thing of that kind is called: ``dataset`` of ``datasets``."""
    return kind[:-1] if kind.endswith("s") else kind


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = list(known)
    if not names:
        return "None is registered."
    by_lower = {each.lower(): each for each in names}
    near = [by_lower[each] for each in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    if near:
        return f"Is it {' or '.join(repr(each) for each in near)}?"
    shown = ", ".join(repr(each) for each in names[:10])
    return f"There are: {shown}{', ...' if len(names) > 10 else ''}."


def _number(version: Union[int, str]) -> Union[int, None]:
    """The number that a caller means; None for the latest."""
    if version == LATEST:
        return None
    try:
        return int(version)
    except (TypeError, ValueError):
        raise UserErrorException(
            f"{version!r} is not a version.", hint=f"Versions are numbers, or {LATEST!r}."
        ) from None


def _packed(document: Document, version: Union[int, None]) -> bytes:
    content: Dict[str, Any] = {"registry": REGISTRY_VERSION, "document": document}
    if version is not None:
        content["version"] = version
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()


def _folder(kind: str) -> str:
    return f"registry/{file_name(kind)}"


def _place(kind: str, name: str) -> str:
    return f"{_folder(kind)}/{file_name(name)}"


def _id_path(kind: str, identifier: str) -> str:
    return f"{_folder(kind)}/.ids/{file_name(identifier)}{_SUFFIX}"

"""Registered models: names, versions and files.

::

    registry/model/<name>/<version>.json     {"path", "entry", "tags", "properties", ...}
    models/<id>/...                          a version's files

The files are there before the document, so a version that is found is complete. A version that was
deleted leaves its document, so that its number never means another model.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from airflow_aml.codec import decode, encode
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.registry import Registry

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

KIND = "model"
ALL = "models"
"""What a question is about that is answered by a list of models."""

_DECLARED = "declared_model"


@dataclass(frozen=True)
class ModelVersion:
    """One registered version.

    Attributes:
        path: of its files in the workspace.
        entry: name of the file or folder that was registered, below ``path``.
        is_folder: whether that is a folder.
        created: UTC, ISO 8601.
        origin: ids of the run and step run that registered it.
        details: what else was given: framework, sample data, and the like.
    """

    path: str
    entry: str
    is_folder: bool
    created: str
    description: str = ""
    tags: Dict[str, Any] = field(default_factory=dict)
    properties: Dict[str, Any] = field(default_factory=dict)
    origin: Dict[str, str] = field(default_factory=dict)
    details: Dict[str, Any] = field(default_factory=dict)
    id: str = ""
    deleted: bool = False


Numbered = Tuple[int, ModelVersion]


def register(home: Home, name: str, local: str, version: ModelVersion) -> Numbered:
    """Stores a local file or folder as a model's next version.

    Raises:
        UserErrorException: there is nothing at the path, or the name cannot be used.
        WorkspaceException: the store cannot be written.
    """
    from uuid import uuid4

    identity = str(uuid4())
    entry = os.path.basename(os.path.abspath(local))
    place = f"models/{identity}"
    pairs = [(path, f"{place}/{relative}") for path, relative in _files(local, entry)]
    if not pairs:
        raise UserErrorException(f"there are no files in {local!r}.", where=f"model {name!r}")
    home.store.upload(pairs)
    stored = replace(version, path=place, entry=entry, is_folder=os.path.isdir(local), id=identity)
    return Registry(home.store).create(KIND, name, encode(stored)), stored


def register_once(home: Home, name: str, local: str, version: ModelVersion) -> Tuple[int, bool]:
    """Registers what a file declares, unless that has been done: (version, whether it is new).

    The same files, with the same said of them, are registered once, even if that version was
    deleted since.

    Raises:
        UserErrorException: there is nothing at the path, or the name cannot be used.
    """
    from airflow_aml.workspace.content import digest_tree

    if not os.path.exists(local):
        raise UserErrorException(f"there is no file or folder {local}.")
    content = [name, os.path.basename(local), digest_tree(local).digest]
    said = [*content, version.description, version.tags, version.properties, version.details]
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    registry = Registry(home.store)
    done = registry.try_load(_DECLARED, key)
    if done is None:
        number, _ = register(home, name, local, version)
        try:
            registry.put(_DECLARED, key, {"name": name, "version": number})
        except UserErrorException:  # a run that began just now has done it, too
            delete(home, name, number)
            done = registry.load(_DECLARED, key)
        else:
            return number, True
    return int(done["version"]), False


def get(home: Home, name: str, number: Optional[int] = None) -> Numbered:
    """A version of a model; the latest one when no number is given.

    Raises:
        UserErrorException: there is none; the text says what there is.
    """
    registry = Registry(home.store)
    if number is None:
        for latest in reversed(registry.versions(KIND, name)):
            found = _read(registry, name, latest)
            if not found[1].deleted:
                return found
        raise UserErrorException(f"all versions of model {name!r} have been deleted.")
    found = _read(registry, name, number)
    if found[1].deleted:
        raise _gone(name, number)
    return found


def versions(home: Home, name: Optional[str] = None) -> Iterator[Tuple[str, int, ModelVersion]]:
    """All versions of one or all models, the newest of each name first."""
    registry = Registry(home.store)
    names = registry.names(KIND)
    for each in names if name is None else [name] if name in names else []:
        for number in reversed(registry.versions(KIND, each)):
            found = _read(registry, each, number)[1]
            if not found.deleted:
                yield each, number, found


def listing(found: Iterable[Tuple[str, int, ModelVersion]]) -> str:
    """A digest of all that is known of these versions: whether a list is still the same list."""
    rows = [[name, number, encode(version)] for name, number, version in found]
    return f"sha256:{hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()}"


def update(
    home: Home, name: str, number: int, change: Callable[[ModelVersion], ModelVersion]
) -> ModelVersion:
    """Replaces what is known of a version; of two writers at once the later one wins.

    Raises:
        UserErrorException: there is no such version any more.
    """
    registry = Registry(home.store)
    known = _read(registry, name, number)[1]
    if known.deleted:
        raise _gone(name, number)
    changed = change(known)
    registry.update(KIND, name, number, encode(changed))
    return changed


def delete(home: Home, name: str, number: int) -> None:
    """Removes a version's files; its number is not used again.

    Raises:
        UserErrorException: there is no such version any more.
    """
    version = update(home, name, number, lambda known: replace(known, deleted=True))
    home.store.delete([each.path for each in home.store.find(f"{version.path}/")])


def download(home: Home, version: ModelVersion, folder: str) -> str:
    """Copies a version's files into a local folder and returns the path of what was registered."""
    prefix = f"{version.path}/"
    pairs = []
    for each in home.store.find(prefix):
        target = os.path.join(folder, *each.path[len(prefix) :].split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        pairs.append((each.path, target))
    home.store.download(pairs)
    return os.path.join(folder, version.entry)


def _read(registry: Registry, name: str, number: int) -> Numbered:
    number, document = registry.get(KIND, name, number)
    return number, decode(ModelVersion, document)


def _gone(name: str, number: int) -> UserErrorException:
    return UserErrorException(f"version {number} of model {name!r} has been deleted.")


def _files(local: str, entry: str) -> List[Tuple[str, str]]:
    if not os.path.isdir(local):
        return [(local, entry)]
    found = []
    for root, _, names in os.walk(local):
        below = os.path.relpath(root, local).replace(os.sep, "/")
        prefix = entry if below == "." else f"{entry}/{below}"
        found += [(os.path.join(root, name), f"{prefix}/{name}") for name in names]
    return sorted(found)

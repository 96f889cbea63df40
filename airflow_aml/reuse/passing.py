"""Intermediate data in datastores with ``keep_days``: which of it can go.

Only that counts which a manifest of this workspace names, at the place that v1 gives to an output
whose author names none (``dataset/<run-id>/<output>``, ``azureml/<run-id>/<output>``). A fixed
destination is somebody's place, and so is every other path of a datastore.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace.committed import Committed, parsed
from airflow_aml.workspace.datastores import (
    DatastoreRecord,
    datastore_names,
    load_datastore,
    open_datastore,
)
from airflow_aml.workspace.uris import path_of_uri

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.stores.base import Store

DAY = 86400.0

_MANIFEST, _LEAVING = ".manifest.json", ".leaving.json"
_DATA = "data/"
_PLACE = re.compile(r"(?:dataset|azureml)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/.+")
_SIGNS = re.compile(r"[*?\[]")
_OWN_KINDS = ("registry/datastore/", "registry/default/", "registry/secrets/")


@dataclass(frozen=True)
class Passing:
    """One committed output that may go some day.

    Attributes:
        document: its manifest in the workspace, or what the manifest became when it was to go.
        step: the step run that wrote it.
        path: its place in the datastore.
        seconds: how long the datastore keeps it.
        written: when it was committed, in seconds since 1970; None: before that was noted.
    """

    document: str
    step: str
    datastore: str
    path: str
    uri: str
    bytes: int
    seconds: float
    written: float | None


def passing(home: Home) -> Iterator[Passing]:
    """Every output at such a place of a datastore that keeps intermediate data for so long only.

    Raises:
        WorkspaceException: the workspace cannot be read.
    """
    stores = keeping(home)
    if not stores:
        return
    for each in home.store.find(_DATA):
        step, _, name = each.path[len(_DATA) :].partition("/")
        if "/" in name or not name.endswith((_MANIFEST, _LEAVING)):
            continue
        committed = _read(home, each.path)
        if committed is None:
            continue
        for record in stores:
            path = _inside(record.url, committed.uri)
            match = _PLACE.fullmatch(path or "")
            if path and match and match.group(1) == step and record.keep_days is not None:
                yield Passing(
                    each.path, step, record.name, path, committed.uri, committed.bytes,
                    record.keep_days * DAY, committed.time,
                )  # fmt: skip


def keeping(home: Home) -> list[DatastoreRecord]:
    """The datastores with ``keep_days``; of several for one place the one that keeps longest."""
    records = [load_datastore(home, name) for name in datastore_names(home)]
    by_url: dict[str, DatastoreRecord] = {}
    for each in sorted(records, key=lambda one: one.keep_days or float("inf")):
        by_url[each.url.rstrip("/")] = each
    return [each for url, each in by_url.items() if url and each.keep_days is not None]


class Named:
    """Places in datastores that registered things name, also by a folder above or by a pattern."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._uris: set[str] = set()
        self._anywhere: set[str] = set()

    def read(self, path: str, text: str) -> None:
        """Hears of a document of the registry."""
        if path.startswith(_OWN_KINDS):
            return
        try:
            self._note(json.loads(text))
        except ValueError:
            return  # damaged: the ids in it are kept all the same

    def covers(self, item: Passing) -> bool:
        """Whether one of these places is at, above or inside that output."""
        return any(_meet(each, item.uri) for each in self._uris) or any(
            _meet(each, item.path) for each in self._anywhere
        )

    def _note(self, value: Any) -> None:
        if isinstance(value, Mapping):
            datastore, path = value.get("datastore"), value.get("path")
            if isinstance(datastore, str) and isinstance(path, str):
                self._place(datastore, path)
            for each in value.values():
                self._note(each)
        elif isinstance(value, list):
            for each in value:
                self._note(each)
        elif isinstance(value, str) and value.startswith("/"):
            self._uris.add(value)
        elif isinstance(value, str) and "://" in value:
            self._uris.add(_plain(value))

    def _place(self, datastore: str, path: str) -> None:
        try:
            url = load_datastore(self._home, datastore).url
        except AirflowAmlError:
            self._anywhere.add(path.lstrip("/"))
            return
        if url:
            self._uris.add(f"{_plain(url)}/{path.lstrip('/')}")


def remove(home: Home, item: Passing) -> None:
    """Removes an output: its manifest first, which a note stands in for, and that note last.

    What was changed or added at its place since is not ours and stays.

    Raises:
        AirflowAmlError: a store cannot be used. The note is still there, for the next time.
        OSError: the same, on a disk.
    """
    stem = item.document.rpartition(_MANIFEST)[0] or item.document.rpartition(_LEAVING)[0]
    note, manifest = stem + _LEAVING, stem + _MANIFEST
    if item.document == manifest:
        home.store.write(note, home.store.read(manifest))
        home.store.delete([manifest])
    committed = _read(home, note)
    if committed is not None and not home.store.exists(manifest):  # else: committed anew since
        store = open_datastore(home, item.datastore)
        there = _untouched(store, item.path, committed)
        if store.local_root is not None:
            open_folders(os.path.join(store.local_root, item.path))
        store.delete(there)
    home.store.delete([note])


def _untouched(store: Store, path: str, committed: Committed) -> list[str]:
    """The files of an output that are there as they were committed."""
    local = store.local_root is not None
    ours = {
        f"{path}/{each.path}" if each.path else path: f"{each.size}-{each.version}"
        if local
        else each.version
        for each in committed.files
    }
    return [each.path for each in store.find(path) if ours.get(each.path) == each.version]


def open_folders(place: str) -> None:
    """Opens the folders of committed outputs, from which nothing can be removed as they are."""
    for folder, _, _ in os.walk(place):  # from above: a closed folder is opened, then listed
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        if not mode & stat.S_IWUSR:
            os.chmod(folder, mode | stat.S_IRWXU)


def _read(home: Home, document: str) -> Committed | None:
    try:
        return parsed(home.store.read(document), home.store.uri(document))
    except (OSError, AirflowAmlError):
        return None  # gone meanwhile, damaged, or of a later release: it stays


def _inside(url: str, uri: str) -> str | None:
    """The path below a store's URL that a URI names."""
    root, place = f"{_plain(url)}/", _plain(uri)
    return place[len(root) :] if place.startswith(root) else None


def _plain(uri: str) -> str:
    """A URI for comparison: of a file its path."""
    return (path_of_uri(uri) if uri.startswith("file:") else uri).rstrip("/")


def _meet(named: str, place: str) -> bool:
    place = _plain(place)
    sign = _SIGNS.search(named)
    if sign:
        return place.startswith(named[: sign.start()])
    named = named.rstrip("/")
    return f"{place}/".startswith(f"{named}/") or named.startswith(f"{place}/")

"""The files at a URI: in a folder of this machine, in the workspace's store, in a datastore."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from airflow_aml.errors import WorkspaceException
from airflow_aml.reuse.records import stamp_of
from airflow_aml.workspace.uris import path_of_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.stores.base import Store


_EFFECTIVE = os.access in os.supports_effective_ids


class Listed(NamedTuple):
    """One file as a listing tells it; ``path`` is POSIX, and empty for a place that is one file.

    ``version`` changes when the content may have: mtime in ns on a disk, else the store's word.
    ``changed`` is the time of an inode's last change, in ns, which nobody can set; 0 in a store.
    """

    path: str
    size: int
    version: str
    changed: int = 0


class Places:
    """Where the outputs of one workspace may be. Each store is opened once, when it is needed."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stores: dict[str, Store] = {}
        self._datastores: dict[str, Store] = {}
        self._default = ""

    def default_datastore(self) -> str:
        """The name of the default datastore.

        Raises:
            WorkspaceException: the workspace cannot be read.
        """
        if not self._default:
            from airflow_aml.workspace.datastores import default_datastore

            self._default = default_datastore(self._home)
        return self._default

    def datastore(self, name: str) -> Store:
        """The store of a datastore.

        Raises:
            UserErrorException, WorkspaceException: there is none of that name, or it is not there.
        """
        if name not in self._datastores:
            from airflow_aml.workspace.datastores import open_datastore

            self._datastores[name] = open_datastore(self._home, name)
        return self._datastores[name]

    def files(self, uri: str) -> list[Listed]:
        """The files at a place, in no order. Empty folders do not count.

        Raises:
            FileNotFoundError: there is nothing at that place.
            PermissionError: something there cannot be read.
            WorkspaceException: the store cannot be used, or nobody knows how to open it.
        """
        if uri.startswith("file:"):
            return local_files(path_of_uri(uri))
        store, path = self.stored(uri)
        found = [
            Listed(each.path[len(path) + 1 :], each.size, each.version)
            for each in store.find(f"{path}/")
        ]
        if found:
            return found
        for each in store.find(path):
            if each.path == path:
                return [Listed("", each.size, each.version)]
        raise FileNotFoundError(uri)

    def file(self, uri: str, path: str) -> Listed:
        """One file of a place that may hold others' files too.

        Raises:
            FileNotFoundError, PermissionError, WorkspaceException: as :meth:`files`.
        """
        if uri.startswith("file:"):
            place = path_of_uri(uri)
            status = os.stat(os.path.join(place, path) if path else place)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(path)
            return Listed(path, status.st_size, str(status.st_mtime_ns), status.st_ctime_ns)
        store, root = self.stored(uri)
        wanted = f"{root}/{path}" if path else root
        for each in store.find(wanted):
            if each.path == wanted:
                return Listed(path, each.size, each.version)
        raise FileNotFoundError(path)

    def read(self, uri: str) -> bytes:
        """A small file.

        Raises:
            FileNotFoundError, OSError, WorkspaceException: it cannot be read.
        """
        if uri.startswith("file:"):
            with open(path_of_uri(uri), "rb") as stream:
                return stream.read()
        store, path = self.stored(uri)
        return store.read(path)

    def manifest(self, uri: str) -> bytes:
        """The document of a committed output: beside it, or in the workspace for one elsewhere.

        Raises:
            FileNotFoundError: it has none.
            OSError, WorkspaceException: it cannot be read.
        """
        store = self._home.store
        if uri.startswith(f"{store.uri('data')}/"):
            return self.read(f"{uri}.manifest.json")
        from airflow_aml.workspace.committed import find_document

        document = find_document(self._home, uri)
        if document is None:
            raise FileNotFoundError(uri)
        return store.read(document)

    def stored(self, uri: str) -> tuple[Store, str]:
        """The store that a URI leads to, and the path in it.

        Raises:
            WorkspaceException: neither the workspace nor a datastore of it is there.
        """
        for url, store in self._stores.items():
            if uri.startswith(f"{url}/"):
                return store, uri[len(url) + 1 :]
        store = self._open(uri)
        self._stores[store.url] = store
        return store, uri[len(store.url) + 1 :]

    def _open(self, uri: str) -> Store:
        if uri.startswith(f"{self._home.url}/"):
            return self._home.store
        from airflow_aml.workspace.datastores import (
            datastore_names,
            load_datastore,
            open_datastore,
        )

        for name in datastore_names(self._home):
            url = load_datastore(self._home, name).url.rstrip("/")
            if url and uri.startswith(f"{url}/"):
                return open_datastore(self._home, name)
        raise WorkspaceException(f"no datastore of the workspace holds {uri}.")


def local_files(place: str) -> list[Listed]:
    """The files of a folder of this machine, or the one file that is there.

    Links are not followed: a committed output has none, so one that is there was put there.

    Raises:
        FileNotFoundError: there is nothing.
        PermissionError: a folder cannot be listed, or a file may not be read.
    """
    try:
        entries = os.scandir(place)
    except NotADirectoryError:
        return [_listed("", os.lstat(place), place)]
    found: list[Listed] = []
    pending: list[str] = []
    prefix = ""
    while True:
        with entries:
            for entry in entries:
                relative = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(relative)
                else:
                    status = entry.stat(follow_symlinks=False)
                    found.append(_listed(relative, status, entry.path))
        if not pending:
            return found
        folder = pending.pop()
        prefix = f"{folder}/"
        entries = os.scandir(os.path.join(place, folder))


def stamp(uri: str, places: Places) -> str:
    """The stamp of everything at a place, for a record; the same while nothing there is touched.

    Raises:
        FileNotFoundError, PermissionError, WorkspaceException: as :meth:`Places.files`.
    """
    files = places.files(uri)
    return " ".join(filter(None, (stamp_of(files), changes_of(files))))


def changes_of(files: Iterable[Listed]) -> str:
    """The part of a stamp that tells of another mode or name as well; empty where nobody knows."""
    known = [(each.path, each.size, str(each.changed)) for each in files if each.changed]
    return stamp_of(known) if known else ""


def _listed(relative: str, status: os.stat_result, place: str) -> Listed:
    if not stat.S_ISREG(status.st_mode):
        return Listed(relative, 0, "no file")
    # What everybody may read, as nearly all may, needs no look of its own.
    if not status.st_mode & stat.S_IROTH and not _may_read(status, place):
        raise PermissionError(13, "it may not be read", relative)
    return Listed(relative, status.st_size, str(status.st_mtime_ns), status.st_ctime_ns)


def _may_read(status: os.stat_result, place: str) -> bool:
    # Root may read anything; what nobody else may was taken away on purpose.
    return bool(status.st_mode & 0o444) and os.access(place, os.R_OK, effective_ids=_EFFECTIVE)

"""Two states of a source folder, compared by names, sizes and checksums.

One that ran is a snapshot's zip; the one of now may be the folder itself, which nobody has stored.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import unified_diff
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zipfile import BadZipFile, ZipFile
from zlib import crc32

from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.workspace.archive import Row
    from airflow_aml.workspace.home import Home

_MOST_BYTES = 1 << 20
_UNREADABLE = (AirflowAmlError, OSError, ValueError, KeyError, EOFError, BadZipFile)


class FileChange(NamedTuple):
    """One file that differs: ``what`` is ``changed``, ``added`` or ``removed``."""

    path: str
    what: str
    line_endings_only: bool = False


Aside = Mapping[str, "Sequence[Row]"]
"""Snapshot digest -> the files of a folder that has that digest now."""


def changed_files(
    old: str, new: str, home: Home, aside: Aside | None = None
) -> list[FileChange] | None:
    """The files that differ between two snapshots, by path; None if one cannot be read.

    Args:
        old, new: digests.
        home: where they are stored.
        aside: folders that stand in for snapshots that are not.
    """
    try:
        with _opened(old, home, aside) as before, _opened(new, home, aside) as after:
            return list(_changes(before, after))
    except _UNREADABLE:
        return None


def diff(old: str, new: str, home: Home) -> str:
    """A unified diff of the text files that differ between two snapshots; empty if none do.

    Raises:
        FileNotFoundError: a snapshot is not in the workspace any more.
        WorkspaceException: the store cannot be read.
        ValueError: a snapshot is damaged.
    """
    try:
        with _opened(old, home) as before, _opened(new, home) as after:
            return "".join(
                _file_diff(each.path, _text(before, each.path), _text(after, each.path))
                for each in _changes(before, after)
            )
    except BadZipFile as error:
        raise ValueError(f"a snapshot is damaged: {error}.") from error


class _Files(Protocol):
    """The files of one state."""

    def listed(self) -> Mapping[str, int]:
        """Size of each file, by path."""

    def checksum(self, path: str) -> int:
        """Its CRC-32."""

    def read(self, path: str) -> bytes:
        """All of it."""


class _Zip:
    """A stored snapshot."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive

    def listed(self) -> Mapping[str, int]:
        return {each.filename: each.file_size for each in self._archive.infolist()}

    def checksum(self, path: str) -> int:
        return self._archive.getinfo(path).CRC

    def read(self, path: str) -> bytes:
        return self._archive.read(path)


class _Folder:
    """A folder as it is."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {row.relative: row for row in rows}

    def listed(self) -> Mapping[str, int]:
        return {path: row.size for path, row in self._rows.items()}

    def checksum(self, path: str) -> int:
        return crc32(self.read(path))

    def read(self, path: str) -> bytes:
        with open(self._rows[path].path, "rb") as stream:
            return stream.read()


@contextmanager
def _opened(digest: str, home: Home, aside: Aside | None = None) -> Iterator[_Files]:
    path, store = layout.snapshot(digest), home.store
    if aside is not None and digest in aside:
        yield _Folder(aside[digest])
    elif store.local_root is not None:
        with ZipFile(os.path.join(store.local_root, path)) as archive:
            yield _Zip(archive)
    else:
        with ZipFile(io.BytesIO(store.read(path))) as archive:
            yield _Zip(archive)


def _changes(before: _Files, after: _Files) -> Iterator[FileChange]:
    old, new = before.listed(), after.listed()
    for path in sorted({*old, *new}):
        if path not in new:
            yield FileChange(path, "removed")
        elif path not in old:
            yield FileChange(path, "added")
        elif old[path] != new[path] or before.checksum(path) != after.checksum(path):
            small = max(old[path], new[path]) <= _MOST_BYTES
            same = small and _plain(before.read(path)) == _plain(after.read(path))
            yield FileChange(path, "changed", same)


def _plain(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _text(files: _Files, path: str) -> list[str] | None:
    """The lines of a file; None if it is too long or no text. One that is not there has none."""
    size = files.listed().get(path)
    if size is None:
        return []
    if size > _MOST_BYTES:
        return None
    data = files.read(path)
    if b"\0" in data:
        return None
    return data.decode("utf-8", "replace").splitlines(keepends=True)


def _file_diff(path: str, old: list[str] | None, new: list[str] | None) -> str:
    if old is None or new is None:
        return f"Binary files a/{path} and b/{path} differ\n"
    lines = unified_diff(old, new, f"a/{path}", f"b/{path}")
    return "".join(_ended(line) for line in lines)


def _ended(line: str) -> str:
    # A carriage return would only move a terminal's cursor: it is shown as what it is.
    line = line.removesuffix("\n")
    shown = line.replace("\r", "\\r")
    return f"{shown}\n"

"""Two snapshots of a source folder, compared by what their zips list: names, sizes, checksums."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import unified_diff
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile, ZipFile

from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

_MOST_BYTES = 1 << 20
_UNREADABLE = (AirflowAmlError, OSError, ValueError, KeyError, EOFError, BadZipFile)


class FileChange(NamedTuple):
    """One file that differs: ``what`` is ``changed``, ``added`` or ``removed``."""

    path: str
    what: str
    line_endings_only: bool = False


def changed_files(old: str, new: str, home: Home) -> list[FileChange] | None:
    """The files that differ between two snapshots, by path; None if one cannot be read.

    Args:
        old, new: digests.
        home: where they are stored.
    """
    try:
        with _opened(old, home) as before, _opened(new, home) as after:
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


@contextmanager
def _opened(digest: str, home: Home) -> Iterator[ZipFile]:
    path, store = layout.snapshot(digest), home.store
    if store.local_root is not None:
        with ZipFile(os.path.join(store.local_root, path)) as archive:
            yield archive
    else:
        with ZipFile(io.BytesIO(store.read(path))) as archive:
            yield archive


def _changes(before: ZipFile, after: ZipFile) -> Iterator[FileChange]:
    old, new = _listed(before), _listed(after)
    for path in sorted({*old, *new}):
        if path not in new:
            yield FileChange(path, "removed")
        elif path not in old:
            yield FileChange(path, "added")
        elif old[path] != new[path]:
            same = _without_endings(before, path) == _without_endings(after, path) is not None
            yield FileChange(path, "changed", same)


def _listed(archive: ZipFile) -> Mapping[str, tuple[int, int]]:
    return {each.filename: (each.file_size, each.CRC) for each in archive.infolist()}


def _without_endings(archive: ZipFile, path: str) -> bytes | None:
    if archive.getinfo(path).file_size > _MOST_BYTES:
        return None
    return archive.read(path).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _text(archive: ZipFile, path: str) -> list[str] | None:
    """The lines of a file; None if it is too long or no text. One that is not there has none."""
    try:
        if archive.getinfo(path).file_size > _MOST_BYTES:
            return None
        data = archive.read(path)
    except KeyError:
        return []
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

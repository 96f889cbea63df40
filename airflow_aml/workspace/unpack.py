"""Unpacking a snapshot's zip.

Every step does this before its script starts, and the standard library's reader costs more to
import than most source folders take to unpack. Zips as :mod:`~airflow_aml.workspace.archive`
writes them are read here directly; any other, and very large ones, with that reader.
"""

from __future__ import annotations

import os
import struct
from typing import IO, Callable, List, NamedTuple, Optional, Set, Union

from airflow_aml.errors import SnapshotException

EXECUTABLE = 0o100

_BUFFER_SIZE = 1 << 20
_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_UTF8 = 0x800
_MANY = 0xFFFF
_LARGE = 0xFFFFFFFF

AnyPath = Union[str, "os.PathLike[str]"]


class _Entry(NamedTuple):
    name: str
    size: int
    crc: int
    executable: bool
    offset: int


def extract(zip_path: AnyPath, target: AnyPath) -> None:
    """Writes a snapshot's files into the folder ``target``, which is made if need be.

    Raises:
        SnapshotException: the zip is missing or damaged, or an entry of it would lie elsewhere.
        OSError: the files cannot be written.
    """
    places = _Places(os.path.abspath(target), os.fspath(zip_path))
    try:
        archive = open(zip_path, "rb")  # noqa: SIM115 - not the errors of writing the files
    except FileNotFoundError as error:
        raise _damaged(places.zip_path, "it is not there") from error
    with archive:
        entries = _entries(archive)
        if entries is None:
            _extract_any(archive, places)
            return
        for entry in entries:
            _extract_entry(archive, entry, places)


class _Places:
    """Where entries go: below one folder and nowhere else."""

    def __init__(self, base: str, zip_path: str) -> None:
        self.zip_path = zip_path
        self._base = base
        self._made: Set[str] = set()
        self._make(base)

    def folder(self, name: str) -> None:
        """Makes a folder."""
        self._make(self._path(name.rstrip("/")))

    def file(self, name: str, executable: bool) -> IO[bytes]:
        """Opens a new file, whose folder is made."""
        path = self._path(name)
        self._make(os.path.dirname(path))
        mode = 0o777 if executable else 0o666
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb", buffering=0)

    def _path(self, name: str) -> str:
        parts = name.split("/")
        if not name or name.startswith("/") or ".." in parts or "\0" in name:
            raise SnapshotException(
                f"the entry {name!r} would be written outside of the source folder.",
                where=self.zip_path,
            )
        return os.path.join(self._base, *parts)

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)


def _entries(archive: IO[bytes]) -> Optional[List[_Entry]]:
    """The files of a zip as we write them; None if it is not one of these."""
    size = archive.seek(0, os.SEEK_END)
    if size < _END.size:
        return None
    archive.seek(size - _END.size)
    end = _END.unpack(archive.read(_END.size))
    signature, _, _, count, total, length, start, comment = end
    if signature != b"PK\5\6" or comment or count != total or count == _MANY:
        return None
    if start == _LARGE or start + length + _END.size != size:
        return None
    archive.seek(start)
    directory = archive.read(length)
    entries: List[_Entry] = []
    position = 0
    while position + _ENTRY.size <= len(directory):
        head = _ENTRY.unpack_from(directory, position)
        name_length, extra = head[10], head[11] or head[12]
        name = directory[position + _ENTRY.size : position + _ENTRY.size + name_length]
        if head[0] != b"PK\1\2" or head[3] & ~_UTF8 or head[4] or extra or name.endswith(b"/"):
            return None
        if not (head[3] & _UTF8 or name.isascii()) or _LARGE in (head[9], head[16]):
            return None
        executable = bool((head[15] >> 16) & EXECUTABLE)
        entries.append(_Entry(name.decode("utf-8"), head[9], head[7], executable, head[16]))
        position += _ENTRY.size + name_length
    return entries if len(entries) == count and position == length else None


def _extract_entry(archive: IO[bytes], entry: _Entry, places: _Places) -> None:
    from zlib import crc32

    archive.seek(entry.offset)
    local = archive.read(_LOCAL.size)
    if len(local) < _LOCAL.size or not local.startswith(b"PK\3\4"):
        raise _damaged(places.zip_path, f"{entry.name!r} is not where it should be")
    *_, name_length, extra_length = _LOCAL.unpack(local)
    archive.seek(name_length + extra_length, os.SEEK_CUR)
    left, crc = entry.size, 0
    with places.file(entry.name, entry.executable) as target:
        while left > 0:
            data = archive.read(min(_BUFFER_SIZE, left))
            if not data:
                break
            left -= len(data)
            crc = crc32(data, crc)
            _write(target.write, data)
    if left or crc != entry.crc:
        raise _damaged(places.zip_path, f"{entry.name!r} is not what was stored")


def _extract_any(archive: IO[bytes], places: _Places) -> None:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(archive) as opened:
            for info in opened.infolist():
                if info.is_dir():
                    places.folder(info.filename)
                    continue
                executable = bool((info.external_attr >> 16) & EXECUTABLE)
                with opened.open(info) as source, places.file(info.filename, executable) as target:
                    data = source.read(_BUFFER_SIZE)
                    while data:
                        _write(target.write, data)
                        data = source.read(_BUFFER_SIZE)
    except (BadZipFile, EOFError, NotImplementedError) as error:
        raise _damaged(places.zip_path, str(error)) from error


def _write(write: Callable[[memoryview], Optional[int]], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[write(view) or 0 :]


def _damaged(zip_path: str, reason: str) -> SnapshotException:
    return SnapshotException(
        f"the snapshot cannot be read: {reason}.",
        where=zip_path,
        hint="Run the pipeline again: it stores the source folder anew.",
    )

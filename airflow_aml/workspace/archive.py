"""The zip that a snapshot is stored as: written once, the same bytes for the same files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Union

from airflow_aml.errors import SnapshotException

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo

EXECUTABLE = 0o100

_BUFFER_SIZE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Row(NamedTuple):
    """One file as it was read: what the digest is over, and what the zip needs besides."""

    relative: str
    digest: str
    size: int
    executable: bool
    path: bytes


def intact(path: Path, rows: List[Row]) -> bool:
    """Whether the stored zip is whole, and its files are executable where they are now."""
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            there = [(e.filename, e.file_size, _is_executable(e)) for e in archive.infolist()]
            size = os.fstat(archive.fp.fileno()).st_size if archive.fp else 0
    except (OSError, BadZipFile):
        return False
    expected = _zip_size(rows)
    return (expected is None or expected == size) and there == [
        (row.relative, row.size, row.executable) for row in rows
    ]


def _zip_size(rows: List[Row]) -> Optional[int]:
    """How long the zip of these files is; None where the format's 64-bit extension comes in."""
    total = 22
    for row in rows:
        total += 76 + 2 * len(row.relative.encode()) + row.size
    return total if total < 2**31 and len(rows) < 2**16 - 1 else None


def store(path: Path, rows: List[Row], source: str) -> bool:
    """Writes the zip; False if a file changed since its row was read."""
    from zipfile import ZipFile

    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            with ZipFile(stream, "w") as archive:
                if not all(_add(archive, row, source) for row in rows):
                    return False
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise SnapshotException(
            f"the snapshot cannot be stored: {error.strerror or error}.", where=os.fspath(path)
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()
    return True


def _add(archive: ZipFile, row: Row, source: str) -> bool:
    """Adds one file, uncompressed: steps unpack it often, and equal sources give equal bytes."""
    from hashlib import sha256
    from zipfile import ZipInfo

    entry = ZipInfo(row.relative, _EPOCH)
    entry.create_system = 3
    entry.external_attr = (0o100755 if row.executable else 0o100644) << 16
    entry.file_size = row.size
    hasher = sha256()
    try:
        file = open(row.path, "rb", buffering=0)  # noqa: SIM115 - its error differs from the write's
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(source, error) from error
    with file, archive.open(entry, "w") as target:
        left = row.size + 1
        while left > 0:
            data = file.read(min(_BUFFER_SIZE, left))
            if not data:
                break
            left -= len(data)
            hasher.update(data)
            target.write(data)
    return left == 1 and f"sha256:{hasher.hexdigest()}" == row.digest


def _is_executable(entry: ZipInfo) -> bool:
    return bool((entry.external_attr >> 16) & EXECUTABLE)


def extract(zip_path: Union[str, os.PathLike[str]], target: Union[str, os.PathLike[str]]) -> None:
    """Writes a snapshot's files into the folder ``target``, which is made if need be.

    Raises:
        SnapshotException: the zip is missing or damaged, or an entry of it would lie elsewhere.
    """
    from zipfile import BadZipFile, ZipFile

    base = os.path.abspath(target)
    os.makedirs(base, exist_ok=True)
    made = {base}
    try:
        with ZipFile(zip_path) as archive:
            for entry in archive.infolist():
                place = _place(base, entry.filename, zip_path)
                parent = place if entry.is_dir() else os.path.dirname(place)
                if parent not in made:
                    os.makedirs(parent, exist_ok=True)
                    made.add(parent)
                if not entry.is_dir():
                    _write_entry(archive, entry, place)
    except (FileNotFoundError, BadZipFile, EOFError) as error:
        raise SnapshotException(
            f"the snapshot cannot be read: {error}.",
            where=os.fspath(zip_path),
            hint="Run the pipeline again: it stores the source folder anew.",
        ) from error


def unreadable(source: str, error: OSError) -> SnapshotException:
    """What to raise when a file of a source folder cannot be read."""
    name = error.filename
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return SnapshotException(
        f"{text or 'a file'} cannot be read: {error.strerror or error}.",
        where=source,
        hint="Make it readable, or list it in .amlignore.",
    )


def _place(base: str, name: str, zip_path: Union[str, os.PathLike[str]]) -> str:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name or not name:
        raise SnapshotException(
            f"the entry {name!r} would be written outside of the source folder.",
            where=os.fspath(zip_path),
        )
    return os.path.join(base, *parts)


def _write_entry(archive: ZipFile, entry: ZipInfo, place: str) -> None:
    mode = 0o777 if _is_executable(entry) else 0o666
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with archive.open(entry) as source, open(os.open(place, flags, mode), "wb") as target:
        while True:
            data = source.read(_BUFFER_SIZE)
            if not data:
                break
            target.write(data)

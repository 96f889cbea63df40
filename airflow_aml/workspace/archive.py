"""The zip that a snapshot is stored as: written once, the same bytes for the same files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, List, NamedTuple, Optional

from airflow_aml.errors import SnapshotException
from airflow_aml.workspace.unpack import EXECUTABLE

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo

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


def unreadable(source: str, error: OSError) -> SnapshotException:
    """What to raise when a file of a source folder cannot be read."""
    name = error.filename
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return SnapshotException(
        f"{text or 'a file'} cannot be read: {error.strerror or error}.",
        where=source,
        hint="Make it readable, or list it in .amlignore.",
    )

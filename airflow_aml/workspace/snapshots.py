"""Snapshots: a step's source folder, stored once per content.

v1's rules (reference 2.5): ``.amlignore``, else ``.gitignore``, at the folder's root, says in git's
language what does not count. Links are followed. The digest is over relative paths and contents
alone, so the same sources have the same digest in every checkout, on every machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, Iterable, List, Tuple, Union

from airflow_aml.errors import SnapshotException
from airflow_aml.workspace import layout
from airflow_aml.workspace.archive import Row, intact, store, unreadable
from airflow_aml.workspace.digests import BUFFER_SIZE, digest_record, measure_file
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.ignore import IgnoreRules
from airflow_aml.workspace.tree import Found, walk
from airflow_aml.workspace.unpack import EXECUTABLE, extract

__all__ = ["Snapshot", "extract", "take"]

SNAPSHOT_VERSION = 1
MANY_BYTES = 300 * 1024 * 1024
MANY_FILES = 2000
"""Sizes that v1 refused; here they are a warning."""

_LITTER = frozenset(["__pycache__", ".git", ".ipynb_checkpoints", ".DS_Store"])
_AIRFLOW_FILES = ("logs", "airflow.db", "airflow.db-wal", "airflow.db-shm", "airflow.db-journal")
_TRIES = 3


@dataclass(frozen=True)
class Snapshot:
    """A stored source folder: ``path`` is its zip; ``warnings`` are for the author."""

    digest: str
    files: int
    bytes: int
    path: Path
    warnings: Tuple[str, ...] = ()


def take(folder: Union[str, os.PathLike[str]], home: Home, declared: bool = True) -> Snapshot:
    """Stores the folder's content in the workspace, unless it is there already.

    Args:
        folder: the source folder.
        home: the workspace; if it lies inside the folder it does not count as source.
        declared: False when the author named no source folder, which the size warning then says.

    Raises:
        SnapshotException: the folder is missing or no folder, a file of it cannot be read, or it
            keeps changing while it is read.
    """
    source = os.path.abspath(folder)
    _check_folder(source, home)
    for _ in range(_TRIES):
        warnings: List[str] = []
        rows = _read(source, home, warnings)
        digest = digest_record(
            ["snapshot", SNAPSHOT_VERSION, *((row.relative, row.digest) for row in rows)]
        )
        path = home.path(layout.snapshot(digest))
        if intact(path, rows) or store(path, rows, source):
            total = sum(row.size for row in rows)
            warnings.extend(_size_warnings(source, len(rows), total, declared))
            return Snapshot(digest, len(rows), total, path, tuple(warnings))
    raise SnapshotException(
        "the folder keeps changing while it is read.",
        where=source,
        hint="Let programs write elsewhere, or list what they write in .amlignore.",
    )


def _check_folder(source: str, home: Home) -> None:
    if not os.path.isdir(source):
        wrong = "is not a folder" if os.path.lexists(source) else "does not exist"
        raise SnapshotException(
            f"the source folder {wrong}.",
            where=source,
            hint="source_directory names a folder, relative to the file that defines the step.",
        )
    root = home.root
    if root.exists() and os.path.samefile(source, root):
        raise SnapshotException("the source folder is the workspace itself.", where=source)


def _read(source: str, home: Home, warnings: List[str]) -> List[Row]:
    rules = _Rules(source, [home.root, *_airflow_files()])
    buffer = bytearray(BUFFER_SIZE)

    def problem(relative: str, wrong: str) -> None:
        warnings.append(f"{relative!r} in {source} {wrong}; the snapshot goes without it.")

    try:
        found = walk(source, problem, rules.skip)
        return [_row(each, buffer) for each in found]
    except OSError as error:
        raise unreadable(source, error) from error


def _row(found: Found, buffer: bytearray) -> Row:
    # Always SHA-256: a snapshot's identity must not depend on which packages a machine has.
    digest, size = measure_file(found.path, "sha256", buffer)
    executable = bool(found.status.st_mode & EXECUTABLE)
    return Row(found.relative, digest, size, executable, found.path)


class _Rules:
    """What of a source folder counts as source."""

    def __init__(self, source: str, excluded: Iterable[Union[str, os.PathLike[str]]]) -> None:
        self._ignored = _ignore_rules(source)
        self._excluded = frozenset(_identities(excluded))
        self._inodes: FrozenSet[int] = frozenset(inode for _, inode in self._excluded)

    def skip(self, relative: str, is_folder: bool, entry: os.DirEntry[bytes]) -> bool:
        """Whether the walk leaves this entry out; below a folder left out nothing is looked at."""
        if _is_litter(relative.rpartition("/")[2]):
            return True
        if self._excluded and self._is_excluded(is_folder, entry):
            return True
        return self._ignored.leaves_out(relative, is_folder)

    def _is_excluded(self, is_folder: bool, entry: os.DirEntry[bytes]) -> bool:
        # The inode number comes free with the folder's listing; stat only what may match.
        if not entry.is_symlink() and entry.inode() not in self._inodes:
            return False
        try:
            status = entry.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) in self._excluded


def _is_litter(name: str) -> bool:
    return (
        name in _LITTER
        or name.endswith((".pyc", "~"))
        or name.startswith(".#")
        or (name.startswith(".") and name.endswith(".swp"))
    )


def _airflow_files() -> List[str]:
    # A project often has its Airflow home inside; logs and database change with every run.
    home = os.environ.get("AIRFLOW_HOME")
    return [os.path.join(home, name) for name in _AIRFLOW_FILES] if home else []


def _identities(paths: Iterable[Union[str, os.PathLike[str]]]) -> Iterable[Tuple[int, int]]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield status.st_dev, status.st_ino


def _ignore_rules(source: str) -> IgnoreRules:
    for name in (".amlignore", ".gitignore"):
        path = os.path.join(source, name)
        if os.path.isfile(path):
            try:
                with open(path, encoding="utf-8-sig", newline="") as stream:
                    return IgnoreRules(stream.read())
            except (OSError, ValueError) as error:
                text = f"the ignore file cannot be used: {error}"
                raise SnapshotException(text, where=path) from error
    return IgnoreRules("")


def _size_warnings(source: str, files: int, size: int, declared: bool) -> List[str]:
    hint = (
        "List what the script does not need in .amlignore, or pass it as a dataset."
        if declared
        else "The step names no source_directory, so the whole folder of the defining file is "
        "stored: give the step a source_directory, or list what it does not need in .amlignore."
    )
    said = []
    if size > MANY_BYTES:
        said.append(
            f"The source folder {source} holds {size / 2**20:,.0f} MB; "
            f"Azure ML refused more than {MANY_BYTES / 2**20:.0f} MB. {hint}"
        )
    if files > MANY_FILES:
        said.append(
            f"The source folder {source} holds {files:,} files; "
            f"Azure ML refused more than {MANY_FILES:,}. {hint}"
        )
    return said

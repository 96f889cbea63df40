"""Snapshots: a step's source folder, stored once per content.

v1's rules (reference 2.5): ``.amlignore``, else ``.gitignore``, at the folder's root, says in git's
language what does not count. Links are followed. The digest is over relative paths and contents
alone, so the same sources have the same digest in every checkout, on every machine.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, Iterable, List, Optional, Sequence, Tuple, Union

from airflow_aml.errors import SnapshotException
from airflow_aml.workspace import layout
from airflow_aml.workspace.archive import Row, intact, store, unreadable
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.ignore import IgnoreRules
from airflow_aml.workspace.measure import facts, packed
from airflow_aml.workspace.snapshotstore import is_stored, refresh, zip_place
from airflow_aml.workspace.statcache import StatCache, long_ago, worker_cache
from airflow_aml.workspace.survey import Survey, survey
from airflow_aml.workspace.unpack import EXECUTABLE, extract

__all__ = ["Snapshot", "digest_of", "extract", "take"]

SNAPSHOT_VERSION = 1
_RECORD = ("snapshot", SNAPSHOT_VERSION)

AnyPath = Union[str, "os.PathLike[str]"]

MANY_BYTES = 300 * 1024 * 1024
MANY_FILES = 2000
"""Sizes that v1 refused; here they are a warning."""

_LITTER = frozenset(["__pycache__", ".git", ".ipynb_checkpoints", ".DS_Store"])
_AIRFLOW_FILES = ("logs", "airflow.db", "airflow.db-wal", "airflow.db-shm", "airflow.db-journal")
_TRIES = 3


@dataclass(frozen=True)
class Snapshot:
    """A stored source folder; ``warnings`` are for the author.

    ``path`` is its zip in a local workspace; in a remote one that is not on this machine.
    """

    digest: str
    files: int
    bytes: int
    path: Path
    warnings: Tuple[str, ...] = ()


def take(
    folder: AnyPath, home: Home, declared: bool = True, scripts: Sequence[str] = ()
) -> Snapshot:
    """Stores the folder's content in the workspace, unless it is there already.

    Args:
        folder: the source folder.
        home: the workspace; if it lies inside the folder it does not count as source.
        declared: False when the author named no source folder, which the size warning then says.
        scripts: what steps run of it, as paths in the folder.

    Raises:
        SnapshotException: the folder is missing or no folder, a file of it cannot be read, it keeps
            changing while it is read, or a script does not count as source.
    """
    source = os.path.abspath(folder)
    _check_folder(source, home)
    cache = worker_cache()
    for _ in range(_TRIES):
        warnings: List[str] = []
        found = _survey(source, home, warnings, cache)
        _check_scripts(scripts, found, source)
        path = _kept_at(home, found, source, cache)
        if path is not None:
            warnings.extend(_size_warnings(source, found.files, found.size, declared))
            return Snapshot(found.digest, found.files, found.size, path, tuple(warnings))
        cache = StatCache(None)  # a disk whose clock misled it, if nobody is writing
    raise SnapshotException(
        "the folder keeps changing while it is read.",
        where=source,
        hint="Let programs write elsewhere, or list what they write in .amlignore.",
    )


def digest_of(folder: AnyPath, home: Home, scripts: Sequence[str] = ()) -> Tuple[str, List[Row]]:
    """The digest that :func:`take` would give, and the files that it is over; nothing is stored.

    Raises:
        SnapshotException: the folder is missing or no folder, a file of it cannot be read, or a
            script does not count as source.
    """
    source = os.path.abspath(folder)
    _check_folder(source, home)
    found = _survey(source, home, [], worker_cache())
    _check_scripts(scripts, found, source)
    return found.digest, _rows(found, source)


def _kept_at(home: Home, found: Survey, source: str, cache: StatCache) -> Optional[Path]:
    """Where the zip of these files is now; None if one of them changed meanwhile."""
    place = layout.snapshot(found.digest)
    if home.is_local:
        path = home.path(place)
        refresh(path)  # before it is relied on: who removes what is forgotten looks at its time
        return path if _is_kept(path, found, source, cache) else None
    rows = _rows(found, source)
    if is_stored(home, place, rows):
        return Path(place)
    with zip_place(home, place, rows) as path:
        return path if store(path, rows, source) else None


def _is_kept(path: Path, found: Survey, source: str, cache: StatCache) -> bool:
    """Whether the zip of these files is there now; False if one of them changed meanwhile."""
    key = ("snapshot", os.fspath(path), found.stamp.hex() if found.stamp else "")
    if found.stamp is not None:
        try:
            if cache.file(key, packed(facts(os.stat(path)))) is not None:
                return True
        except OSError:  # never stored, or removed since
            pass
    rows = _rows(found, source)
    started = time.time_ns()
    if not intact(path, rows):
        return store(path, rows, source)
    if found.stamp is not None:
        stats = packed(facts(os.stat(path)))
        if long_ago(stats, started):
            cache.keep_file(key, stats, b"whole")
    return True


def _check_folder(source: str, home: Home) -> None:
    if not os.path.isdir(source):
        wrong = "is not a folder" if os.path.lexists(source) else "does not exist"
        raise SnapshotException(
            f"the source folder {wrong}.",
            where=source,
            hint="source_directory names a folder, relative to the file that defines the step.",
        )
    root = home.root if home.is_local else None
    if root is not None and root.exists() and os.path.samefile(source, root):
        raise SnapshotException("the source folder is the workspace itself.", where=source)


def _check_scripts(scripts: Sequence[str], found: Survey, source: str) -> None:
    for script in dict.fromkeys(scripts):
        if not found.holds(os.path.normpath(script)):
            raise SnapshotException(
                f"the script {script!r} does not count as source, so no step could run it.",
                where=source,
                hint="Does .amlignore leave it out, or .gitignore, which counts where there is no "
                ".amlignore?",
            )


def _survey(source: str, home: Home, warnings: List[str], cache: StatCache) -> Survey:
    rules = _Rules(source, [*([home.root] if home.is_local else []), *_airflow_files()])

    def problem(relative: str, wrong: str) -> None:
        warnings.append(f"{relative!r} in {source} {wrong}; the snapshot goes without it.")

    try:
        # Always SHA-256: a snapshot's identity must not depend on which packages a machine has.
        return survey(source, _RECORD, "sha256", problem, cache, rules.skip)
    except OSError as error:
        raise unreadable(source, error) from error


def _rows(found: Survey, source: str) -> List[Row]:
    above = os.path.join(os.fsencode(source), b"")
    return [
        Row(path, digest, size, bool(mode & EXECUTABLE), above + path.encode())
        for (path, size, digest), mode in zip(found.rows(), found.modes())
    ]


class _Rules:
    """What of a source folder counts as source."""

    def __init__(self, source: str, excluded: Iterable[Union[str, os.PathLike[str]]]) -> None:
        self._ignored = _ignore_rules(source)
        self._excluded = frozenset(_identities(excluded))
        self._inodes: FrozenSet[int] = frozenset(inode for _, inode in self._excluded)

    def skip(self, relative: str, is_folder: bool, entry: os.DirEntry[bytes]) -> bool:
        """Whether the walk leaves this entry out; below a folder left out nothing is looked at."""
        name = relative.rpartition("/")[2]
        if (name[0] in "._" or name[-1] in "c~") and _is_litter(name):
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

"""Removes what a workspace needs no more, in two phases, so that no record points to removed data.

:func:`plan` only looks. :func:`collect` removes records first, waits a moment for those who looked
one up just before, looks again at what is needed (and once more every minute), and then removes the
rest, but for what was touched since the first look. Outside ``data/``,
``runs/``, ``snapshots/``, ``staging/``, ``reuse/`` and ``environments/`` nothing is touched, but
for intermediate data in datastores with ``keep_days``
(:mod:`~airflow_aml.reuse.passing`); all else in datastores is its owner's.

What no document mentions (staging of a worker that was lost, data of a step that never got to its
record, a snapshot that nobody used) goes when it has been like that for a day.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse import layout as places
from airflow_aml.reuse import passing
from airflow_aml.reuse.roots import (
    RUNNING_SECONDS,
    Keep,
    Needed,
    ids_in,
    keep_record,
    needed,
)
from airflow_aml.workspace.snapshotstore import TAKEN, read_note

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.stores.base import Store

GRACE_SECONDS = 86400.0
"""How long nobody must have mentioned a thing before it goes."""

PAUSE_SECONDS = 5.0
"""Between the removal of records and the removal of data."""

MARKS = f"{places.ROOT}/unmentioned.json"
"""In a store that tells no times: since when each thing has not been mentioned."""

LOOK_SECONDS = 60.0
"""How long a look at what is needed is good for, while things are removed."""

_AT_ONCE = 500

Say = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """One thing to remove.

    Attributes:
        kind: ``record``, ``run``, ``data``, ``output``, ``staging``, ``snapshot``, ``environment``,
            ``input`` or ``lease``.
        path: in the workspace; with a slash at its end a folder with all that is in it; of an
            ``output``, which is in a datastore, its URI.
        files: the paths of its files.
        passing: of an ``output``, what it is.
    """

    kind: str
    path: str
    bytes: int
    files: tuple[str, ...] = field(repr=False, default=())
    passing: passing.Passing | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Garbage:
    """What one look at a workspace has found.

    Attributes:
        items: what can go.
        waiting: what nobody mentions, but not for long enough: path -> since when, in seconds
            since 1970.
        warnings: what could not be understood, and therefore stays.
    """

    items: tuple[Item, ...]
    keep: Keep
    waiting: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """How much would be freed."""
        return sum(each.bytes for each in self.items)


@dataclass(frozen=True)
class Freed:
    """What was removed.

    Attributes:
        spared: what somebody began to need between the two phases.
        failed: sentences about what could not be removed.
    """

    items: tuple[Item, ...]
    spared: tuple[Item, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """How much was freed."""
        return sum(each.bytes for each in self.items)


def plan(home: Home, keep: Keep, grace: float = GRACE_SECONDS) -> Garbage:
    """What can go. Nothing is written or removed.

    Args:
        grace: seconds that an unmentioned thing stays.

    Raises:
        WorkspaceException: the store cannot be read.
    """
    roots, at = needed(home, keep), keep.at.timestamp()
    since = _Since(home)
    removed = {each.step_run_id for each in roots.records.values()}
    items = [*_records(home, roots), *_folders(home, "runs/", "run", set(roots.runs))]
    waiting: dict[str, float] = {}
    headless = _folders(home, "runs/", "run", set(roots.headless))
    outputs = [Item("output", each.uri, each.bytes, (), each) for each in passing.passing(home)]
    damaged = [Item("record", path, 0, (path,)) for path in roots.damaged]
    for item in (*headless, *damaged, *_unneeded(home, roots, at, outputs)):
        patience, first = _patience(item, roots, removed, keep, grace), since.first(item)
        if first is None and item.kind == "data" and _id_of(item.path) in removed:
            items.append(item)  # its record told that it was finished, and when
        elif at - (at if first is None else first) >= patience:
            items.append(item)
        else:
            waiting[item.path] = at if first is None else first
    return Garbage(tuple(items), keep, waiting, tuple(roots.unreadable))


def collect(
    home: Home,
    garbage: Garbage,
    pause: float = PAUSE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Freed:
    """Removes what was found.

    Args:
        pause: seconds for those who have just looked up a record that went to say so in their plan.

    Raises:
        WorkspaceException: the store cannot be read. What cannot be removed is no error: it is
            told, and the rest is removed.
    """
    failed: list[str] = []
    first = [each for each in garbage.items if each.kind == "record"]
    done = [each for each in first if _remove(home, _record_now(home, each), failed)]
    rest = [each for each in garbage.items if each.kind != "record"]
    if done and rest:
        sleep(pause)
    stuck = [each for each in first if each not in done]
    spared, looked = [], -LOOK_SECONDS
    for item in rest:
        if time.monotonic() - looked >= LOOK_SECONDS:
            roots, looked = _needed_now(home, garbage.keep, stuck), time.monotonic()
        if _is_needed(item, roots) or _is_touched(home, item, garbage.keep):
            spared.append(item)
        elif _remove(home, item, failed):
            done.append(item)
    _write_marks(home, garbage.waiting)
    return Freed(tuple(done), tuple(spared), tuple(failed))


def _needed_now(home: Home, keep: Keep, stuck: Iterable[Item]) -> Needed:
    roots = needed(home, keep)
    for each in stuck:  # a record that could not be removed keeps what it leads to
        if each.path in roots.records:
            keep_record(roots.records[each.path], roots)
    return roots


def _record_now(home: Home, item: Item) -> Item:
    """A record to remove, without the copy if that is of a newer one by now."""
    from airflow_aml.reuse.index import Index

    index, (path, *copies) = Index(home), item.files
    record = index.read(path)
    return replace(item, files=(path, *(each for each in copies if index.read(each) == record)))


def _is_touched(home: Home, item: Item, keep: Keep) -> bool:
    """Whether somebody has begun to use a thing since the first look."""
    if item.kind not in ("data", "staging", "snapshot"):
        return False
    root, last = home.store.local_root, 0.0
    if root is None:
        return _taken(home, item) > keep.at.timestamp()
    for path in item.files:
        with suppress(OSError):
            last = max(last, os.stat(os.path.join(root, path)).st_mtime)
    return last > keep.at.timestamp()


def _taken(home: Home, item: Item) -> float:
    """When a snapshot of a workspace that tells no times was taken last."""
    notes = (each for each in item.files if item.kind == "snapshot" and each.endswith(TAKEN))
    found = [read_note(home, each[: -len(TAKEN)]) for each in notes]
    return max((float(each["taken"]) for each in found if each), default=0.0)


def _patience(item: Item, roots: Needed, removed: set[str], keep: Keep, grace: float) -> float:
    """How long an unmentioned thing must have been left alone before it goes, in seconds."""
    if item.kind == "lease":
        return -GRACE_SECONDS  # its own document has told
    if item.passing is not None:
        return item.passing.seconds
    if item.kind == "run":
        return max(grace, keep.older_than)
    if item.kind == "data" and _id_of(item.path) in removed:
        return min(grace, keep.older_than)
    if item.kind == "staging" and _id_of(item.path) in roots.ids:
        return max(grace, RUNNING_SECONDS)  # a step may compute for days before it writes
    return grace


def _records(home: Home, roots: Needed) -> Iterator[Item]:
    """Records, each with the copy of it that is its step's latest, if it is that."""
    from airflow_aml.reuse.index import Index

    index = Index(home)
    for path, record in roots.records.items():
        copy = places.latest(record.dag_id, record.task_id, record.map_index)
        files = [path, copy] if index.read(copy) == record else [path]
        yield Item("record", path, len(record.to_bytes()) * len(files), tuple(files))


def _unneeded(home: Home, roots: Needed, at: float, outputs: Iterable[Item]) -> Iterator[Item]:
    """Everything but records and runs that nothing which stays mentions."""
    # As long as data lies in a datastore, the manifest that names it stays where it is.
    naming = {f"data/{each.passing.step}/" for each in outputs if each.passing}
    for kind, folder in (("data", "data/"), ("staging", "staging/")):
        for item in _folders(home, folder, kind):
            if not _is_needed(item, roots) and item.path not in naming:
                yield item
    yield from (item for item in outputs if not _is_needed(item, roots))
    for kind, folder in (
        ("snapshot", "snapshots/"),
        ("environment", places.ENVIRONMENTS),
        ("input", places.INPUTS),
    ):
        yield from (each for each in _files(home, folder, kind) if not _is_needed(each, roots))
    for item in _folders(home, places.LEASES, "lease"):
        if all(_is_over(home.store, path, at) for path in item.files):
            yield item


def _is_needed(item: Item, roots: Needed) -> bool:
    if item.kind == "run":
        return _id_of(item.path) not in {*roots.runs, *roots.headless}
    if item.kind == "data":
        return _id_of(item.path) in roots.ids
    if item.passing is not None:
        held = item.passing.step in roots.lasting
        return held or roots.named is None or roots.named.covers(item.passing)
    if item.kind in ("snapshot", "environment", "input"):
        name = item.path.rpartition("/")[2]
        return any(digest in name for digest in _digests_of(name) & roots.digests)
    return False


def _digests_of(name: str) -> set[str]:
    stem = name.partition(".")[0]
    return {stem.rpartition("-")[2]}


def _id_of(path: str) -> str:
    return next(iter(ids_in(path)), path)


def _folders(home: Home, prefix: str, kind: str, only: set[str] | None = None) -> Iterator[Item]:
    """The folders directly below a prefix, with all their files; on a disk empty ones too."""
    found: dict[str, tuple[int, list[str]]] = {name: (0, []) for name in _empty(home, prefix)}
    for each in home.store.find(prefix):
        name = each.path[len(prefix) :].partition("/")[0]
        size, files = found.get(name, (0, []))
        files.append(each.path)
        found[name] = (size + each.size, files)
    for name, (size, files) in sorted(found.items()):
        if only is None or name in only:
            yield Item(kind, f"{prefix}{name}/", size, tuple(files))


def _files(home: Home, prefix: str, kind: str) -> Iterator[Item]:
    """The files below a prefix, each with the note beside it, if it has one."""
    found = {each.path: each for each in home.store.find(prefix)}
    for path, each in found.items():
        note = found.get(path + TAKEN)
        if note is not None:
            yield Item(kind, path, each.size + note.size, (note.path, path))
        elif not (path.endswith(TAKEN) and path[: -len(TAKEN)] in found):
            yield Item(kind, path, each.size, (path,))


def _empty(home: Home, prefix: str) -> Iterable[str]:
    root = home.store.local_root
    if root is None:
        return []
    try:
        with os.scandir(os.path.join(root, prefix)) as entries:
            return [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_over(store: Store, path: str, at: float) -> bool:
    try:
        document: Any = json.loads(store.read(path))
        return document["released"] is True or document["expires"] + GRACE_SECONDS < at
    except (OSError, AirflowAmlError, ValueError, LookupError, TypeError):
        return True


class _Since:
    """Since when a thing has not been touched, or not been mentioned where no times are told."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._root = home.store.local_root
        self._marks = {} if self._root is not None else _read_marks(home)

    def first(self, item: Item) -> float | None:
        """Seconds since 1970; None if it was not noticed before."""
        if item.passing is not None and item.passing.written is not None:
            return item.passing.written
        if self._root is None:
            noticed = self._marks.get(item.path)
            return None if noticed is None else max(noticed, _taken(self._home, item))
        newest = 0.0
        own = (item.passing.document,) if item.passing else (item.path, *item.files)
        for path in own:
            try:
                newest = max(newest, os.stat(os.path.join(self._root, path)).st_mtime)
            except OSError:
                continue
        return newest


def _read_marks(home: Home) -> dict[str, float]:
    try:
        document = json.loads(home.store.read(MARKS))
        return {str(path): float(first) for path, first in document["since"].items()}
    except (OSError, AirflowAmlError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _write_marks(home: Home, waiting: Mapping[str, float]) -> None:
    if home.store.local_root is None:
        document = {"version": 1, "since": dict(waiting)}
        home.store.write(MARKS, json.dumps(document).encode())


def _remove(home: Home, item: Item, failed: list[str]) -> bool:
    try:
        root = home.store.local_root
        # Into a lease's folder another one may have come since.
        whole = item.path.endswith("/") and (item.kind != "lease" or not item.files)
        if item.passing is not None:
            passing.remove(home, item.passing)
        elif root is not None and whole:
            _remove_tree(os.path.join(root, item.path.rstrip("/")))
        else:
            for start in range(0, len(item.files), _AT_ONCE):
                home.store.delete(item.files[start : start + _AT_ONCE])
    except (OSError, AirflowAmlError) as error:
        failed.append(f"{item.path} could not be removed: {error}")
        return False
    return True


def _remove_tree(place: str) -> None:
    passing.open_folders(place)
    with suppress(FileNotFoundError):
        shutil.rmtree(place)

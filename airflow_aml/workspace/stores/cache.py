"""A worker's cache of downloaded files, by content: what one step fetched the next need not.

::

    <root>/entries/<name[:2]>/<name>    a file; <name> is made from its digest
    <root>/parts/<name>/                a download under way
    <root>/parts/<name>.lock            held (flock) by the process that it belongs to
    <root>/evict.lock                   held by the one process that makes room

Staged files are hard links to the entries: a step keeps the files that it was given when they are
evicted meanwhile, and they can be seen from inside a container. Entries are read-only and all have
one modification time, so one that a script wrote to regardless (root may) is known by a stat,
dropped, and fetched again. On another file system than the cache's, files are copied.

Processes on one machine share a cache: an entry is downloaded by one of them while the others
wait, and a process that is killed leaves nothing that another would take for an entry.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.stores.base import Progress, Store
from airflow_aml.workspace.stores.paths import checked

StagedFile = Tuple[str, str, int]
"""A file to stage: its path in the store, its digest as ``<algorithm>:<value>``, its size."""

_WRITTEN = 1_000_000_000_000_000_000
_READ_ONLY = 0o444
_AT_ONCE = 200
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP)
_HASHES = ("sha256", "md5", "blake3")


class _Wanted(NamedTuple):
    path: str
    digest: str
    size: int
    entry: str
    target: str


class _Entry(NamedTuple):
    used: int
    size: int
    path: str


class Cache:
    """A cache in a folder, which is made when it is first used.

    Args:
        root: the folder; on the file system where steps run, so that nothing is copied.
        max_bytes: what it may hold when no step runs; a step may need more for its time.
    """

    def __init__(self, root: str, max_bytes: int) -> None:
        self._root = os.path.abspath(root)
        self._max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"Cache({self._root!r}, {self._max_bytes})"

    def stage(
        self,
        store: Store,
        files: Sequence[StagedFile],
        target: str,
        prefix: str = "",
        progress: Optional[Progress] = None,
    ) -> None:
        """Lets the files appear, read-only, in the folder ``target``.

        Args:
            store: where they are.
            files: which ones. A digest by SHA-256, MD5 or BLAKE3 is checked after the download;
                one of another kind (``etag:...``) must name the content for certain.
            target: each appears there under its path without the prefix.
            prefix: what all paths begin with.
            progress: hears of downloads; what the cache had counts.

        Raises:
            FileNotFoundError: a file is not in the store.
            WorkspaceException: the store or the cache cannot be used, or a file's content is not
                what its digest says.
        """
        wanted = [self._wanted(store, each, target, prefix) for each in files]
        try:
            self._stage(store, wanted, progress)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise WorkspaceException(
                f"the cache cannot be used: {error.strerror or error}.", where=self._root
            ) from error

    def add(self, files: Sequence[Tuple[str, str]]) -> None:
        """Takes in local files, each with its digest, that are in some store by now.

        They become read-only entries by a hard link; where that cannot be they are left out, as it
        would cost a copy what may never be asked for. No file may be written to afterwards.
        """
        size = 0
        with suppress(OSError):
            for path, digest in files:
                status = os.stat(path)
                if status.st_size > self._max_bytes:
                    continue
                entry = self._entry(digest)
                os.makedirs(os.path.dirname(entry), exist_ok=True)
                os.chmod(path, _READ_ONLY)
                os.utime(path, ns=(time.time_ns(), _WRITTEN))
                with suppress(FileExistsError):
                    os.link(path, entry)
                    size += status.st_size
            if size:
                os.makedirs(os.path.join(self._root, "parts"), exist_ok=True)
                self._make_room(0)

    def bytes(self) -> int:
        """How many bytes the entries have."""
        return sum(entry.size for entry in self._entries())

    def _stage(self, store: Store, wanted: List[_Wanted], progress: Optional[Progress]) -> None:
        for folder in {os.path.dirname(each.target) for each in wanted}:
            os.makedirs(folder, exist_ok=True)
        os.makedirs(os.path.join(self._root, "parts"), exist_ok=True)
        missing = [each for each in wanted if not _place(each)]
        if progress is not None and len(missing) < len(wanted):
            got = len(wanted) - len(missing)
            progress(got, sum(each.size for each in wanted) - sum(each.size for each in missing))
        if not missing:
            return
        self._make_room(sum(each.size for each in missing))
        self._fetch_all(store, missing, progress)
        self._make_room(0)

    def _wanted(self, store: Store, file: StagedFile, target: str, prefix: str) -> _Wanted:
        path, digest, size = file
        relative = path[len(prefix) :].lstrip("/") if path.startswith(prefix) else path
        checked(relative or "/", store.url)
        return _Wanted(path, digest, size, self._entry(digest), os.path.join(target, relative))

    def _entry(self, digest: str) -> str:
        name = hashlib.sha256(digest.encode()).hexdigest()
        return os.path.join(self._root, "entries", name[:2], name)

    def _fetch_all(
        self, store: Store, missing: List[_Wanted], progress: Optional[Progress]
    ) -> None:
        by_entry: Dict[str, List[_Wanted]] = {}
        for each in missing:
            by_entry.setdefault(each.entry, []).append(each)
        names = sorted(by_entry)
        others: List[str] = []
        for start in range(0, len(names), _AT_ONCE):
            batch = [by_entry[name] for name in names[start : start + _AT_ONCE]]
            with self._locked(batch, wait=False) as (ours, busy):
                self._fetch(store, ours, progress)
            others.extend(group[0].entry for group in busy)
        # Last, and with nothing held that another process may wait for: what others fetch now.
        for name in others:
            with self._locked([by_entry[name]], wait=True) as (ours, _):
                self._fetch(store, ours, progress)

    def _fetch(
        self, store: Store, groups: List[List[_Wanted]], progress: Optional[Progress]
    ) -> None:
        """Downloads what is still missing; the entries' locks are held."""
        absent = [group for group in groups if not _place(group[0])]
        pairs = [(group[0].path, self._part(group[0])) for group in absent]
        store.download(pairs, progress, skip_same=False)
        for group, (_, part) in zip(absent, pairs):
            _keep(store, group[0], part)
        for group in groups:
            # From the first, not from the entry: that may be evicted already.
            for each in group[1:]:
                _link(group[0].target, each.target)

    def _part(self, wanted: _Wanted) -> str:
        return os.path.join(self._root, "parts", os.path.basename(wanted.entry), "file")

    @contextmanager
    def _locked(
        self, groups: List[List[_Wanted]], wait: bool
    ) -> Iterator[Tuple[List[List[_Wanted]], List[List[_Wanted]]]]:
        """Holds the locks of these entries: those that could be had, and those that could not."""
        ours: List[List[_Wanted]] = []
        busy: List[List[_Wanted]] = []
        held: List[Tuple[int, str]] = []
        try:
            for group in groups:
                folder = os.path.dirname(self._part(group[0]))
                lock = _lock(f"{folder}.lock", wait)
                if lock is None:
                    busy.append(group)
                else:
                    held.append((lock, folder))
                    ours.append(group)
            yield ours, busy
        finally:
            for lock, folder in held:
                _clear(lock, folder)

    def _make_room(self, coming: int) -> None:
        """Removes what was not used for longest until so many bytes may come."""
        # Who has nothing more to bring looks last: another's look may be from before that came.
        lock = _lock(os.path.join(self._root, "evict.lock"), wait=not coming)
        if lock is None:  # another process is at it
            return
        try:
            entries = sorted(self._entries())
            total = sum(entry.size for entry in entries)
            for entry in entries:
                if total + coming <= self._max_bytes:
                    break
                _remove(entry.path)
                total -= entry.size
            self._sweep()
        finally:
            os.close(lock)

    def _entries(self) -> Iterator[_Entry]:
        root = os.path.join(self._root, "entries")
        for folder in os.listdir(root) if os.path.isdir(root) else ():
            with os.scandir(os.path.join(root, folder)) as found:
                for each in found:
                    try:
                        status = each.stat()
                    except FileNotFoundError:  # evicted meanwhile
                        continue
                    yield _Entry(status.st_atime_ns, status.st_size, each.path)

    def _sweep(self) -> None:
        """Removes what killed processes left of downloads: what nobody holds the lock of."""
        root = os.path.join(self._root, "parts")
        for name in {os.path.splitext(each)[0] for each in os.listdir(root)}:
            folder = os.path.join(root, name)
            lock = _lock(f"{folder}.lock", wait=False)
            if lock is not None:
                _clear(lock, folder)


def _clear(lock: int, folder: str) -> None:
    """Gives back a lock; nothing is left of the download that it was for."""
    shutil.rmtree(folder, ignore_errors=True)
    _remove(f"{folder}.lock")
    os.close(lock)


def _lock(path: str, wait: bool) -> Optional[int]:
    """An open file that holds the lock of that name; None when another holds it."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(lock)
            return None
        # Who held it before removed the name, so that the next comer locks another file.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        os.close(lock)


def _place(wanted: _Wanted) -> bool:
    """Lets the file appear, if its entry is there and whole."""
    try:
        status = os.stat(wanted.entry)
        if status.st_size != wanted.size or status.st_mtime_ns != _WRITTEN:
            _remove(wanted.entry)
            return False
        _link(wanted.entry, wanted.target)
        with suppress(PermissionError):  # another user's; it was linked or copied all the same
            os.utime(wanted.entry, ns=(time.time_ns(), _WRITTEN))
    except FileNotFoundError:  # evicted, now or before
        return False
    return True


def _link(entry: str, target: str) -> None:
    if os.path.lexists(target):
        os.unlink(target)
    try:
        os.link(entry, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(entry, target)
        os.chmod(target, _READ_ONLY)


def _keep(store: Store, wanted: _Wanted, part: str) -> None:
    """Lets a download appear and makes an entry of it, if it is what it should be."""
    size = os.stat(part).st_size
    if size != wanted.size or not _is_content(part, wanted.digest):
        os.unlink(part)
        raise WorkspaceException(
            "the file is not what it was when it was listed or committed.",
            where=store.uri(wanted.path),
            hint="It was changed or damaged in the store; run the step that made it again.",
        )
    os.chmod(part, _READ_ONLY)
    os.utime(part, ns=(time.time_ns(), _WRITTEN))
    _link(part, wanted.target)
    os.makedirs(os.path.dirname(wanted.entry), exist_ok=True)
    os.replace(part, wanted.entry)


def _is_content(part: str, digest: str) -> bool:
    """Whether a file has that digest, as far as this interpreter can tell."""
    from airflow_aml.workspace.digests import digest_file

    algorithm = digest.partition(":")[0]
    if algorithm not in _HASHES:
        return True
    try:
        return digest_file(part, algorithm) == digest
    except ImportError:  # BLAKE3 is not installed in this interpreter
        return True


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)

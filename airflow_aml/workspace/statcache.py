"""What this worker has read before: digests of files whose stat is what it was then.

A file whose mode, device, inode, size, mtime and ctime are unchanged is not read again; ``ctime``
tells of other bytes even where size and mtime were put back. Git's rule holds: a file that had
been changed only just before it was read may have been changed once more in the same tick of its
disk's clock, so what is known about it does not count (:func:`long_ago`).

For each folder there is one file with all rows, for each single file a small one. A writer replaces
it in one step and the last one wins. Whatever is missing, damaged, of another release or cannot be
written costs time only.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Sequence
from zlib import crc32

from airflow_aml.workspace.measure import DIGEST_BYTES, STAT_BYTES
from airflow_aml.workspace.tree import Part

KEPT_DAYS = 30
"""What was not used for so long is removed."""

FINE_NS = 100_000_000
COARSE_NS = 2_500_000_000
"""How long before it was read a file must have been changed last, on disks of this machine that
tell nanoseconds and on all others: these may count in seconds, or have a clock of their own."""

_MAGIC = b"airflow-aml stat 1 " + sys.byteorder.encode()[:1]
_HEAD = struct.Struct("<20s?16s32sQQQQQL")
_SUM = struct.Struct("<L")
_STATS = struct.Struct("6q")
_UNSIGNED = (1 << 64) - 1
_DAY = 86400


class Known(NamedTuple):
    """What is known about a folder.

    Attributes:
        settled: every row counts, so the digest does.
        stamp: 16 bytes that no other entry has.
        digest: of the record over all rows, 32 bytes.
        files: how many.
        size: what they hold, in bytes.
        names: every file's name; see :func:`names_of`.
        stats: their numbers, :data:`~airflow_aml.workspace.measure.STAT_BYTES` a file.
        digests: 32 bytes a file.
        counts: a byte a file: whether its row counts.
    """

    settled: bool
    stamp: bytes
    digest: bytes
    files: int
    size: int
    names: bytes
    stats: bytes
    digests: bytes
    counts: bytes


class Rows(NamedTuple):
    """The rows of one folder's own files: a slice of each of :class:`Known`'s columns."""

    names: bytes
    stats: bytes
    digests: bytes
    counts: bytes


@dataclass(frozen=True)
class StatCache:
    """The worker's memory, in a folder that need not exist; None remembers nothing."""

    folder: Optional[str] = None

    def tree(self, key: Sequence[str]) -> Optional[Known]:
        """What is known about a folder: ``key`` holds its path and what the digest is of."""
        data = self._read("trees", key)
        return None if data is None else _parsed(data)

    def keep_tree(self, key: Sequence[str], known: Known) -> None:
        """Remembers it, instead of what was known before."""
        self._write("trees", key, _written(known))

    def file(self, key: Sequence[str], stats: bytes) -> Optional[bytes]:
        """What is known about a single file that has this stat now."""
        data = self._read("files", key)
        if data is None or len(data) < _SUM.size:
            return None
        body = data[: -_SUM.size]
        start = _MAGIC + stats
        if _SUM.pack(crc32(body)) != data[-_SUM.size :] or not body.startswith(start):
            return None
        return body[len(start) :]

    def keep_file(self, key: Sequence[str], stats: bytes, fact: bytes) -> None:
        """Remembers it for as long as the file has this stat."""
        body = _MAGIC + stats + fact
        self._write("files", key, body + _SUM.pack(crc32(body)))

    def _path(self, kind: str, key: Sequence[str]) -> str:
        from hashlib import sha256

        assert self.folder is not None
        name = sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return os.path.join(self.folder, kind, name[:2], name)

    def _read(self, kind: str, key: Sequence[str]) -> Optional[bytes]:
        if self.folder is None:
            return None
        path = self._path(kind, key)
        try:
            with open(path, "rb", buffering=0) as stream:
                if time.time() - os.fstat(stream.fileno()).st_mtime > _DAY:
                    os.utime(path)  # it is in use: not to be removed
                return stream.read()
        except OSError:
            return None

    def _write(self, kind: str, key: Sequence[str], data: bytes) -> None:
        from airflow_aml.workspace.documents import write_bytes

        if self.folder is None:
            return
        path = self._path(kind, key)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            write_bytes(path, data, durable=False)
        except OSError:
            return
        self._sweep()

    def _sweep(self) -> None:
        """Once a day: removes what was not used for long, and what killed writers left."""
        assert self.folder is not None
        now = time.time()
        try:
            mark = os.path.join(self.folder, "swept")
            if os.path.exists(mark) and abs(now - os.stat(mark).st_mtime) < _DAY:
                return
            with open(mark, "wb"):
                os.utime(mark)
            for folder, _, names in os.walk(self.folder):
                for name in names:
                    days = 1 if name.endswith(".tmp") else KEPT_DAYS
                    path = os.path.join(folder, name)
                    if now - os.stat(path).st_mtime > days * _DAY:
                        os.unlink(path)
        except OSError:  # another process is at it
            return


def worker_cache() -> StatCache:
    """This worker's, where :func:`~airflow_aml.workspace.caches.cache_folder` says."""
    from airflow_aml.workspace.caches import cache_folder

    return StatCache(os.path.join(cache_folder(), "stat"))


def long_ago(stats: bytes, started: int) -> bool:
    """Whether a file was changed so long before it was read that a later change would show.

    Args:
        stats: the file's numbers, packed.
        started: when reading it started, in ns since 1970.
    """
    return settles_at(stats) <= started


def settles_at(stats: bytes) -> int:
    """From when on, in ns since 1970, reading a file with these numbers is as good as for ever."""
    _, device, _, _, modified, changed = _STATS.unpack(stats)
    fine = modified % 1_000_000 and changed % 1_000_000
    # Network disks, and those in memory, are no devices: they have no major number.
    local = os.name == "posix" and os.major(device & _UNSIGNED) != 0
    newest: int = max(modified, changed)
    return newest + (FINE_NS if fine and local else COARSE_NS)


def names_of(parts: Sequence[Part]) -> bytes:
    """All names of a walk, in its order: folder, names, folder, names; neither sign is in any."""
    return b"\0".join([b"%b\0%b" % (part.prefix, part.names) for part in parts])


def by_folder(known: Known) -> Dict[bytes, Rows]:
    """What is known, by folder."""
    found = {}
    fields = known.names.split(b"\0") if known.names else []
    start = 0
    for prefix, names in zip(fields[::2], fields[1::2]):
        end = start + names.count(b"/") + 1
        found[prefix] = Rows(
            names,
            known.stats[start * STAT_BYTES : end * STAT_BYTES],
            known.digests[start * DIGEST_BYTES : end * DIGEST_BYTES],
            known.counts[start:end],
        )
        start = end
    return found


def reused(part: Part, rows: Optional[Rows]) -> List[Optional[bytes]]:
    """The digests of a folder's own files, as far as they are known."""
    names = part.names.split(b"/")
    if rows is None:
        return [None] * len(names)
    digests = cut(rows.digests, DIGEST_BYTES)
    if part.stats == rows.stats and part.names == rows.names and 0 not in rows.counts:
        return list(digests)
    before = zip(rows.names.split(b"/"), cut(rows.stats, STAT_BYTES), digests, rows.counts)
    known = {(name, stats): digest for name, stats, digest, counts in before if counts}
    return [known.get(each) for each in zip(names, cut(part.stats, STAT_BYTES))]


def cut(column: bytes, width: int) -> List[bytes]:
    """A column's pieces of that many bytes."""
    return [column[at : at + width] for at in range(0, len(column), width)]


def _written(known: Known) -> bytes:
    head = _HEAD.pack(
        _MAGIC,
        known.settled,
        known.stamp,
        known.digest,
        known.files,
        known.size,
        len(known.names),
        len(known.stats),
        len(known.digests),
        crc32(known.counts, crc32(known.digests)),
    )
    columns = (known.names, known.stats, known.digests, known.counts)
    return b"".join((head, _SUM.pack(crc32(head)), *columns))


def _parsed(data: bytes) -> Optional[Known]:
    start = _HEAD.size + _SUM.size
    if len(data) < start or _SUM.pack(crc32(data[: _HEAD.size])) != data[_HEAD.size : start]:
        return None
    magic, settled, stamp, digest, files, size, *lengths, total = _HEAD.unpack_from(data)
    columns = []
    for length in (*lengths, files):
        columns.append(data[start : start + length])
        start += length
    names, stats, digests, counts = columns
    whole = magic == _MAGIC and start == len(data) and len(digests) == files * DIGEST_BYTES
    if not whole or len(stats) != files * STAT_BYTES or crc32(counts, crc32(digests)) != total:
        return None
    return Known(settled, stamp, digest, files, size, names, stats, digests, counts)

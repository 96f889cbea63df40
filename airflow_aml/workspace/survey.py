"""One look at a folder: what it holds, read only as far as the worker's cache does not know it."""

from __future__ import annotations

import os
import time
from array import array
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from airflow_aml.workspace.digests import digest_table, table_names
from airflow_aml.workspace.hashing import Measured, measure_all
from airflow_aml.workspace.measure import (
    CTIME,
    DIGEST_BYTES,
    FIELDS,
    MTIME,
    SIZE,
    STAT_BYTES,
    facts,
    packed,
)
from airflow_aml.workspace.statcache import (
    COARSE_NS,
    Known,
    StatCache,
    by_folder,
    cut,
    long_ago,
    names_of,
    reused,
    settles_at,
)
from airflow_aml.workspace.tree import Part, Problem, Skip, parts

_BYTES_A_SECOND = 1 << 30
"""Faster than files are read: if waiting takes less, a file is waited for and then known."""

_LONGEST_WAIT = 5.0

_T = TypeVar("_T")


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        digest: of the record: its head, then path and content digest of every file.
        files: how many.
        size: what they hold, in bytes.
        stamp: the same as long as the cache finds nothing changed; None while it is not sure.
    """

    digest: str
    files: int
    size: int
    stamp: Optional[bytes]
    _algorithm: str
    _found: Sequence[Part]
    _stats: bytes
    _digests: bytes

    def holds(self, path: str) -> bool:
        """Whether a file is among them, by its POSIX path."""
        folder, _, name = path.encode().rpartition(b"/")
        prefix = folder + b"/" if folder else b""
        return any(part.prefix == prefix and name in part.names.split(b"/") for part in self._found)

    def rows(self) -> Iterator[Tuple[str, int, str]]:
        """Of every file, sorted by path: POSIX path, size in bytes, digest."""
        paths, order = self._order()
        if not paths:
            return iter(())
        digests = _texts(self._digests, f"{self._algorithm}:")
        return zip(
            b"\0".join(_taken(paths, order)).decode().split("\0"),
            _taken(_column(self._stats, SIZE), order),
            _taken(digests, order),
        )

    def modes(self) -> List[int]:
        """Of every file, in the order of :meth:`rows`."""
        return list(_taken(_column(self._stats, 0), self._order()[1]))

    def _order(self) -> Tuple[List[bytes], List[int]]:
        paths = _paths(self._found)
        return paths, _sorted(paths)


@lru_cache(maxsize=None)
def algorithm_here() -> str:
    """What content is hashed with in this interpreter."""
    from importlib import import_module

    try:
        import_module("blake3")
    except ImportError:
        return "sha256"
    return "blake3"


def survey(
    root: str,
    head: Tuple[Any, ...],
    algorithm: str,
    problem: Problem,
    cache: StatCache,
    skip: Optional[Skip] = None,
) -> Survey:
    """Looks at a folder.

    Args:
        root: its absolute path.
        head: the first parts of the record that the digest is of.
        algorithm: what files are hashed with.
        problem: told what cannot be kept; see :func:`~airflow_aml.workspace.tree.walk`.
        cache: what was known before, and is then.
        skip: what does not count.

    Raises:
        OSError: something cannot be read.
        WorkspaceException: a process that helped reading was killed.
    """
    key = (root, *map(str, head), algorithm)
    known = cache.tree(key)
    if known is None:
        return _first(root, head, algorithm, problem, cache, skip)
    found = list(parts(root, problem, skip))
    names = names_of(found)
    stats = b"".join([part.stats for part in found])
    if not known.settled or names != known.names or stats != known.stats:
        known = _updated(root, head, algorithm, known, found, names)
        cache.keep_tree(key, known)
    return _of_known(known, algorithm, found)


def measure_one(path: str, algorithm: str, cache: StatCache) -> Tuple[str, int]:
    """Digest and size of a single file, read unless it is known.

    Raises:
        OSError: it cannot be read.
    """
    key = (path, algorithm)
    stats = packed(facts(os.stat(path)))
    digest = cache.file(key, stats)
    if digest is None or len(digest) != DIGEST_BYTES:
        _let_it_settle([stats])
        started = time.time_ns()
        digest, stats = measure_all([[os.fsencode(path)]], algorithm)
        if long_ago(stats, started):
            cache.keep_file(key, stats, digest)
    return f"{algorithm}:{digest.hex()}", _column(stats, SIZE)[0]


def _first(
    root: str,
    head: Tuple[Any, ...],
    algorithm: str,
    problem: Problem,
    cache: StatCache,
    skip: Optional[Skip],
) -> Survey:
    """Of a folder that is not known: it is read while it is still being listed."""
    found: List[Part] = []
    table: List[_Table] = []
    base = os.path.join(os.fsencode(root), b"")

    def listed() -> Iterator[List[bytes]]:
        for part in parts(root, problem, skip, stats=False):
            found.append(part)
            above = base + part.prefix
            yield [above + name for name in part.names.split(b"/")]
        # While others still read.
        table.append(_table(head, algorithm, found))

    started = time.time_ns()
    measured = measure_all(listed(), algorithm)
    known = _known(table[0], names_of(found), measured, _counts(measured, started))
    cache.keep_tree((root, *map(str, head), algorithm), known)
    return _of_known(known, algorithm, found)


def _updated(
    root: str,
    head: Tuple[Any, ...],
    algorithm: str,
    known: Known,
    found: List[Part],
    names: bytes,
) -> Known:
    """What is known now: files that are unchanged are taken over, the others read."""
    before = by_folder(known)
    digests: List[Optional[bytes]] = []
    stats: List[bytes] = []
    for part in found:
        digests.extend(reused(part, before.get(part.prefix)))
        stats.extend(cut(part.stats, STAT_BYTES))
    counts = bytearray(b"\1") * len(digests)
    unknown = [at for at, digest in enumerate(digests) if digest is None]
    if unknown:
        paths = _paths(found)
        base = os.path.join(os.fsencode(root), b"")
        _let_it_settle([stats[at] for at in unknown])
        started = time.time_ns()
        read = measure_all([[base + paths[at] for at in unknown]], algorithm)
        results = zip(
            cut(read.digests, DIGEST_BYTES), cut(read.stats, STAT_BYTES), _counts(read, started)
        )
        for at, (digest, status, count) in zip(unknown, results):
            digests[at], stats[at], counts[at] = digest, status, count
    measured = Measured(b"".join([digest for digest in digests if digest]), b"".join(stats))
    if names == known.names and measured.digests == known.digests:
        return _known_again(known, measured, bytes(counts))
    return _known(_table(head, algorithm, found), names, measured, bytes(counts))


class _Table(NamedTuple):
    """The record without its digests: ``order`` is that of the rows."""

    head: Tuple[Any, ...]
    order: List[int]
    names: List[bytes]


def _table(head: Tuple[Any, ...], algorithm: str, found: Sequence[Part]) -> _Table:
    paths = _paths(found)
    order = _sorted(paths)
    return _Table(head, order, table_names(algorithm, list(_taken(paths, order))))


def _known(table: _Table, names: bytes, measured: Measured, counts: bytes) -> Known:
    texts = _texts(measured.digests)
    digests = [texts[at].encode() for at in table.order]
    return Known(
        0 not in counts,
        os.urandom(16),
        bytes.fromhex(digest_table(table.head, table.names, digests).partition(":")[2]),
        len(digests),
        sum(_column(measured.stats, SIZE)),
        names,
        measured.stats,
        measured.digests,
        counts,
    )


def _known_again(known: Known, measured: Measured, counts: bytes) -> Known:
    """After a touch: other stats, and nothing else."""
    return known._replace(
        settled=0 not in counts,
        stamp=os.urandom(16),
        size=sum(_column(measured.stats, SIZE)),
        stats=measured.stats,
        counts=counts,
    )


def _of_known(known: Known, algorithm: str, found: Sequence[Part]) -> Survey:
    return Survey(
        f"sha256:{known.digest.hex()}",
        known.files,
        known.size,
        known.stamp if known.settled else None,
        algorithm,
        found,
        known.stats,
        known.digests,
    )


def _counts(measured: Measured, started: int) -> bytes:
    """A byte a file: whether it had been at rest long enough when reading started."""
    times = (_column(measured.stats, MTIME), _column(measured.stats, CTIME))
    if max(max(each, default=0) for each in times) < started - COARSE_NS:
        return b"\1" * len(times[0])
    return bytes([long_ago(each, started) for each in cut(measured.stats, STAT_BYTES)])


def _let_it_settle(files: Sequence[bytes]) -> None:
    """Waits until large files that were changed just now can be known once they are read."""
    now = time.time_ns()
    waits = [0.0]
    for stats in files:
        wait = (settles_at(stats) - now) / 1e9
        if 0 < wait < min(_column(stats, SIZE)[0] / _BYTES_A_SECOND, _LONGEST_WAIT):
            waits.append(wait)
    time.sleep(max(waits))


def _texts(digests: bytes, start: str = "") -> List[str]:
    """Every digest in hexadecimal, with the same start."""
    joined = digests.hex(" ", DIGEST_BYTES)
    return (start + joined.replace(" ", f" {start}")).split(" ")


def _taken(values: Sequence[_T], order: Sequence[int]) -> Sequence[_T]:
    """The values in that order; half of what a loop would take."""
    return itemgetter(*order)(values) if len(order) > 1 else [values[at] for at in order]


def _column(stats: bytes, field: int) -> array[int]:
    """One number of every file."""
    return array("q", stats)[field::FIELDS]


def _paths(found: Sequence[Part]) -> List[bytes]:
    return [part.prefix + name for part in found for name in part.names.split(b"/")]


def _sorted(paths: List[bytes]) -> List[int]:
    """The order of the paths; of their text as well, which UTF-8 keeps."""
    return sorted(range(len(paths)), key=paths.__getitem__)

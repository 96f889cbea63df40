"""Hashing many files: in this process where they are few, with helpers where they are many.

Helpers are fresh interpreters, not forks: a task's process has threads and locks that a fork would
inherit half-held, and may be one that :mod:`multiprocessing` refuses. They end when their standard
input does, so none outlives the process that started it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace import measure as measuring
from airflow_aml.workspace.measure import (
    DIGEST_BYTES,
    HEAD,
    STAT_BYTES,
    hasher_of,
    measure,
)

MANY_FILES = 3000
"""From so many files on, helpers are worth their start."""

MANY_BYTES = 64 << 20
"""How much this process reads by itself before it asks for help with the other files."""

_MOST_HELPERS = 8
_BATCH = 250


class Measured(NamedTuple):
    """What was found out about a number of files, in their order.

    ``digests`` has 32 bytes a file; ``stats`` has what
    :func:`~airflow_aml.workspace.measure.packed` makes of their numbers.
    """

    digests: bytes
    stats: bytes


def measure_all(groups: Iterable[Sequence[bytes]], algorithm: str) -> Measured:
    """Reads every file of the groups, in order.

    Helpers start while ``groups`` is still being made, if it turns out to be long.

    Raises:
        OSError: a file cannot be read; its ``filename`` says which.
        WorkspaceException: a helper was killed.
    """
    waiting = iter(groups)
    paths: List[bytes] = []
    for group in waiting:
        paths.extend(group)
        if len(paths) >= MANY_FILES:
            break
    helpers = _helpers()
    if len(paths) >= MANY_FILES and helpers > 1:
        return _Crew(algorithm, helpers).measure(_chained(paths, waiting))
    for group in waiting:
        paths.extend(group)
    return _measure_few(paths, algorithm, helpers)


def _measure_few(paths: Sequence[bytes], algorithm: str, helpers: int) -> Measured:
    new = hasher_of(algorithm, helpers)
    first = Measured(*measure(paths, new, MANY_BYTES if helpers > 1 else 0))
    done = len(first.digests) // DIGEST_BYTES
    left = paths[done:]
    if not left:
        return first
    if len(left) == 1:
        rest = Measured(*measure(left, new))
    else:
        rest = _Crew(algorithm, min(helpers, len(left))).measure(iter([left]))
    return _joined([first, rest])


def _helpers() -> int:
    if not sys.executable or not os.path.isfile(measuring.__file__):
        return 1  # embedded, or run from the zip that travels with a step
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return min(cores, _MOST_HELPERS)


def _chained(first: List[bytes], others: Iterator[Sequence[bytes]]) -> Iterator[Sequence[bytes]]:
    yield first
    yield from others


def _joined(parts: Iterable[Measured]) -> Measured:
    found = list(parts)
    return Measured(
        b"".join([part.digests for part in found]), b"".join([part.stats for part in found])
    )


class _Crew:
    """Helpers at work: a thread each asks its helper for one batch after the other."""

    def __init__(self, algorithm: str, helpers: int) -> None:
        from queue import SimpleQueue

        self._command = [sys.executable, "-I", "-S", measuring.__file__, algorithm]
        if algorithm == "blake3":
            self._command.append(_folder_of("blake3"))
        self._helpers = helpers
        self._todo: SimpleQueue[Optional[Tuple[int, Sequence[bytes]]]] = SimpleQueue()
        self._done: Dict[int, List[Measured]] = {}
        self._failed: List[BaseException] = []

    def measure(self, groups: Iterable[Sequence[bytes]]) -> Measured:
        """Everything in its order. Whatever goes wrong, no helper is left."""
        from subprocess import PIPE, Popen
        from threading import Thread

        started = []
        try:
            for _ in range(self._helpers):
                process = Popen(self._command, stdin=PIPE, stdout=PIPE)
                started.append((process, Thread(target=self._serve, args=(process,), daemon=True)))
                started[-1][1].start()
            batches = 0
            for batch in _batches(groups):
                if self._failed:
                    break
                self._todo.put((batches, batch))
                batches += 1
            for _ in started:
                self._todo.put(None)
            for _, thread in started:
                thread.join()
        except BaseException:
            self._failed.append(InterruptedError())
            for process, _ in started:
                process.kill()
            raise
        finally:
            for process, thread in started:
                self._todo.put(None)
                thread.join()
                _end(process)
        if self._failed:
            raise self._failed[0]
        return _joined(part for number in range(batches) for part in self._done[number])

    def _serve(self, process: Any) -> None:
        try:
            while not self._failed:
                task = self._todo.get()
                if task is None:
                    return
                number, paths = task
                self._done[number] = list(_ask(process, paths))
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._failed.append(error)


def _ask(process: Any, paths: Sequence[bytes]) -> Iterator[Measured]:
    """The answers for one batch: a helper that has read much answers for the part it has done."""
    while paths:
        question = b"\0".join(paths)
        try:
            process.stdin.write(HEAD.pack(len(paths), len(question)) + question)
            process.stdin.flush()
        except BrokenPipeError as error:
            raise _lost(process) from error
        count, failed = HEAD.unpack(_read(process, HEAD.size))
        if failed:
            raise OSError(failed, os.strerror(failed), _read(process, count) or None)
        digests = _read(process, count * DIGEST_BYTES)
        yield Measured(digests, _read(process, count * STAT_BYTES))
        paths = paths[count:]


def _read(process: Any, length: int) -> bytes:
    data: bytes = process.stdout.read(length)
    if len(data) < length:
        raise _lost(process)
    return data


def _lost(process: Any) -> WorkspaceException:
    code = process.wait()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return WorkspaceException(
        f"files could not be hashed: a helper process {how}.",
        hint="Run it again; if the machine is short of memory, give it more.",
    )


def _end(process: Any) -> None:
    """A helper ends when its standard input does."""
    process.stdout.close()
    with suppress(OSError):  # what was still to be written may have no reader any more
        process.stdin.close()
    process.wait()


def _batches(groups: Iterable[Sequence[bytes]]) -> Iterator[Sequence[bytes]]:
    waiting: List[bytes] = []
    for group in groups:
        waiting.extend(group)
        full = len(waiting) - len(waiting) % _BATCH
        for start in range(0, full, _BATCH):
            yield waiting[start : start + _BATCH]
        del waiting[:full]
    # Few files are large ones: no helper should have much more to do than the others.
    few = max(1, len(waiting) // (2 * _MOST_HELPERS))
    for start in range(0, len(waiting), few):
        yield waiting[start : start + few]


def _folder_of(package: str) -> str:
    """What has to be on the path to import that package."""
    from importlib.util import find_spec

    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return os.path.dirname(os.path.dirname(spec.origin))

"""Finding and ending every process of one attempt, wherever it went.

Each process of an attempt inherits the :data:`~airflow_aml.runtime.COOKIE` variable, so even
one that left its session, its group and its parent is found in ``/proc``. Where there is no
``/proc`` (macOS) nothing is found, and the script's process group is all that is ended.

``python -m airflow_aml.runtime.sweep <attempt> <kill after> <folder>...`` ends an attempt and
removes its folders: what is left to do when the process that ran it was killed outright.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import Callable, List, Optional, Sequence

from airflow_aml.runtime import COOKIE

_PAUSE = 0.02
_KILL_PATIENCE = 5.0


def living(attempt: str) -> List[int]:
    """The ids of all running processes of that attempt, except the caller."""
    marker = b"\0%b=%b\0" % (COOKIE.encode(), os.fsencode(attempt))
    own = os.getpid()
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    return [pid for pid in map(int, filter(str.isdigit, names)) if pid != own and _has(pid, marker)]


def end_attempt(attempt: str, kill_after: float) -> int:
    """Ends all processes of that attempt, except the caller: SIGTERM, and SIGKILL if need be.

    Returns:
        How many processes there were.
    """
    return end_processes(lambda: living(attempt), kill_after)


def end_processes(
    find: Callable[[], List[int]],
    kill_after: float,
    pause: Callable[[float], object] = time.sleep,
) -> int:
    """Ends what ``find`` finds, until it finds nothing; ``pause`` waits a moment in between."""
    seen = set(find())
    for pid in seen:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + kill_after
    last = deadline + _KILL_PATIENCE
    now = time.monotonic()
    while now < last:
        left = find()
        seen.update(left)
        # Amid an exec, and from its last breath on, a process has no environment to be found by.
        if not left and not any(map(_runs, seen)):
            break
        if now >= deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
        pause(_PAUSE)
        now = time.monotonic()
    return len(seen)


def command_name(pid: int) -> Optional[str]:
    """What that process is called, for people."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as stream:
            return stream.read().strip()
    except OSError:
        return None


def _has(pid: int, marker: bytes) -> bool:
    try:
        descriptor = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
    except OSError:  # another user's, or gone
        return False
    data = b"\0"
    try:
        while True:
            chunk = os.read(descriptor, 1 << 17)
            if not chunk:
                return marker in data
            data += chunk
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _runs(pid: int) -> bool:
    """Whether it does; one that only waits for its parent to take note of its end does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


def _signal(pid: int, number: int) -> None:
    with suppress(OSError):  # it ended meanwhile, or became another user's
        os.kill(pid, number)


def main(arguments: Sequence[str]) -> None:
    """Ends an attempt and removes its folders."""
    from shutil import rmtree

    attempt, kill_after, *folders = arguments
    end_attempt(attempt, float(kill_after))
    for folder in folders:
        rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])

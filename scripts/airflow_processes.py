"""Starting long-running processes, and ending every process that came from them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil  # type: ignore[import-untyped]

MARKER = "LOCAL_AIRFLOW_INSTANCE"


class Terminated(KeyboardInterrupt):
    """A signal asked this program to end. Ends everything that Ctrl-C would end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass(frozen=True)
class RunningProcess:
    """One process that leads a session of its own, so that Ctrl-C in a terminal spares it."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.popen.poll()

    def last_lines(self, count: int = 15) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def spawn(
    name: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path
) -> RunningProcess:
    """Start a process in a session of its own, printing to its log."""
    with log.open("wb") as stream:
        popen = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return RunningProcess(name, popen, log)


def survivors(sessions: set[int], marker: str) -> list[psutil.Process]:
    """Every living process of these sessions, below them, or that carries the marker.

    All three are needed: a step's own session is found by descent, an orphan by its session, and an
    orphan with a session of its own by the marker in its environment.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getsid(process.pid) in sessions or process.environ().get(MARKER) == marker:
                found[process.pid] = process
                for child in process.children(recursive=True):
                    found[child.pid] = child
    found.pop(os.getpid(), None)
    return [process for process in found.values() if is_alive(process)]


def orphaned_sessions(recorded: Mapping[str, tuple[int, float]]) -> set[int]:
    """Of the sessions a killed program left behind, those that cannot be somebody else's by now.

    A number is not given out again while a session bears it, so with its leader gone it is ours.
    """
    ours = set()
    for pid, created in recorded.values():
        if created < psutil.boot_time():
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).create_time() != created:
                continue
        ours.add(pid)
    return ours


def is_alive(process: psutil.Process) -> bool:
    """Whether it still executes; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(sessions: set[int], marker: str, patience: float = 10.0) -> None:
    """End these sessions and all that came from them: ask, wait, then kill what is left."""
    asked = survivors(sessions, marker)
    send(asked, signal.SIGTERM)
    wait_for_end(asked, patience)
    for _ in range(5):
        left = [*survivors(sessions, marker), *filter(is_alive, asked)]
        if not left:
            break
        send(left, signal.SIGKILL)
        wait_for_end(left, 2)


def wait_for_end(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Wait until none of them executes any more, or the time is up."""
    deadline = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)


def send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """While inside, SIGTERM and SIGHUP unwind the program like Ctrl-C does."""

    def unwind(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    with handling({signal.SIGTERM: unwind, signal.SIGHUP: unwind}):
        yield


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """While inside, a signal does not disturb; a second Ctrl-C must not stop the tidying up."""
    ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with handling(dict.fromkeys(ignored, signal.SIG_IGN)):
        yield


@contextlib.contextmanager
def handling(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Install signal handlers and put the previous ones back; only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

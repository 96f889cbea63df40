"""Running the user's script: its output as it comes, and nothing of it left behind."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.masking import hide
from airflow_aml.runtime.stopping import Stop
from airflow_aml.runtime.sweep import command_name, end_processes, living

CHUNK = 1 << 16
TAIL_LINES = 40
TAIL_LINE_LENGTH = 2000

_LEFTOVER_GRACE = 2.0
_LEFTOVER_PATIENCE = 0.3
"""Helpers of well-behaved programs (multiprocessing's tracker) end a moment after their parent."""

_DRAIN = 0.5
_HEARTBEAT = 0.5
"""How often somebody looks whether this process's own parent is still there, in seconds."""


Sink = Callable[[bytes], None]
"""Takes whole lines of the script's output; OSError says that nobody reads them any more."""


def descriptor(number: int) -> Sink:
    """A sink that writes to one of this process's own descriptors."""

    def write(data: bytes) -> None:
        _write_all(number, data)

    return write


STANDARD = (descriptor(1), descriptor(2))
"""This process's own stdout and stderr."""


class Ended(NamedTuple):
    """How the script ended: its exit code, negative for the signal that ended it.

    ``cause`` is a sentence that says why, where that is known for certain.
    """

    exit_code: int
    seconds: float
    stderr_tail: Tuple[str, ...]
    warnings: Tuple[str, ...]
    cause: str = ""


def run_script(
    command: Sequence[str],
    *,
    cwd: str,
    environ: Mapping[str, str],
    attempt: str,
    stop: Stop,
    kill_after: float,
    meanwhile: Callable[[], object] = lambda: None,
    sinks: Tuple[Sink, Sink] = STANDARD,
) -> Ended:
    """Runs the command in a session of its own until it and all of its processes have ended.

    Its stdout and stderr go to the two ``sinks``, in whole lines, as raw bytes. When
    ``stop`` is requested its group gets SIGTERM, and SIGKILL ``kill_after`` seconds later. What
    is still alive after the script itself ended is ended too, with a warning. ``meanwhile`` is
    called once while the script starts.

    Raises:
        UserErrorException: the command cannot be started.
    """
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        raise UserErrorException(
            f"the script cannot be started with {command[0]}: {error}.",
            hint="Check the interpreter of the step's environment and the length of its arguments.",
        ) from error
    script = _Script(process, attempt, stop, kill_after, started, sinks)
    meanwhile()
    return script.follow()


class WholeLines:
    """One of the script's streams. It passes on whole lines, so that two streams do not mix."""

    def __init__(self, sink: Sink, stop: Stop) -> None:
        self._tail = b""
        self._sink: Optional[Sink] = sink
        self._stop = stop
        self._rest = b""

    @property
    def last_lines(self) -> Tuple[str, ...]:
        """The last lines that have passed."""
        return _last_lines(hide(self._tail))

    def feed(self, chunk: bytes) -> None:
        """Passes on what is whole by now."""
        self._tail = (self._tail + chunk)[-CHUNK:]
        lines, newline, rest = chunk.rpartition(b"\n")
        if newline:
            self._write(self._rest + lines + newline)
            self._rest = rest
        else:
            self._rest += chunk
        if len(self._rest) >= CHUNK:
            self._write(self._rest)
            self._rest = b""

    def flush(self) -> None:
        """Passes on the line that was never finished."""
        if self._rest:
            self._write(self._rest + b"\n")
            self._rest = b""

    def _write(self, data: bytes) -> None:
        if self._sink is None:
            return
        try:
            self._sink(hide(data))
        except OSError:
            self._sink = None
            self._stop.request("nobody reads the output of the step any more")


class _Stream(WholeLines):
    """A stream that comes from a descriptor."""

    def __init__(self, source: int, sink: Sink, stop: Stop) -> None:
        super().__init__(sink, stop)
        self.source = source
        os.set_blocking(source, False)

    def pump(self) -> bool:
        """Passes on what is there; False at the end of the stream."""
        try:
            chunk = os.read(self.source, CHUNK)
        except BlockingIOError:
            return True
        if chunk:
            self.feed(chunk)
        return bool(chunk)


class _Script:
    """A running script."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        attempt: str,
        stop: Stop,
        kill_after: float,
        started: float,
        sinks: Tuple[Sink, Sink],
    ) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._attempt = attempt
        self._stop = stop
        self._kill_after = kill_after
        self._started = started
        self._kill_at: Optional[float] = None
        self._warnings: List[str] = []
        self._stderr = _Stream(process.stderr.fileno(), sinks[1], stop)
        streams = [_Stream(process.stdout.fileno(), sinks[0], stop), self._stderr]
        self._open: Dict[int, _Stream] = {each.source: each for each in streams}
        self._selector = selectors.DefaultSelector()
        self._end: Optional[int] = _readable_at_end(process.pid)
        for source in [*self._open, stop.wakeup]:
            self._selector.register(source, selectors.EVENT_READ)
        if self._end is not None:
            self._selector.register(self._end, selectors.EVENT_READ)
        if stop.watched is not None:
            self._watch_stdin(stop.watched)

    def follow(self) -> Ended:
        """Waits for the end of the script and of everything it started."""
        streams = list(self._open.values())
        with self._process:
            try:
                while not self._exited():
                    self._wait(_HEARTBEAT)
                    self._stop_if_asked()
                self._stop_watching_its_end()
                seconds = time.monotonic() - self._started
                self._end_leftovers()
            finally:
                # Not reaped yet, so the number of its group cannot belong to anybody else.
                self._signal_group(signal.SIGKILL)
            exit_code = self._process.wait()
            self._drain()
            for stream in streams:
                stream.flush()
        self._selector.close()
        return Ended(exit_code, seconds, self._stderr.last_lines, tuple(self._warnings))

    def _watch_stdin(self, descriptor: int) -> None:
        try:
            self._selector.register(descriptor, selectors.EVENT_READ)
        except OSError:  # a plain file cannot be watched, and never ends
            self._stop.watched = None

    def _stop_watching_its_end(self) -> None:
        # Ready from now on, it would end every wait at once.
        if self._end is not None:
            self._selector.unregister(self._end)
            os.close(self._end)
            self._end = None

    def _exited(self) -> bool:
        if hasattr(os, "waitid"):
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._process.pid, options) is not None
        return self._process.poll() is not None

    def _wait(self, timeout: float) -> None:
        if self._kill_at is not None:
            timeout = max(0.0, min(timeout, self._kill_at - time.monotonic()))
        watched = self._stop.watched
        for key, _ in self._selector.select(timeout):
            stream = self._open.get(key.fd)
            if stream is None:
                continue
            if not stream.pump():
                self._selector.unregister(key.fd)
                del self._open[key.fd]
        self._stop.look()
        if watched is not None and self._stop.watched is None:
            self._selector.unregister(watched)

    def _stop_if_asked(self) -> None:
        if not self._stop.requested:
            return
        now = time.monotonic()
        if self._kill_at is None:
            self._kill_at = now + self._kill_after
            self._signal_group(signal.SIGTERM)
        elif now >= self._kill_at:
            self._kill_at = now + 1.0
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        with suppress(OSError):  # all of it has ended
            os.killpg(self._process.pid, number)

    def _end_leftovers(self) -> None:
        self._kill_at = None
        found = self._living()
        patience = 0.0 if self._stop.requested else _LEFTOVER_PATIENCE
        deadline = time.monotonic() + patience
        while found and time.monotonic() < deadline:
            self._wait(0.01)
            found = self._living()
        if not found:
            return
        names = sorted({command_name(pid) or "?" for pid in found})
        count = end_processes(self._living, _LEFTOVER_GRACE, self._wait)
        if not self._stop.requested:
            self._warnings.append(
                f"The script left {count} process{'es' if count > 1 else ''} behind "
                f"({', '.join(names)}); what a step starts ends with it."
            )

    def _living(self) -> List[int]:
        return [pid for pid in living(self._attempt) if pid != self._process.pid]

    def _drain(self) -> None:
        deadline = time.monotonic() + _DRAIN
        while self._open and time.monotonic() < deadline:
            self._wait(max(0.0, deadline - time.monotonic()))
        if self._open:
            self._warnings.append(
                "A process that could not be found still holds the script's output open; "
                "what it writes from now on is lost."
            )


def _readable_at_end(pid: int) -> Optional[int]:
    """A descriptor that becomes readable when that child ends, where the system has such."""
    try:
        return os.pidfd_open(pid)  # type: ignore[attr-defined,unused-ignore]
    except (AttributeError, OSError):  # before Python 3.9, or not on Linux: SIGCHLD wakes
        return None


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        # A terminal or pipe that others share may have been made non-blocking by them.
        select.select([], [sink], [])
        with suppress(BlockingIOError):
            view = view[os.write(sink, view[:CHUNK]) :]


def _last_lines(data: bytes) -> Tuple[str, ...]:
    lines = data.decode("utf-8", "backslashreplace").rstrip("\n").split("\n")
    return tuple(line.rstrip("\r")[-TAIL_LINE_LENGTH:] for line in lines[-TAIL_LINES:] if data)

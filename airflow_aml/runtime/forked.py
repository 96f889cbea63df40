"""The runtime as a fork of a task's process, which has loaded all of it already.

Starting a Python of its own for the runtime, only to have that start another for the script, takes
longer than everything else around a short script. A fork has the same place in every other respect:
a session, pipes and variables of its own, and nothing open that belongs to its parent. It is made
before its job is known, so that it gets ready while the task's process finds out.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Dict, List, Mapping, NoReturn, Optional, TextIO, Tuple

from airflow_aml.runtime import RUNTIME_ERROR
from airflow_aml.runtime.entry import WATCH_STDIN, main

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DONE = 3
"""The fork's descriptor on which it tells its exit code."""

_UNREAPED: List[int] = []
_OLD_STREAMS: List[TextIO] = []


def fork_runtime() -> Optional[ForkedRuntime]:
    """A fork that waits for its job; None where a copy of this process would not be safe.

    Another thread's locks would stay locked in it for ever.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return None
    return ForkedRuntime() if alone else None


class ForkedRuntime:
    """A fork; to its user, a ``subprocess.Popen`` with pipes that has yet to :meth:`go`.

    When its stdin is closed before that, at the latest with this process, it ends.
    """

    def __init__(self) -> None:
        self.returncode: Optional[int] = None
        self.pid = 0
        _reap()
        stdin, writing = os.pipe()
        reading, stdout = os.pipe()
        self._done, done = os.pipe()
        # One that comes before the child has its own handlers must not find this process's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _become_runtime((stdin, stdout, done))
        finally:
            self.stdin = os.fdopen(writing, "wb", buffering=0)
            self.stdout = os.fdopen(reading, "rb", buffering=0)
            for end in (stdin, stdout, done):
                os.close(end)
            os.set_blocking(self._done, False)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __del__(self) -> None:
        os.close(self._done)
        if self.pid:
            _UNREAPED.append(self.pid)

    def go(self, job: str, cwd: Optional[str], environ: Mapping[str, str]) -> ForkedRuntime:
        """Starts it on the job document of that path, in that folder, with these variables."""
        orders = {"job": job, "cwd": cwd, "environ": dict(environ)}
        left = memoryview(json.dumps(orders).encode() + b"\n")
        with suppress(BrokenPipeError):  # it is dead, which is noticed in due course
            while left:
                left = left[os.write(self.stdin.fileno(), left) :]
        return self

    def poll(self) -> Optional[int]:
        """The exit code, negative for a signal; None while it runs.

        It is known as soon as the work is over: that all its memory is given back can take longer
        than the work did.
        """
        if self.returncode is None:
            with suppress(BlockingIOError):
                told = os.read(self._done, 8)
                # A signal handler may have been here meanwhile, and read it first.
                if self.returncode is None:
                    self.returncode = int(told) if told else self._exit_code()
        return self.returncode

    def wait(self) -> int:
        """Waits for the end and returns the exit code."""
        code = self.poll()
        while code is None:
            time.sleep(0.002)
            code = self.poll()
        return code

    def terminate(self) -> None:
        """Asks it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self._signal(signal.SIGKILL)

    def _exit_code(self) -> Optional[int]:
        # Without reaping: its number stays its own for as long as this object may send signals.
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:  # somebody else has waited for it; its report tells
            return RUNTIME_ERROR
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _reap() -> None:
    for pid in list(_UNREAPED):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _UNREAPED.remove(pid)


def _become_runtime(ends: Tuple[int, int, int]) -> NoReturn:
    code = RUNTIME_ERROR
    try:
        gc.freeze()  # a collection would touch, and so copy, all of the parent's memory
        _part_from_parent(ends)
        orders = _orders()
        if orders is None:
            code = 0
        else:
            _settle(orders["cwd"], orders["environ"])
            code = main([WATCH_STDIN, orders["job"]])
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
            os.write(_DONE, b"%d" % code)
            os.closerange(0, _DONE + 1)
        finally:
            os._exit(code)


def _part_from_parent(ends: Tuple[int, int, int]) -> None:
    """No one else's terminal, files and handlers."""
    os.setsid()
    stdin, stdout, done = (fcntl.fcntl(end, fcntl.F_DUPFD, _DONE + 1) for end in ends)
    for source, target in ((stdin, 0), (stdout, 1), (stdout, 2), (done, _DONE)):
        os.dup2(source, target, inheritable=target != _DONE)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > _DONE:
            with suppress(OSError):  # the one that listed them
                os.close(int(name))
    # The old ones stay, as their end would flush what the parent has still to write.
    _OLD_STREAMS.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = _stream(1)
    sys.stderr = _stream(2)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _stream(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _orders() -> Optional[Dict[str, Any]]:
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return None
        data += chunk
    orders: Dict[str, Any] = json.loads(data)
    return orders


def _settle(cwd: Optional[str], environ: Dict[str, str]) -> None:
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    for name, value in environ.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if cwd is not None:
        os.chdir(cwd)
    titles = sys.modules.get("setproctitle")
    if titles is not None:
        titles.setproctitle(f"airflow_aml.runtime in {cwd}")

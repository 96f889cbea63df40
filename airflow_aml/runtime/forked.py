"""The runtime as a fork of a task's process, which has loaded all of it already.

Starting a Python of its own for the runtime, only to have that start another for the script, takes
longer than everything else around a short script. A fork has the same place in every other respect:
a session, pipes and environment of its own, and nothing open that belongs to its parent.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
from contextlib import suppress
from typing import Dict, List, Mapping, NoReturn, Optional, TextIO, Tuple

from airflow_aml.runtime import RUNTIME_ERROR
from airflow_aml.runtime.entry import WATCH_STDIN, main

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_OLD_STREAMS: List[TextIO] = []


def fork_runtime(
    job: str, cwd: Optional[str], environ: Mapping[str, str]
) -> Optional[ForkedRuntime]:
    """Starts the runtime; None where a copy of this process would not be safe.

    Another thread's locks would stay locked in it for ever.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return None
    return ForkedRuntime(job, cwd, environ) if alone else None


class ForkedRuntime:
    """A running fork; to its user, a ``subprocess.Popen`` with pipes.

    Args:
        job: path of the job document.
        cwd: where it starts.
        environ: all of its variables.
    """

    def __init__(self, job: str, cwd: Optional[str], environ: Mapping[str, str]) -> None:
        self.returncode: Optional[int] = None
        stdin, writing = os.pipe()
        reading, stdout = os.pipe()
        # One that comes before the child has its own handlers must not find this process's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _become_runtime(job, cwd, dict(environ), (stdin, stdout))
        except BaseException:
            os.close(writing)
            os.close(reading)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(stdin)
            os.close(stdout)
        self.stdin = os.fdopen(writing, "wb", buffering=0)
        self.stdout = os.fdopen(reading, "rb", buffering=0)

    def poll(self) -> Optional[int]:
        """The exit code, negative for a signal; None while it runs."""
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        """Waits for the end and returns the exit code."""
        code = self._look(0)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        assert code is not None
        return code

    def terminate(self) -> None:
        """Asks it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self._signal(signal.SIGKILL)

    def _look(self, options: int) -> Optional[int]:
        # Without reaping: so a signal handler that interrupts this finds the same answer.
        if self.returncode is None:
            try:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | options)
            except ChildProcessError:  # somebody else has waited for it; its report tells
                self.returncode = RUNTIME_ERROR
                return self.returncode
            if ended is not None:
                by_signal = ended.si_code != os.CLD_EXITED
                self.returncode = -ended.si_status if by_signal else ended.si_status
        return self.returncode

    def _signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _become_runtime(
    job: str, cwd: Optional[str], environ: Dict[str, str], ends: Tuple[int, int]
) -> NoReturn:
    code = RUNTIME_ERROR
    try:
        gc.freeze()  # a collection would touch, and so copy, all of the parent's memory
        _part_from_parent(cwd, environ, ends)
        code = main([WATCH_STDIN, job])
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _part_from_parent(cwd: Optional[str], environ: Dict[str, str], ends: Tuple[int, int]) -> None:
    """What a fresh program would find: no one else's files, handlers, variables or terminal."""
    os.setsid()
    stdin, stdout = (fcntl.fcntl(end, fcntl.F_DUPFD, 3) for end in ends)
    for source, target in ((stdin, 0), (stdout, 1), (stdout, 2)):
        os.dup2(source, target)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
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
    os.environ.clear()
    os.environ.update(environ)
    if cwd is not None:
        os.chdir(cwd)
    titles = sys.modules.get("setproctitle")
    if titles is not None:
        titles.setproctitle(f"airflow_aml.runtime in {cwd}")


def _stream(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)

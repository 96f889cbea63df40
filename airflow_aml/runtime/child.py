"""Starting the runtime from the Airflow side, following its lines, and ending it for certain."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Callable, Mapping, Optional, Sequence

from airflow_aml.runtime import COOKIE
from airflow_aml.runtime.environment import inherited, with_stores
from airflow_aml.runtime.job import StepJob
from airflow_aml.runtime.lines import Lines
from airflow_aml.runtime.report import StepReport
from airflow_aml.runtime.sweep import end_attempt

_CHUNK = 1 << 16
_TICK = 0.5
_EXTRA_PATIENCE = 5.0
_KEPT_WHILE_STOPPING = 1 << 22


def run_job(
    job: StepJob,
    on_line: Callable[[str], None],
    *,
    stop: Callable[[], bool] = lambda: False,
    python: str = sys.executable,
    stores: str = "",
) -> StepReport:
    """Runs one attempt at a step in a runtime process and returns its report, whatever happens.

    Who also needs to stop it from a signal handler makes a :func:`child_of` and calls its
    :meth:`Child.run` and :func:`report_of` instead.
    """
    child = child_of(job, python=python, stores=stores)
    code = child.run(on_line, stop)
    return report_of(job, code, stopped=child.stopping)


def child_of(job: StepJob, *, python: str = sys.executable, stores: str = "") -> Child:
    """Writes the job and returns the runtime that will do it, not yet started.

    ``stores`` is what opens the job's remote stores: it goes into the environment, into no file.
    """
    path = os.fspath(job.write())
    return Child(
        [python, "-m", "airflow_aml.runtime", "--watch-stdin", path],
        attempt=job.attempt,
        kill_after=job.kill_after,
        cwd=job.work,
        environ=with_stores(os.environ, stores),
    )


def report_of(job: StepJob, exit_code: int, *, stopped: bool = False) -> StepReport:
    """The report that the runtime wrote; if it wrote none, one that says how it was lost.

    A lost runtime is an infrastructure error (``outcome="error"``, not ``fatal``), unless its end
    was asked for (``stopped``).
    """
    try:
        return StepReport.read(job.report_path)
    except FileNotFoundError:
        if stopped:
            return StepReport("stopped", message=f"The step {job.step!r} was stopped.")
        how = f"exit code {exit_code}"
        if exit_code < 0:
            with suppress(ValueError):
                how = signal.Signals(-exit_code).name
        return StepReport(
            "error",
            message=f"The runtime of step {job.step!r} was lost without a report ({how}); "
            "this is no fault of the script.",
        )


class Child:
    """A runtime process: started by :meth:`run`, ended by :meth:`stop`, alone in its session.

    The runtime holds the end of a pipe whose other end is here, so that it notices when this
    process disappears; and this process stops it when its own parent does.

    Args:
        argv: the command.
        attempt: the attempt's mark, by which all of its processes are found.
        kill_after: seconds that the script has between SIGTERM and SIGKILL.
        cwd: where it starts.
        environ: its variables; by default this process's own without Airflow's secrets.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        attempt: str,
        kill_after: float = 10.0,
        cwd: Optional[str] = None,
        environ: Optional[Mapping[str, str]] = None,
    ) -> None:
        self._argv = list(argv)
        self._attempt = attempt
        self._patience = kill_after + _EXTRA_PATIENCE
        self._kill_after = kill_after
        self._cwd = cwd
        self._environ = dict(inherited(os.environ) if environ is None else environ)
        self._environ[COOKIE] = attempt
        self._parent = 0
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._pending = bytearray()
        self._deadline: Optional[float] = None

    def run(self, on_line: Callable[[str], None], stop: Callable[[], bool] = lambda: False) -> int:
        """Starts the process and returns its exit code when all is over.

        ``on_line`` gets every line of its output as it comes. ``stop`` is asked twice a second.
        Whatever is raised meanwhile, the process has ended before it goes on.
        """
        process = self._start()
        lines = Lines()
        try:
            self._follow(process, lines, on_line, stop)
        finally:
            self._end(process)
            for line in [*lines.feed(self._take_pending()), *lines.finish()]:
                on_line(line)
        return process.wait()

    def stop(self) -> None:
        """Ends the process and all of its attempt: SIGTERM first, SIGKILL after the patience.

        May be called from a signal handler and from other threads; returns when it is over.
        """
        process = self._process
        self._ask(process)
        if process is None:
            return
        while process.poll() is None:
            self._kill_if_due(process)
            self._collect(process)
            time.sleep(0.02)

    @property
    def stopping(self) -> bool:
        """Whether its end was asked for."""
        return self._deadline is not None

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._argv,
            cwd=self._cwd,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._process = process
        self._parent = os.getppid()
        if self.stopping:  # asked before it started
            process.terminate()
        return process

    def _follow(
        self,
        process: subprocess.Popen[bytes],
        lines: Lines,
        on_line: Callable[[str], None],
        stop: Callable[[], bool],
    ) -> None:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            more = True
            while more or process.poll() is None:
                if more:
                    selector.select(_TICK)
                    more = self._read(process)
                    for line in lines.feed(self._take_pending()):
                        on_line(line)
                else:  # it is about to end
                    time.sleep(0.002)
                if stop() or os.getppid() != self._parent:
                    self._ask(process)
                self._kill_if_due(process)

    def _read(self, process: subprocess.Popen[bytes]) -> bool:
        """Moves what the pipe holds to ``_pending``; False at its end."""
        assert process.stdout is not None
        try:
            chunk = os.read(process.stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return True
        except ValueError:  # closed meanwhile, where stop() is called from another thread
            return False
        if chunk:
            self._pending += chunk
        return bool(chunk)

    def _collect(self, process: subprocess.Popen[bytes]) -> None:
        # While stopping, lines only pile up: a handler must not call into a logger it interrupted.
        before = -1
        while before != len(self._pending) < _KEPT_WHILE_STOPPING:
            before = len(self._pending)
            self._read(process)
        del self._pending[: -_KEPT_WHILE_STOPPING // 2]

    def _take_pending(self) -> bytes:
        taken, self._pending = self._pending, bytearray()
        return bytes(taken)

    def _ask(self, process: Optional[subprocess.Popen[bytes]]) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._patience
            if process is not None:
                process.terminate()

    def _kill_if_due(self, process: subprocess.Popen[bytes]) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            process.kill()
            end_attempt(self._attempt, 0.0)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            self.stop()
        if process.poll() != 0:
            # After a kill -9 of the runtime its script is nobody's child.
            end_attempt(self._attempt, self._kill_after)
        self._collect(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

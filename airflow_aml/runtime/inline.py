"""The runtime inside a task's own process, which has loaded all of it already.

Starting a Python of its own for the runtime, only to have that start another for the script, takes
longer than everything else around a short script. What a process of its own was good for stays: a
kill -9 of this one ends the step, as a shell that waits for its end sees to it; a signal asks for
the step's end and never cuts a commit in two; so does Airflow's time limit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.runtime import entry
from airflow_aml.runtime.environment import inherited, with_stores
from airflow_aml.runtime.job import StepJob
from airflow_aml.runtime.lines import Lines
from airflow_aml.runtime.process import Ended
from airflow_aml.runtime.report import StepReport, report_from
from airflow_aml.runtime.stage import Staged
from airflow_aml.runtime.stopping import Stop

_SWEEP = ("-m", "airflow_aml.runtime.sweep")
_WATCH = 'read -r word; test "$word" = over || exec "$@"'


def can_run_inline() -> bool:
    """Whether the end of a child can be waited for without taking this process's SIGCHLD."""
    return hasattr(os, "pidfd_open")


class InlineRuntime:
    """One attempt at a step in this process: :meth:`run` once, :meth:`stop` from anywhere.

    Args:
        job: the step; its work folder exists.
        on_line: gets every line of the script's output as it comes.
        stores: what opens the job's remote stores.
        watch_parent: the end of this process' parent, which looks after it, ends the step.
        environ: what the script's variables start from.
        place: where the script itself runs; see :func:`~airflow_aml.runtime.entry.run`.
        sweep: arguments of a Python that ends an attempt whose task process was killed.
    """

    def __init__(
        self,
        job: StepJob,
        on_line: Callable[[str], None],
        stores: str = "",
        *,
        watch_parent: bool = True,
        environ: Mapping[str, str] = os.environ,
        place: Callable[[Staged], Callable[..., Ended]] = entry.here,
        sweep: Sequence[str] = _SWEEP,
    ) -> None:
        self._job = job
        self._own = inherited(os.environ)
        self._environ = with_stores(self._own if environ is os.environ else environ, stores)
        self._place = place
        self._sweep = sweep
        self._on_line = on_line
        self._stop = Stop(watch_parent=watch_parent)

    def run(self) -> StepReport:
        """Runs the step to its end and reports how it ended.

        What Airflow raises at a time limit is raised when the step has ended.
        """
        output, errors = Lines(), Lines()
        sinks = (self._sink(output), self._sink(errors))
        try:
            with _watched(self._job, self._sweep, self._own), _alarm_stops(self._stop):
                report = entry.run(self._job, self._stop, sinks, self._environ, self._place)
                for line in [*output.finish(), *errors.finish()]:
                    self._on_line(line)
        finally:
            self._stop.close()
        return report_from(report)

    def stop(self, reason: str) -> None:
        """Asks for the step's end and returns at once. May be called from a signal handler."""
        with suppress(OSError):  # it is over
            self._stop.request(reason)

    def _sink(self, lines: Lines) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            for line in lines.feed(data):
                self._on_line(line)

        return write


@contextmanager
def _watched(job: StepJob, sweep: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Inside, the end of this process is the end of the attempt."""
    folders = {os.path.dirname(output.staging) for output in job.outputs}
    command = [sys.executable, *sweep, job.attempt, str(job.kill_after)]
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "airflow_aml.watcher", *command, job.work, *sorted(folders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environ,
        start_new_session=True,
        bufsize=0,
    )
    assert watcher.stdin is not None
    try:
        yield
        with suppress(BrokenPipeError):  # it was killed
            watcher.stdin.write(b"over\n")
    finally:
        # Without that word it ends what a Ctrl-C in mid-step has left, and then itself.
        watcher.stdin.close()
        watcher.wait()


@contextmanager
def _alarm_stops(stop: Stop) -> Iterator[None]:
    """Inside, the alarm by which Airflow limits a task's time asks for the end and raises nothing.

    Airflow's handler raises wherever the process happens to be, which may be in a commit; it is
    called when the step has ended.
    """
    handler = signal.getsignal(signal.SIGALRM)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    rang: List[Tuple[int, Optional[FrameType]]] = []

    def ring(number: int, frame: Optional[FrameType]) -> None:
        rang.append((number, frame))
        stop.request("its time is over")

    signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        _raise_late(handler, rang)


def _raise_late(handler: Any, rang: List[Tuple[int, Optional[FrameType]]]) -> None:
    if rang:
        handler(*rang[0])

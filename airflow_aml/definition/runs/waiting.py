"""Waiting for a run, as v1 tells it."""

from __future__ import annotations

import io
import sys
import time
from contextlib import contextmanager
from typing import Iterator, TextIO

from airflow_aml.definition.runs.details import Details
from airflow_aml.errors import ActivityFailedException, ExperimentExecutionException

ENDED = ("Finished", "Failed", "Canceled")
_POLL = 0.5


class Waiting(Details):
    """A run that another program may wait for."""

    _kind = "Run"

    def wait_for_completion(
        self,
        show_output: bool = True,
        timeout_seconds: float = sys.maxsize,
        raise_on_error: bool = True,
    ) -> str:
        """Waits until the run has ended and returns its status; tells meanwhile how it goes.

        Raises:
            ActivityFailedException: the run failed and ``raise_on_error`` holds.
            ExperimentExecutionException: Ctrl-C; the run goes on.
        """
        out: TextIO = sys.stdout if show_output else _Nowhere()
        out.write(f"{self._kind}Id: {self.id}\n")
        with interruptible():
            status = self._watch(out, time.monotonic() + timeout_seconds)
        if status not in ENDED and not self._is_over():
            out.write("Timed out of waiting for the run.\n")
        if status == "Failed" and raise_on_error:
            raise ActivityFailedException(f"Activity Failed: {self._failure()}")
        return status

    def _watch(self, out: TextIO, deadline: float) -> str:
        """Tells what is new until the run has ended, or until then; returns its status."""
        told = ""
        while True:
            over = self._is_over()  # first, so that what it has left is told after it
            status = self.get_status()
            ended = status in ENDED or (over and status != "Running")
            if ended:
                self._tell_more(out, ended)
            if status != told:
                out.write(f"{self._kind} Status: {status}\n")
                told = status
            if not ended:
                self._tell_more(out, ended)
            out.flush()
            if ended or time.monotonic() > deadline:
                return status
            time.sleep(_POLL)

    def _tell_more(self, out: TextIO, ended: bool) -> None:
        """Tells what else is new."""

    def _is_over(self) -> bool:
        """Whether what it is part of has ended, so that it will not begin any more."""
        return False


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, Ctrl-C ends the waiting, not the run.

    Raises:
        ExperimentExecutionException: instead of what Ctrl-C raises.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise ExperimentExecutionException(
            "The output streaming for the run interrupted. But the run is still executing."
        ) from None


class _Nowhere(io.StringIO):
    """Where output goes that nobody wants."""

    def writable(self) -> bool:
        return False

    def write(self, text: str) -> int:
        return len(text)

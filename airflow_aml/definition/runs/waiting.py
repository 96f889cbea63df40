"""Waiting for a run, as v1 tells it."""

from __future__ import annotations

import io
import sys
import time
from typing import TextIO

from airflow_aml.definition.runs.details import Details
from airflow_aml.errors import ActivityFailedException, ExperimentExecutionException

ENDED = ("Finished", "Failed", "Canceled")
LOST = "it was lost: the process that ran it is gone"
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
        try:
            status = self._watch(out, time.monotonic() + timeout_seconds)
        except KeyboardInterrupt:
            raise ExperimentExecutionException(
                "The output streaming for the run interrupted. But the run is still executing."
            ) from None
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
            if status != told:
                out.write(f"{self._kind} Status: {status}\n")
                out.flush()
                told = status
            if status in ENDED or (over and status != "Running") or time.monotonic() > deadline:
                return status
            time.sleep(_POLL)

    def _is_over(self) -> bool:
        """Whether what it is part of has ended, so that it will not begin any more."""
        return False


class _Nowhere(io.StringIO):
    """Where output goes that nobody wants."""

    def writable(self) -> bool:
        return False

    def write(self, text: str) -> int:
        return len(text)

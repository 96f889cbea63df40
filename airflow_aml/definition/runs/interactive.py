"""``Experiment.start_logging``: a run without a pipeline, in the program that begins it."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Optional
from uuid import uuid4

from airflow_aml.definition.homes import home_of
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import ScriptRecord
from airflow_aml.workspace import layout
from airflow_aml.workspace.endings import mark_failed, write_report
from airflow_aml.workspace.heartbeat import beating
from airflow_aml.workspace.runs import write_begun
from airflow_aml.workspace.submitted import mark_canceled

if TYPE_CHECKING:
    from airflow_aml.definition.workspace import Experiment

_IN_MLFLOW = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}

TASK = "interactive"
"""Stands in the workspace for the one step of such a run: the program itself."""


class InteractiveRun(Run):
    """A run whose calls are made by an ordinary program or a notebook.

    It ends with :meth:`complete`, :meth:`fail`, the end of a ``with``, or with the program: as
    failed if that ended by an exception.
    """

    def __init__(self, experiment: Experiment, display_name: Optional[str] = None):
        home = home_of(experiment.workspace)
        # It has a name of its own where other runs have those of a DAG and a run of it.
        run_id = layout.pipeline_run_id(home.uuid, TASK, str(uuid4()))
        self._kept_in = home
        self._step = layout.step_run_id(run_id, TASK)
        place = layout.step(run_id, self._step)
        if home.is_local:
            folder = str(home.path(place))
        else:
            folder = tempfile.mkdtemp(prefix="airflow-aml-run-")
        record = ScriptRecord(folder, run_id, left=None)
        super().__init__(
            experiment, run_id, _record=record, _name=display_name or "", _record_folder=folder
        )
        self._place = place
        self._ended = ""
        self._started = time.monotonic()
        write_begun(home, run_id, experiment.name, TASK)
        self._until_end = ExitStack()
        self._until_end.enter_context(beating(home, run_id))
        atexit.register(self._end_with_program)

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        return "azureml.interactiverun"

    def get_status(self) -> str:
        """``Running``, ``Completed``, ``Failed`` or ``Canceled``."""
        return self._ended or "Running"

    def flush(self, timeout_seconds: int = 300) -> None:
        """Sends what was noted so far to a workspace that is not on this machine."""
        folder = str(self._record_folder)
        if self._kept_in.is_local:
            return
        files = []
        for root, _, names in os.walk(folder):
            below = os.path.relpath(root, folder).replace(os.sep, "/")
            prefix = self._place if below == "." else f"{self._place}/{below}"
            files += [(os.path.join(root, name), f"{prefix}/{name}") for name in names]
        self._kept_in.store.upload(files)

    def _end(self, status: str, error: str = "") -> None:
        if self._ended:
            return
        self._ended = status
        atexit.unregister(self._end_with_program)
        with self._until_end:
            self._tell_end(status, error)
        self._show_in_mlflow()

    def _tell_end(self, status: str, error: str) -> None:
        self.flush()
        if status == "Canceled":
            mark_canceled(self._kept_in, self.id)
        if status in ("Failed", "Canceled"):
            reason = error or f"the program {'canceled it' if status == 'Canceled' else 'said so'}"
            mark_failed(self._kept_in, self.id, TASK, reason)
            return
        values = {"status": "Finished", "seconds": round(time.monotonic() - self._started, 3)}
        write_report(self._kept_in, self.id, self._step, TASK, {"return_value": values})

    def _show_in_mlflow(self) -> None:
        from airflow_aml.definition.runs.mlflow import send_run, tracking_uri

        uri = tracking_uri()
        if not uri:
            return
        ended = time.time()
        send_run(
            {
                "uri": uri,
                "experiment": self.experiment.name,
                "run_id": self.id,
                "name": self.display_name,
                "folder": os.path.abspath(str(self._record_folder)),
                "status": _IN_MLFLOW[self._ended],
                "begun": int((ended - (time.monotonic() - self._started)) * 1000),
                "ended": int(ended * 1000),
            }
        )

    def _end_with_program(self) -> None:
        error: Any = getattr(sys, "last_value", None)
        if error is None:
            self._end("Completed")
        else:
            self._end("Failed", f"{type(error).__name__}: {error}")

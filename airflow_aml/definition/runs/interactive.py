"""``Experiment.start_logging``: a run without a pipeline, where it was begun and elsewhere."""

from __future__ import annotations

import atexit
import os
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional
from uuid import uuid4

from airflow_aml.definition.homes import home_of
from airflow_aml.definition.runs import leaving
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.pipelinerun import PipelineRun
from airflow_aml.definition.runs.records import Record, ScriptRecord, StoredRecord
from airflow_aml.definition.runs.steprun import ChildRun
from airflow_aml.workspace import layout
from airflow_aml.workspace.endings import mark_failed, write_report
from airflow_aml.workspace.heartbeat import beating
from airflow_aml.workspace.runs import read_head, write_begun
from airflow_aml.workspace.submitted import mark_canceled

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.workspace.runs import StepResult

_IN_MLFLOW = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}

TASK = "interactive"
"""Stands in the workspace for the one step of such a run: the program itself."""


class _ProgramsRun(Run):
    """A run whose calls are made by ordinary programs or notebooks: any of them may end it."""

    def __init__(self, experiment: Experiment, run_id: str, **others: Any):
        super().__init__(experiment, run_id, **others)
        self._kept_in = home_of(experiment.workspace)
        self._step = layout.step_run_id(run_id, TASK)

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        return "azureml.interactiverun"

    @property
    def pipeline_run(self) -> PipelineRun:
        """The run as the workspace keeps it: that of a pipeline of one step, which is a program."""
        return PipelineRun(self.experiment, self.id, _is_known=True)

    def get_status(self) -> str:
        """``Running``, ``Completed``, ``Failed`` or ``Canceled``."""
        return self.pipeline_run.status

    def get_portal_url(self) -> str:
        """The folder of its record."""
        return self._kept_in.uri(layout.run(self.id))

    def cancel(self) -> None:
        """Ends the run as canceled."""
        self._end("Canceled")

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""
        head = read_head(self._kept_in, self.id)
        begun = head.created if head else None
        times = {"startTimeUtc": begun, "endTimeUtc": self._result.ended or None}
        return {**super().get_details(), **times}

    def _end(self, status: str, error: str = "", code: str = "") -> None:
        goes_on = self.get_status() == "Running"
        if goes_on:
            super()._end(status, error, code)
        self.flush()
        if goes_on:
            self._tell_end(status, error)

    def _tell_end(self, status: str, error: str) -> None:
        home, run_id = self._kept_in, self.id
        if status == "Canceled":
            mark_canceled(home, run_id)
        seconds = self._seconds()
        if status in ("Failed", "Canceled"):
            reason = error or f"the program {'canceled it' if status == 'Canceled' else 'said so'}"
            mark_failed(home, run_id, TASK, reason, seconds)
            return
        values = {"return_value": {"status": "Finished", "seconds": seconds}}
        write_report(home, run_id, self._step, TASK, values)

    def _seconds(self) -> float:
        head = read_head(self._kept_in, self.id)
        if head is None:
            return 0.0
        begun = datetime.fromisoformat(head.created)
        return round(max((datetime.now(timezone.utc) - begun).total_seconds(), 0.0), 3)

    @property
    def _result(self) -> StepResult:
        (result,) = self.pipeline_run._results()  # noqa: SLF001 - of the same package
        return result

    def _why(self) -> str:
        return self._result.reason

    def _is_steps(self) -> bool:
        return False


class LoggedRun(_ProgramsRun):
    """Such a run in another program than the one that has begun it."""

    @property
    def _records(self) -> Record:
        return StoredRecord(self._kept_in, self.id)

    def _children(self) -> Iterator[Run]:
        for note in reversed(self._notes()):
            if "child" in note:
                yield ChildRun(self, self._below(note["child"]), note["child"], note["value"])

    def _child(self, run_id: str, name: str, folder: str = "") -> Run:
        return ChildRun(self, self._below(run_id), run_id, name, begun=True)

    def _below(self, run_id: str) -> StoredRecord:
        return StoredRecord(self._kept_in, self.id, self._step, run_id)


class InteractiveRun(_ProgramsRun):
    """Such a run in the program that has begun it.

    It ends with :meth:`complete`, :meth:`fail`, the end of a ``with``, or with the program: as
    failed if that ended by an exception, or with an exit code that says so.
    """

    def __init__(self, experiment: Experiment, display_name: Optional[str] = None):
        home = home_of(experiment.workspace)
        # It has a name of its own where other runs have those of a DAG and a run of it.
        run_id = layout.pipeline_run_id(home.uuid, TASK, str(uuid4()))
        place = layout.step(run_id, layout.step_run_id(run_id, TASK))
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
        write_begun(home, run_id, experiment.name, TASK)
        self._until_end = ExitStack()
        self._until_end.enter_context(beating(home, run_id))
        leaving.watch()
        atexit.register(self._end_with_program)

    def get_status(self) -> str:
        """``Running``, ``Completed``, ``Failed`` or ``Canceled``."""
        return self._ended or super().get_status()

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

    def _end(self, status: str, error: str = "", code: str = "") -> None:
        if self._ended:
            return
        atexit.unregister(self._end_with_program)
        with self._until_end:
            super()._end(status, error, code)
            self._ended = super().get_status()  # another program may have ended it before
        self._show_in_mlflow()

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
                "begun": int((ended - self._seconds()) * 1000),
                "ended": int(ended * 1000),
            }
        )

    def _end_with_program(self) -> None:
        error = leaving.why_ended()
        self._end("Failed" if error else "Completed", error)

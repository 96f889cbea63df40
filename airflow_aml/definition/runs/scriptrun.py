"""The run of a :class:`~airflow_aml.definition.scriptrunconfig.ScriptRunConfig`, from outside."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, TextIO, Union

from airflow_aml.definition.homes import home_of
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.steprun import ChildRun, StepRun, children_of
from airflow_aml.definition.runs.tail import Tail
from airflow_aml.definition.runs.waiting import ENDED, interruptible
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.runs.records import StoredRecord
    from airflow_aml.definition.runs.reused import ReusedRecord
    from airflow_aml.workspace.journal import Note

__all__ = ["ScriptRun"]

_STATUS = {"Finished": "Completed"}
_ENDED = ("Completed", "Failed", "Canceled")
_POLL = 0.5


class ScriptRun(Run):
    """A script's run: metrics, files and logs are those of the one step that runs it.

    Attributes:
        id: the run's, as the script sees it.
        pipeline_run: of the pipeline of one step that runs it.
    """

    def __init__(self, pipeline_run: PipelineRun, task_id: str):
        declared = not pipeline_run.id
        run_id = "" if declared else layout.step_run_id(pipeline_run.id, task_id)
        super().__init__(pipeline_run.experiment, run_id)
        self.pipeline_run = pipeline_run
        self._task_id = task_id

    @classmethod
    def begun(cls, pipeline_run: PipelineRun, task_id: str) -> ScriptRun:
        """The run of a script that was just submitted; others will know it as that."""
        if pipeline_run.id:
            from airflow_aml.workspace.submitted import mark_script

            home = home_of(pipeline_run.experiment.workspace)
            mark_script(home, pipeline_run.id, task_id)
        return cls(pipeline_run, task_id)

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        return "azureml.scriptrun"

    def get_status(self) -> str:
        """``NotStarted``, ``Running``, ``Completed``, ``Failed`` or ``Canceled``."""
        status = self.pipeline_run.get_status()
        return _STATUS.get(status, status)

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
        timeout_seconds: float = sys.maxsize,
    ) -> Dict[str, Any]:
        """Waits until the run has ended and returns its details; tells meanwhile what it prints.

        Raises:
            ActivityFailedException: the run failed and ``raise_on_error`` holds.
            ExperimentExecutionException: Ctrl-C; the run goes on.
        """
        deadline = time.monotonic() + timeout_seconds
        if show_output and self.id:  # else a file only declares it
            sys.stdout.write(f"RunId: {self.id}\nWeb View: {self.get_portal_url()}\n")
            with interruptible():
                self._stream(sys.stdout, deadline)
        left = max(deadline - time.monotonic(), 0)
        status = self.pipeline_run.wait_for_completion(False, left, raise_on_error)
        return self.get_details() if status in ENDED else {"status": status}

    def cancel(self) -> None:
        """Ends the run; the script is ended with all of its processes."""
        self.pipeline_run.cancel()

    def get_portal_url(self) -> str:
        """Where the run is shown."""
        return str(self.pipeline_run.get_portal_url())

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""
        status = self.get_status()
        return {**self._step().get_details(), "status": status, **self._error(status)}

    def _why(self) -> str:
        return self._step().reason or self.pipeline_run._why()  # noqa: SLF001 - of its package

    def get_tags(self) -> Dict[str, Optional[str]]:
        """The tags that it was submitted with, and those it was given since."""
        return {**self.pipeline_run.get_tags(), **super().get_tags()}

    def _stream(self, out: TextIO, deadline: float) -> None:
        tail, is_local = Tail(self._records), home_of(self.experiment.workspace).is_local
        while True:
            status = self.get_status()
            ended = status in _ENDED
            if ended or is_local:  # in an object store the log is there at the end
                out.write(tail.new_lines(ended))
            if ended:
                out.write(f"Run Status: {status}\n")
            out.flush()
            if ended or time.monotonic() > deadline:
                return
            time.sleep(_POLL)

    def _step(self) -> StepRun:
        from airflow_aml.workspace.runs import StepResult

        to_come = StepRun.of(
            self.pipeline_run, StepResult(self._task_id, self._task_id, "NotStarted")
        )
        return next(iter(self.pipeline_run.get_steps()), to_come)

    @property
    def _records(self) -> Union[StoredRecord, ReusedRecord]:
        return self._step()._records  # noqa: SLF001 - its record is this run's

    def _note(self, note: Note) -> None:
        if self.id:  # else it is only declared, and what the file says of it is dropped
            super()._note(note)

    def _children(self) -> Iterator[Run]:
        return children_of(self, self._records)

    def _child(self, run_id: str, name: str, folder: str = "") -> Run:
        return ChildRun(self, self._records.below(run_id), run_id, name, begun=True)

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id}, Type: {self.type})"

"""The run of a :class:`~airflow_aml.definition.scriptrunconfig.ScriptRunConfig`, from outside."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional

from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import Record
from airflow_aml.definition.runs.waiting import ENDED
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.runs.steprun import StepRun
    from airflow_aml.workspace.journal import Note

__all__ = ["ScriptRun"]

_STATUS = {"Finished": "Completed"}


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
            from airflow_aml.definition.homes import home_of
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
        """Waits until the run has ended and returns its details.

        Raises:
            ActivityFailedException: the run failed and ``raise_on_error`` holds.
            ExperimentExecutionException: Ctrl-C; the run goes on.
        """
        wait = self.pipeline_run.wait_for_completion
        status = wait(show_output, timeout_seconds, raise_on_error)
        return self.get_details() if status in ENDED else {"status": status}

    def cancel(self) -> None:
        """Ends the run; the script is ended with all of its processes."""
        self.pipeline_run.cancel()

    def get_portal_url(self) -> str:
        """Where the run is shown."""
        return str(self.pipeline_run.get_portal_url())

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""
        return {**self._step().get_details(), "status": self.get_status()}

    def get_details_with_logs(self) -> Dict[str, Any]:
        """What is known of the run, and the text of its logs."""
        return {**self._step().get_details_with_logs(), "status": self.get_status()}

    def get_tags(self) -> Dict[str, Optional[str]]:
        """The tags that it was submitted with, and those it was given since."""
        return {**self.pipeline_run.get_tags(), **super().get_tags()}

    def _step(self) -> StepRun:
        from airflow_aml.definition.runs.steprun import StepRun
        from airflow_aml.workspace.runs import StepResult

        to_come = StepRun.of(
            self.pipeline_run, StepResult(self._task_id, self._task_id, "NotStarted")
        )
        return next(iter(self.pipeline_run.get_steps()), to_come)

    @property
    def _records(self) -> Record:
        return self._step()._records  # noqa: SLF001 - its record is this run's

    def _note(self, note: Note) -> None:
        if self.id:  # else it is only declared, and what the file says of it is dropped
            super()._note(note)

    def _children(self) -> Iterator[Run]:
        return self._step().get_children()

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id}, Type: {self.type})"

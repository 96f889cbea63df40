"""A pipeline's run as other programs see it (reference 1.3).

All of it is read from the workspace; only whoever stops a run needs the engine that runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import Record, StoredRecord
from airflow_aml.definition.runs.snapshot import planned_snapshot
from airflow_aml.definition.runs.steprun import StepRun
from airflow_aml.definition.runs.waiting import ENDED, Waiting
from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.workspace import Experiment
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.runs import RunHead, StepResult


class PipelineRun(Waiting):
    """A run of a pipeline, as the program that submitted it, or any other, sees it.

    Args:
        experiment: that it belongs to.
        run_id: its id, as ``submit`` printed it or ``airflow-aml runs`` lists it.

    Attributes:
        id: the run's id; empty for a run that was only declared.
    """

    _kind = "PipelineRun"

    def __init__(self, experiment: Optional[Experiment], run_id: str, **_: Any):
        super().__init__(experiment, run_id)

    @staticmethod
    def get(workspace: Any, run_id: str) -> PipelineRun:
        """The pipeline run of that id.

        Raises:
            UserErrorException: the workspace has no such run.
        """
        from airflow_aml.definition.workspace import Experiment, Workspace

        if isinstance(workspace, str):
            workspace = Workspace(workspace_name=workspace)
        run = PipelineRun(Experiment.of_run(workspace, ""), run_id)
        run._experiment = Experiment.of_run(workspace, run._head.experiment)
        return run

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        return "azureml.PipelineRun"

    @property
    def experiment_name(self) -> str:
        """The name of the run's experiment."""
        return self.experiment.name

    def get_status(self) -> str:
        """``Running``, ``Finished`` or ``Failed``, as the workspace knows.

        A run that was lost with all of its processes stays ``Running`` there.
        """
        from airflow_aml.workspace.runs import status_of

        status = status_of(self._results())
        return status if status in ENDED else "Running"

    def get_steps(self) -> Iterator[StepRun]:
        """The runs of the pipeline's steps, in the pipeline's order; also of those to come."""
        for result in self._results():
            yield StepRun(self, result)

    def find_step_run(self, name: str) -> List[StepRun]:
        """The runs of the steps of that name: v1 allows several; none is an empty list."""
        return [step for step in self.get_steps() if step.name == name]

    def get_metrics(
        self,
        name: Optional[str] = None,
        recursive: bool = False,
        run_type: Optional[str] = None,
        populate: bool = False,
    ) -> Dict[str, Any]:
        """Metrics that steps logged to the run; ``recursive``: run id -> metrics, of steps, too."""
        own = super().get_metrics(name)
        if not recursive:
            return own
        return {self.id: own, **{step.id: step.get_metrics(name) for step in self.get_steps()}}

    def get_tags(self) -> Dict[str, Optional[str]]:
        """The tags that it was submitted with, and those it was given since."""
        from airflow_aml.workspace.plans import read_plan

        plan = read_plan(self._home, self.id)
        return {**(plan.tags if plan else {}), **super().get_tags()}

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""
        head = self._head
        return {
            "runId": self.id,
            "status": self.get_status(),
            "startTimeUtc": head.created,
            "properties": {"airflow.dag_id": head.dag_id, "airflow.run_id": head.run_id},
            "inputDatasets": [],
            "outputDatasets": [],
            "logFiles": {},
        }

    @property
    def _home(self) -> Home:
        from airflow_aml.definition.homes import home_of

        return home_of(self.experiment.workspace)

    def _planned_snapshot(self) -> Optional[str]:
        return planned_snapshot(self._home, self.id)

    @property
    def _records(self) -> Record:
        return StoredRecord(self._home, self.id)

    @property
    def _head(self) -> RunHead:
        from airflow_aml.workspace.runs import read_head

        head = read_head(self._home, self.id)
        if head is None:
            raise UserErrorException(
                f"the workspace has no run {self.id!r}, or it has not begun yet.",
                hint="`airflow-aml runs` lists its runs.",
            )
        return head

    def _results(self) -> List[StepResult]:
        from airflow_aml.workspace.runs import read_head, results

        head = read_head(self._home, self.id)
        return results(self._home, head) if head else []

    def _children(self) -> Iterator[Run]:
        return self.get_steps()

    def _failure(self) -> str:
        failed = [each for each in self._results() if each.status == "Failed"]
        return "; ".join(f"step {each.name!r}: {each.reason}" for each in failed)

    def __repr__(self) -> str:
        shown = f"id={self.id!r}, " if self.id else ""
        return f"PipelineRun({shown}experiment={self.experiment_name!r}, {self.get_status()})"

    def __getattr__(self, name: str) -> Any:
        if name in _LATER:
            raise NotServedError(f"PipelineRun.{name} comes with the runs release.")
        raise AttributeError(f"'PipelineRun' object has no attribute {name!r}")


_LATER = frozenset(
    ["cancel", "get_graph", "get_pipeline_output", "get_portal_url", "publish_pipeline", "save"]
)
READING = _LATER | {
    "display_name",
    "download_file",
    "download_files",
    "find_step_run",
    "get_children",
    "get_details",
    "get_file_names",
    "get_metrics",
    "get_properties",
    "get_snapshot_id",
    "get_steps",
    "get_tags",
    "properties",
    "restore_snapshot",
    "tags",
}
"""What a program can only ask of a run that has begun."""

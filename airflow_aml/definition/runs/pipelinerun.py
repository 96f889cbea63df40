"""A pipeline's run as other programs see it (reference 1.3).

What a run has made is read from the workspace; how far it is, from the Airflow that runs it where
this program works with one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Tuple

from airflow_aml.definition.names import check_text
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.following import Following
from airflow_aml.definition.runs.records import Record, StoredRecord
from airflow_aml.definition.runs.snapshot import planned_snapshot
from airflow_aml.definition.runs.steprun import StepRun
from airflow_aml.errors import AzureMLException, NotServedError, UserErrorException
from airflow_aml.runtime.hidden import note_run

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.published import PublishedPipeline
    from airflow_aml.definition.runs.outputs import PortDataReference
    from airflow_aml.definition.spec import PipelineSpec
    from airflow_aml.definition.specgraph import PipelineGraph
    from airflow_aml.workspace.runs import RunHead


_BEGINS_SECONDS = 120.0
"""For how long a run that was submitted may take to begin before it cannot be published."""


class PipelineRun(Following):
    """A run of a pipeline, as the program that submitted it, or any other, sees it.

    Args:
        experiment: that it belongs to.
        run_id: its id, as ``submit`` printed it or ``airflow-aml runs`` lists it.

    Raises:
        UserErrorException: the experiment has no such run.

    Attributes:
        id: the run's id; empty for a run that was only declared.
    """

    _is_pipelines = True

    def __init__(
        self, experiment: Experiment, run_id: str, *, _is_known: bool = False, **others: Any
    ):
        super().__init__(experiment, run_id, **others)
        if not _is_known:
            self._check()

    @staticmethod
    def get(workspace: Any, run_id: str) -> PipelineRun:
        """The pipeline run of that id.

        Raises:
            UserErrorException: the workspace has no such run.
        """
        from airflow_aml.definition.experiment import Experiment
        from airflow_aml.definition.workspace import Workspace

        if isinstance(workspace, str):
            workspace = Workspace(workspace_name=workspace)
        from airflow_aml.definition.runs.finding import check_id
        from airflow_aml.workspace.submitted import read_submitted

        note_run(check_id(run_id))
        run = PipelineRun(Experiment.of_run(workspace, ""), run_id, _is_known=True)
        begun = read_submitted(run._home, run_id) or run._head
        run._experiment = Experiment.of_run(workspace, begun.experiment)
        return run

    @staticmethod
    def get_pipeline_runs(workspace: Any, pipeline_id: str) -> List[PipelineRun]:
        """The runs of a published pipeline, newest first.

        Raises:
            UserErrorException: there is no published pipeline of that id.
        """
        from airflow_aml.definition.experiment import Experiment
        from airflow_aml.definition.published import PublishedPipeline
        from airflow_aml.workspace.runs import heads

        note_run(pipeline_id)
        published = PublishedPipeline.get(workspace, pipeline_id)
        workspace, dag_id = published.workspace, published.dag_id
        return [
            PipelineRun(Experiment.of_run(workspace, head.experiment), head.id, _is_known=True)
            for head in heads(published._home, to_come=True)  # noqa: SLF001 - its own
            if head.dag_id == dag_id
        ]

    def publish_pipeline(
        self,
        name: str,
        description: Optional[str] = None,
        version: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
    ) -> PublishedPipeline:
        """Publishes what this run was made from: its steps and the source folders that they ran.

        Parameters keep the defaults that the pipeline gives them.

        Raises:
            UserErrorException: the run has not begun, or is of a release that has not kept that.
        """
        from airflow_aml.definition.published import publish_frozen

        spec, sources, folder, _ = self.made_from("published")
        return publish_frozen(
            self.experiment.workspace,
            spec,
            sources,
            folder,
            name=name,
            description=description,
            version=version,
            continue_on_step_failure=continue_on_step_failure,
        )

    def save(self, path: Optional[str] = None, **_: Any) -> None:
        """Writes the run's pipeline as YAML, and beside it copies of the source folders that it
        ran, so that ``Pipeline.load_yaml`` builds it again (reference 2.13).

        Args:
            path: the file, or a folder for ``<experiment>.yml``; the working directory by default.

        Raises:
            UserErrorException: the run has not begun, or there is something of that name.
            NotServedError: the pipeline has something that the format has no word for.
        """
        from airflow_aml.definition.pipelinesaving import save_pipeline

        spec, sources, folder, _ = self.made_from("saved")
        save_pipeline(spec, sources, folder, self._home, path, self.experiment_name)

    def made_from(self, done: str) -> Tuple[PipelineSpec, Dict[str, str], str, Dict[str, Any]]:
        """What the run was made from: spec, snapshots, folder of local paths, and its values.

        A run that was just submitted is waited for until it has begun.

        Args:
            done: what is to be done with it, for the error.

        Raises:
            UserErrorException: the run has not begun, or is of a release that has not kept that.
        """
        from airflow_aml.definition.runs.waiting import ENDED
        from airflow_aml.definition.spec import PipelineSpec
        from airflow_aml.workspace.plans import read_definition, read_plan

        until = time.monotonic() + _BEGINS_SECONDS
        kept, plan = read_definition(self._home, self.id), read_plan(self._home, self.id)
        while (kept is None or plan is None) and time.monotonic() < until:
            if self.get_status() in ENDED:
                until = 0.0  # a last look
            else:
                time.sleep(0.5)
            kept, plan = read_definition(self._home, self.id), read_plan(self._home, self.id)
        if kept is None or plan is None:
            raise UserErrorException(
                f"run {self.id!r} cannot be {done}: it has not begun, or has not kept what it "
                "was made from.",
                hint="wait_for_completion() before, or use the pipeline itself.",
            )
        spec = PipelineSpec.from_dict(kept[0])
        sources = {node.source_directory: plan.steps[node.id].snapshot for node in spec.nodes}
        return spec, sources, kept[1], dict(plan.parameters)

    def get_graph(self) -> PipelineGraph:
        """The steps of what it was made from, the data that they read, and the edges between.

        Raises:
            UserErrorException: the run has not begun, or has not kept that.
        """
        from airflow_aml.definition.specgraph import graph_of

        return graph_of(self.made_from("shown as a graph")[0])

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        return "azureml.PipelineRun"

    @property
    def experiment_name(self) -> str:
        """The name of the run's experiment."""
        return self.experiment.name

    def get_steps(self) -> Iterator[StepRun]:
        """The runs of the pipeline's steps, in the pipeline's order; also of those to come."""
        self._refuse_unknown()
        for result in self._results():
            yield StepRun.of(self, result)

    def find_step_run(self, name: str) -> List[StepRun]:
        """The runs of the steps of that name: v1 allows several; none is an empty list.

        Raises:
            UserErrorException: it is no name.
        """
        check_text("find_step_run", "a step's name", name)
        return [step for step in self.get_steps() if step.name == name]

    def get_tags(self) -> Dict[str, Optional[str]]:
        """The tags that it was submitted with, and those it was given since."""
        from airflow_aml.workspace.plans import read_plan

        plan = read_plan(self._home, self.id)
        return {**(plan.tags if plan else {}), **super().get_tags()}

    def get_pipeline_output(self, pipeline_output_name: str) -> PortDataReference:
        """Where the data is of an output that was declared with ``pipeline_output_name``.

        Raises:
            UserErrorException: the pipeline has no such output, or its step has not made it.
        """
        from airflow_aml.workspace.plans import read_plan

        plan = read_plan(self._home, self.id)
        offered = {
            name: (task_id, output)
            for task_id, step in (plan.steps if plan else {}).items()
            for name, output in step.offers.items()
        }
        if pipeline_output_name not in offered:
            there = ", ".join(map(repr, offered)) or "none"
            raise UserErrorException(
                f"the run has no pipeline output {pipeline_output_name!r}; it has {there}."
            )
        task_id, output = offered[pipeline_output_name]
        result = next(each for each in self._results() if each.task_id == task_id)
        return StepRun.of(self, result).get_output_data(output)

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run, in the words of v1's run history: ``Completed``.

        One that has not got to its plan has no start yet, and no steps.
        """
        self._refuse_unknown()
        status = self.status
        steps = {step.task_id: step.get_details() for step in self.get_steps()}
        logs = [f"{task_id}/{name}" for task_id, step in steps.items() for name in step["logFiles"]]
        begun, ended = self._times(status, [step["endTimeUtc"] for step in steps.values()])
        return {
            "runId": self.id,
            "status": status,
            "startTimeUtc": begun,
            "endTimeUtc": ended,
            "properties": self.properties,
            "inputDatasets": [],
            "outputDatasets": [],
            "logFiles": {name: name for name in logs},
            **self._error(status),
        }

    def _times(
        self, status: str, ends: Iterable[Optional[str]]
    ) -> Tuple[Optional[str], Optional[str]]:
        """When the run began and ended, given when its steps did, UTC, ISO 8601."""
        from airflow_aml.workspace.heartbeat import last_sign
        from airflow_aml.workspace.runs import read_head
        from airflow_aml.workspace.submitted import canceled_at

        home, head = self._home, read_head(self._home, self.id)
        begun = (head.begun or head.created) if head else None
        if status not in ("Completed", "Failed", "Canceled"):
            return begun, None
        known = [*ends, (head.planned if head else None) or begun]
        if status != "Completed":  # perhaps before a step had ended
            known += [canceled_at(home, self.id), last_sign(home, self.id)]
        return begun, max((each for each in known if each), default=None)

    def get_properties(self) -> Dict[str, str]:
        """The run's properties; Airflow's names of it are two of them."""
        from airflow_aml.workspace.runs import read_head
        from airflow_aml.workspace.submitted import read_submitted

        own, home = super().get_properties(), self._home
        known = read_head(home, self.id) or read_submitted(home, self.id)
        if known is None or not known.dag_id:
            return own
        return {"airflow.dag_id": known.dag_id, "airflow.run_id": known.run_id, **own}

    def complete(self, _set_status: bool = True) -> None:
        """Refused, as in v1: a pipeline's run ends with its steps.

        Raises:
            NotServedError: always; it is a ``NotImplementedError``.
        """
        raise NotServedError("PipelineRun.complete: a pipeline's run ends with its steps.")

    def fail(self, error_details: Any = None, error_code: Optional[str] = None, **_: Any) -> None:
        """Refused, as in v1.

        Raises:
            NotServedError: always; it is a ``NotImplementedError``.
        """
        raise NotServedError(
            "PipelineRun.fail: a pipeline's run ends with its steps.",
            hint="cancel() ends it before.",
        )

    def child_run(
        self, name: Optional[str] = None, run_id: Optional[str] = None, outputs: Any = None
    ) -> Run:
        """Refused, as in v1.

        Raises:
            NotServedError: always; it is a ``NotImplementedError``.
        """
        raise NotServedError(
            "PipelineRun.child_run: the runs below a pipeline's run are its steps'.",
            hint="Experiment.start_logging() begins a run that this program logs to.",
        )

    def _check(self) -> None:
        """That the experiment has such a run; not while a file is only being loaded."""
        from airflow_aml.definition.engine import declaring_engine
        from airflow_aml.definition.runs.finding import check_id, refuse_other
        from airflow_aml.workspace.runs import read_head
        from airflow_aml.workspace.submitted import read_submitted

        if declaring_engine() is not None:
            return
        note_run(check_id(self.id))
        self._refuse_unknown()
        known = read_head(self._home, self.id) or read_submitted(self._home, self.id)
        if known is not None:  # else it is of a hand-written DAG, which has no experiment
            refuse_other(self.experiment, self.id, known.experiment)

    def _planned_snapshot(self) -> Optional[str]:
        return planned_snapshot(self._home, self.id)

    @property
    def _records(self) -> Record:
        self._refuse_unknown()
        note_run(self.id)
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

    def _logs(self) -> Dict[str, str]:
        return {
            f"{step.task_id}/{name}": text
            for step in self.get_steps()
            for name, text in step._logs().items()  # noqa: SLF001 - its steps are its own
        }

    def _children(self) -> Iterator[Run]:
        return self.get_steps()

    def __repr__(self) -> str:
        shown = f"id={self.id!r}, " if self.id else ""
        try:
            status = self.get_status()
        except AzureMLException:  # a debugger does not want to hear that Airflow is away
            status = "unknown"
        return f"PipelineRun({shown}experiment={self.experiment_name!r}, {status})"


READING = frozenset(
    {
        "cancel",
        "create_children",
        "description",
        "display_name",
        "download_file",
        "download_files",
        "find_step_run",
        "get_all_logs",
        "get_children",
        "get_detailed_status",
        "get_details",
        "get_details_with_logs",
        "get_environment",
        "get_file_names",
        "get_graph",
        "get_metrics",
        "get_pipeline_output",
        "get_properties",
        "get_secret",
        "get_secrets",
        "get_snapshot_id",
        "get_steps",
        "get_tags",
        "log_image",
        "number",
        "properties",
        "publish_pipeline",
        "register_model",
        "restore_snapshot",
        "save",
        "submit_child",
        "tags",
        "upload_file",
        "upload_files",
        "upload_folder",
    }
)
"""What a program can only ask of a run that has begun."""

"""Runs as other programs see them: the pipeline's, its steps', and their outputs (reference 1.3).

All of it is read from the workspace; only whoever waits for a run, or stops it, needs the engine
that runs it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import Record, StoredRecord
from airflow_aml.errors import (
    ActivityFailedException,
    ExperimentExecutionException,
    NotServedError,
    UserErrorException,
)
from airflow_aml.runtime.recording import STREAMS
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.definition.workspace import Experiment
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.runs import RunHead, StepResult

ENDED = ("Finished", "Failed", "Canceled")
_POLL = 0.5


class _Waiting(Run):
    """A run that another program may wait for."""

    _kind = "Run"

    def wait_for_completion(
        self,
        show_output: bool = True,
        timeout_seconds: float = sys.maxsize,
        raise_on_error: bool = True,
    ) -> str:
        """Waits until the run has ended and returns its status.

        Raises:
            ActivityFailedException: the run failed and ``raise_on_error`` holds.
            ExperimentExecutionException: Ctrl-C; the run goes on.
        """
        deadline = time.monotonic() + timeout_seconds
        if show_output:
            sys.stdout.write(f"{self._kind}Id: {self.id}\n")
        told, status = "", self.get_status()
        try:
            while status not in ENDED and time.monotonic() < deadline:
                if show_output and status != told:
                    sys.stdout.write(f"{self._kind} Status: {status}\n")
                told = status
                time.sleep(_POLL)
                status = self.get_status()
        except KeyboardInterrupt:
            raise ExperimentExecutionException(
                "The output streaming for the run interrupted. But the run is still executing."
            ) from None
        if show_output and status not in ENDED:
            sys.stdout.write("Timed out of waiting for the run.\n")
        elif show_output:
            sys.stdout.write(f"{self._kind} Status: {status}\n")
        if status == "Failed" and raise_on_error:
            raise ActivityFailedException(f"Activity Failed: {self._failure()}")
        return status

    def _failure(self) -> str:
        raise NotImplementedError


class PipelineRun(_Waiting):
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


class StepRun(_Waiting):
    """The run of one step.

    A step that was reused shows metrics, files and logs of the run whose result it uses.

    Attributes:
        id: the step run's.
        name: the step's.
        pipeline_run_id: of the run that it belongs to.
    """

    _kind = "StepRun"

    def __init__(self, pipeline_run: PipelineRun, result: StepResult):
        run_id = layout.step_run_id(pipeline_run.id, result.task_id)
        super().__init__(pipeline_run.experiment, run_id, _parent=pipeline_run, _name=result.name)
        self.pipeline_run_id = pipeline_run.id
        self._run = pipeline_run
        self._result = result

    @property
    def type(self) -> str:
        """v1's word for it: a reused step's is another."""
        return "azureml.ReusedStepRun" if self._is_reused else "azureml.StepRun"

    @property
    def reason(self) -> str:
        """Why it ran or was reused; of a failed step, why it failed."""
        return self._result.reason

    def get_status(self) -> str:
        """``NotStarted``, ``Running``, ``Finished`` or ``Failed``; reused is ``Finished``."""
        if self._result.status == "NotStarted":
            results = self._run._results()  # noqa: SLF001 - it may have ended meanwhile
            self._result = next(r for r in results if r.task_id == self._result.task_id)
        if self._result.status == "Reused":
            return "Finished"
        if self._result.status == "NotStarted" and self._records.notes():
            return "Running"
        return self._result.status

    def get_outputs(self) -> Dict[str, StepRunOutput]:
        """Outputs by name."""
        return {name: StepRunOutput(self, name, uri) for name, uri in self._result.outputs.items()}

    def get_output(self, name: str) -> StepRunOutput:
        """One output.

        Raises:
            UserErrorException: the step has no such output, or has not made it.
        """
        outputs = self.get_outputs()
        if name not in outputs:
            there = ", ".join(map(repr, outputs)) or "none"
            raise UserErrorException(f"step {self.name!r} has no output {name!r}; it has {there}.")
        return outputs[name]

    def get_output_data(self, name: str) -> PortDataReference:
        """Where an output's data is; it can be downloaded."""
        return self.get_output(name).get_port_data_reference()

    def get_stdout_log(self) -> str:
        """All that the script wrote to stdout."""
        return self._text(STREAMS[0])

    def get_stderr_log(self) -> str:
        """All that the script wrote to stderr."""
        return self._text(STREAMS[1])

    def get_job_log(self) -> str:
        """stdout, and stderr after it."""
        return self.get_stdout_log() + self.get_stderr_log()

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""
        result = self._result
        return {
            "runId": self.id,
            "status": self.get_status(),
            "properties": {**self.properties, "reason": result.reason},
            "logFiles": {name: name for name in self._names() if name in STREAMS},
            "outputs": dict(result.outputs),
            "seconds": result.seconds,
            "savedSeconds": result.saved_seconds,
        }

    def get_details_with_logs(self) -> Dict[str, Any]:
        """What is known of the run, and the text of its logs."""
        details = self.get_details()
        details["logFiles"] = {name: self._text(name) for name in details["logFiles"]}
        return details

    def get_properties(self) -> Dict[str, str]:
        """The run's properties; of a reused step, also whose result it uses."""
        properties = super().get_properties()
        source = self._result.source
        if source:
            properties["azureml.reusedrunid"] = str(source.get("step_run_id", ""))
            properties["azureml.reusedpipelinerunid"] = self._source_ids[0]
        return properties

    @property
    def _is_reused(self) -> bool:
        return self._result.status == "Reused"

    @property
    def _source_ids(self) -> Tuple[str, str]:
        """(pipeline-run id, step-run id) of the run that made the result."""
        source = self._result.source
        if not source:
            return self.pipeline_run_id, self.id
        uuid = self._run._home.uuid  # noqa: SLF001
        made_by = layout.pipeline_run_id(uuid, str(source["dag_id"]), str(source["run_id"]))
        return made_by, str(source["step_run_id"])

    @property
    def _records(self) -> Record:
        return StoredRecord(self._run._home, *self._source_ids)  # noqa: SLF001

    def _text(self, name: str) -> str:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            try:
                self._records.fetch(name, path)
            except FileNotFoundError:
                return ""
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()

    def _children(self) -> Iterator[Run]:
        return iter(())

    def _failure(self) -> str:
        return f"step {self.name!r}: {self._result.reason}"

    def __repr__(self) -> str:
        return f"StepRun(name={self.name!r}, id={self.id!r}, {self.get_status()})"


class StepRunOutput:
    """One output of a step's run."""

    def __init__(self, step_run: StepRun, name: str, uri: str):
        self.name = name
        self.uri = uri
        self._step_run = step_run

    def get_port_data_reference(self) -> PortDataReference:
        """Where its data is."""
        return PortDataReference(self._step_run.experiment.workspace, self.name, self.uri)


class PortDataReference:
    """The data of an output.

    Attributes:
        uri: where it is.
        path_on_datastore: the path of it in its store; :meth:`download` keeps it.
    """

    def __init__(self, workspace: Any, name: str, uri: str):
        from airflow_aml.definition.homes import home_of
        from airflow_aml.definition.registered import place_of_uri

        self.name = name
        self.uri = uri
        self._workspace = workspace
        self._place = place_of_uri(uri, home_of(workspace))
        self.datastore_name: str = getattr(self._place, "datastore", "")
        self.path_on_datastore: str = str(getattr(self._place, "path", "")).strip("/")

    def download(
        self,
        local_path: str,
        overwrite: Optional[bool] = None,
        show_progress: Optional[bool] = None,
    ) -> int:
        """Copies the data to ``<local_path>/<path_on_datastore>`` and returns how many files.

        Raises:
            UserErrorException: there is no data, or a file is there and ``overwrite`` is not set.
        """
        from airflow_aml.definition.filedataset import FileDataset
        from airflow_aml.definition.spec import Files

        data = FileDataset(Files((self._place,)), workspace=self._workspace)
        target = os.path.join(local_path, *self.path_on_datastore.split("/"))
        return len(data.download(target, overwrite=bool(overwrite)))

    def __repr__(self) -> str:
        return f"PortDataReference({self.name!r}, {self.uri})"


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
    "get_steps",
    "get_tags",
    "properties",
    "tags",
}
"""What a program can only ask of a run that has begun."""

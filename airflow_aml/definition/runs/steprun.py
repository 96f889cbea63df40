"""A step's run as other programs see it (reference 1.3)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, TextIO, Tuple, Union

from airflow_aml.definition.names import check_text
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.kept import LOST
from airflow_aml.definition.runs.outputs import PortDataReference, StepRunOutput
from airflow_aml.definition.runs.records import StoredRecord
from airflow_aml.definition.runs.reused import ReusedRecord
from airflow_aml.definition.runs.snapshot import planned_snapshot
from airflow_aml.definition.runs.tail import Tail
from airflow_aml.definition.runs.waiting import ENDED, Waiting
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import layout
from airflow_aml.workspace.journal import STREAMS

if TYPE_CHECKING:
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.workspace.runs import StepResult


class ChildRun(Run):
    """A run below another one, as programs see it that are not its script.

    Args:
        begun: whether it is this program that has begun it.
    """

    def __init__(
        self, parent: Run, record: StoredRecord, run_id: str, name: str, begun: bool = False
    ):
        super().__init__(parent.experiment, run_id, _record=record, _parent=parent, _name=name)
        self._stored = record
        self._is_begun_here = begun

    def _is_own(self) -> bool:
        return self._is_begun_here

    def _children(self) -> Iterator[Run]:
        return children_of(self, self._stored)

    def _child(self, run_id: str, name: str, folder: str = "") -> Run:
        return ChildRun(self, self._stored.below(run_id), run_id, name, begun=True)


def children_of(parent: Run, record: Union[StoredRecord, ReusedRecord]) -> Iterator[ChildRun]:
    """The runs that its record knows below a run, newest first."""
    for run_id, name, below in record.children():
        yield ChildRun(parent, below, run_id, name)


class StepRun(Waiting):
    """The run of one step: v1's ``StepRun(experiment, step_run_id, pipeline_run_id)``.

    A step that was reused shows metrics, tags, files and logs of the run whose result it uses, and
    what is written to it since: that run stays as it is.

    Args:
        experiment: that its pipeline run belongs to.
        step_run_id: its id.
        pipeline_run_id: of the run that it belongs to.

    Raises:
        UserErrorException: there is no such run.

    Attributes:
        id: the step run's.
        name: the step's.
        pipeline_run_id: of the run that it belongs to.
    """

    _kind = "StepRun"

    def __init__(
        self,
        experiment: Any,
        step_run_id: str,
        pipeline_run_id: str,
        *,
        _known: Optional[Tuple[PipelineRun, StepResult]] = None,
    ):
        run, result = _known or _found(experiment, step_run_id, pipeline_run_id)
        super().__init__(run.experiment, step_run_id, _parent=run, _name=result.name)
        self.pipeline_run_id = run.id
        self._run = run
        self._result = result
        self._tail: Optional[Tail] = None

    @classmethod
    def of(cls, pipeline_run: PipelineRun, result: StepResult) -> StepRun:
        """The run of the step whose result in that pipeline run is known."""
        run_id = layout.step_run_id(pipeline_run.id, result.task_id)
        known = pipeline_run, result
        return cls(pipeline_run.experiment, run_id, pipeline_run.id, _known=known)

    @property
    def type(self) -> str:
        """v1's word for it: a reused step's is another."""
        return "azureml.ReusedStepRun" if self._is_reused else "azureml.StepRun"

    @property
    def task_id(self) -> str:
        """Airflow's name of the step."""
        return self._result.task_id

    @property
    def reason(self) -> str:
        """Why it ran or was reused; of a failed step, why it failed; of one that its run has kept
        from starting, why that is."""
        return self._result.reason or self._run.why_without_end(self._result)

    def get_status(self) -> str:
        """``NotStarted``, ``Queued``, ``Running``, ``Finished``, ``Failed``, ``Canceled`` or
        ``Bypassed``; reused is ``Finished``."""
        if self._result.status == "NotStarted":
            results = self._run._results()  # noqa: SLF001 - it may have ended meanwhile
            mine = (each for each in results if each.task_id == self._result.task_id)
            self._result = next(mine, self._result)  # which has none before its run is planned
        if self._result.status in ("Finished", "Reused"):
            return "Finished"
        return self._run.step_status(self._result)

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
        """What is known of the run, in the words of v1's run history: ``Completed``."""
        from airflow_aml.definition.runs.overview import when

        status, result = self.status, self._result
        begun, ended = when(result, self._notes())
        return {
            "runId": self.id,
            "status": status,
            "startTimeUtc": _utc(begun),
            "endTimeUtc": _utc(ended),
            "properties": {**self.properties, "reason": self.reason},
            "logFiles": {name: name for name in self._names() if name in STREAMS},
            "outputs": dict(result.outputs),
            "seconds": result.seconds,
            "savedSeconds": result.saved_seconds,
            **self._error(status),
        }

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
    def _records(self) -> Union[StoredRecord, ReusedRecord]:
        home = self._run._home  # noqa: SLF001
        own = StoredRecord(home, self.pipeline_run_id, self.id)
        if not self._result.source:
            return own
        return ReusedRecord(own, StoredRecord(home, *self._source_ids))

    def _planned_snapshot(self) -> Optional[str]:
        return planned_snapshot(self._run._home, self.pipeline_run_id, self._result.task_id)  # noqa: SLF001

    def _children(self) -> Iterator[Run]:
        return children_of(self, self._records)

    def _child(self, run_id: str, name: str, folder: str = "") -> Run:
        return ChildRun(self, self._records.below(run_id), run_id, name, begun=True)

    def _watch(self, out: TextIO, deadline: float) -> str:
        self._tail = Tail(self._records)
        return super()._watch(out, deadline)

    def _tell_more(self, out: TextIO, ended: bool) -> None:
        # In an object store the log is there when the script has ended.
        is_there = ended or self._run._home.is_local  # noqa: SLF001
        if is_there and out.writable() and self._tail is not None:
            out.write(self._tail.new_lines(ended))

    def _is_over(self) -> bool:
        return self._run.get_status() in ENDED

    def _failure(self) -> str:
        why, name = self._why(), f"step {self.name!r}"
        return why if why.startswith(name) else f"{name}: {why}"

    def _why(self) -> str:
        return self.reason or LOST

    def __repr__(self) -> str:
        return f"StepRun(name={self.name!r}, id={self.id!r}, {self.get_status()})"


def _utc(seconds: Optional[float]) -> Optional[str]:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def _found(
    experiment: Any, step_run_id: str, pipeline_run_id: str
) -> Tuple[PipelineRun, StepResult]:
    """A step's pipeline run, and how the step has ended there."""
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.runs.pipelinerun import PipelineRun

    if not isinstance(experiment, Experiment):
        raise UserErrorException(f"StepRun takes an Experiment, not {experiment!r}.")
    check_text("StepRun", "the id of a step's run", step_run_id)
    check_text("StepRun", "the id of a pipeline's run", pipeline_run_id)
    run = PipelineRun(experiment, pipeline_run_id)
    for step in run.get_steps():
        if step.id == step_run_id:
            return run, step._result  # noqa: SLF001 - of the same class
    raise UserErrorException(
        f"run {pipeline_run_id!r} has no step run {step_run_id!r}.",
        hint="PipelineRun.get_steps gives them all.",
    )

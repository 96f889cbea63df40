"""All that a workspace knows of one run, in one object: for tables, comparisons and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from airflow_aml.definition.runs.kept import why_kept, with_lost
from airflow_aml.workspace.journal import Note

if TYPE_CHECKING:
    from airflow_aml.definition.runs.steprun import StepRun
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.runs import RunHead, StepResult


@dataclass(frozen=True)
class StepOverview:
    """One step of a run. A reused one has those metrics, tags and files of its source, too.

    Attributes:
        status: ``NotStarted``, ``Running``, ``Finished``, ``Reused``, ``Failed``...
        begun, ended: seconds since 1970, of a step whose script was started in this run.
        upstream: task ids of the steps that it waits for.
    """

    id: str
    task_id: str
    name: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    saved_seconds: float = 0.0
    begun: Optional[float] = None
    ended: Optional[float] = None
    fingerprint: Optional[str] = None
    source_run: Optional[Dict[str, Any]] = None
    upstream: Tuple[str, ...] = ()
    outputs: Dict[str, str] = field(default_factory=dict)
    metrics: Dict[str, Any] = field(default_factory=dict)
    tags: Dict[str, Optional[str]] = field(default_factory=dict)
    properties: Dict[str, str] = field(default_factory=dict)
    files: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunOverview:
    """A pipeline's run. ``metrics``, ``tags`` and ``files`` are the run's own, not its steps'."""

    id: str
    dag_id: str
    run_id: str
    experiment: str
    created: str
    status: str
    parameters: Dict[str, Any] = field(default_factory=dict)
    metrics: Dict[str, Any] = field(default_factory=dict)
    tags: Dict[str, Optional[str]] = field(default_factory=dict)
    files: List[str] = field(default_factory=list)
    steps: List[StepOverview] = field(default_factory=list)


def overview(home: Home, head: RunHead) -> RunOverview:
    """What the workspace knows of that run now.

    Raises:
        WorkspaceException: it cannot be read.
    """
    from airflow_aml.workspace.plans import read_plan
    from airflow_aml.workspace.runs import results, status_of

    run, plan = _run(head), read_plan(home, head.id)
    known = results(home, head)
    found = seen(home, head, known)
    upstream = {task_id: step.upstream for task_id, step in plan.steps.items()} if plan else {}
    return RunOverview(
        id=head.id,
        dag_id=head.dag_id,
        run_id=head.run_id,
        experiment=head.experiment,
        created=head.created,
        status=ended_or_lost(home, head.id, status_of(known)),
        parameters=dict(plan.parameters) if plan else {},
        metrics=run.get_metrics(),
        tags=run.get_tags(),
        files=run.get_file_names(),
        steps=[_step(run, each, upstream.get(each.task_id, ())) for each in found],
    )


def seen(home: Home, head: RunHead, known: List[StepResult]) -> List[StepResult]:
    """A run's steps, with what is to be said of those that were lost, or kept from starting."""
    from airflow_aml.workspace.plans import read_plan

    found = with_lost(
        home, head.id, known, lambda: ended_or_lost(home, head.id, "Unfinished") == "Failed"
    )
    plan = read_plan(home, head.id) if any(each.status == "Failed" for each in found) else None
    return [replace(each, reason=each.reason or why_kept(each, found, plan)) for each in found]


def ended_or_lost(home: Home, run_id: str, status: str) -> str:
    """A run's status; of one whose process is gone without an end, ``Failed``."""
    from airflow_aml.definition.engine import lives
    from airflow_aml.workspace.submitted import is_canceled

    if status == "Unfinished" and is_canceled(home, run_id):  # before it had steps
        return "Canceled"
    lost = status == "Unfinished" and lives(home, run_id) is False
    return "Failed" if lost else status


def step_runs(home: Home, head: RunHead) -> List[StepRun]:
    """The runs of the run's steps; also of a hand-written DAG's."""
    from airflow_aml.definition.runs.steprun import StepRun
    from airflow_aml.workspace.runs import results

    run = _run(head)
    return [StepRun.of(run, result) for result in results(home, head)]


def _run(head: RunHead) -> Any:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.workspace import Workspace

    experiment = Experiment.of_run(Workspace(), head.experiment)
    return PipelineRun(experiment, head.id, _is_known=True)


def _step(run: Any, result: StepResult, upstream: Tuple[str, ...]) -> StepOverview:
    from airflow_aml.definition.runs.steprun import StepRun

    step = StepRun.of(run, result)
    notes = step._notes()  # noqa: SLF001 - of the same package
    begun, ended = when(result, notes)
    seconds = result.seconds or (ended - begun if begun and ended else 0.0)
    return StepOverview(
        id=step.id,
        task_id=result.task_id,
        name=result.name,
        status=result.status,
        reason=result.reason,
        seconds=round(seconds, 3),
        saved_seconds=result.saved_seconds,
        begun=begun,
        ended=ended,
        fingerprint=result.fingerprint,
        source_run=result.source,
        upstream=upstream,
        outputs=dict(result.outputs),
        metrics=step.get_metrics(),
        tags=step.get_tags(),
        properties=step.get_properties(),
        files=step.get_file_names(),
    )


def when(result: StepResult, notes: List[Note]) -> Tuple[Optional[float], Optional[float]]:
    """When the step's script began and ended, as far as this run had it started."""
    if result.status == "Reused":
        return None, None
    ended = datetime.fromisoformat(result.ended).timestamp() if result.ended else None
    if ended and result.seconds:
        return ended - result.seconds, ended
    begun = notes[0].get("t") if notes else None
    ends = [note["t"] for note in notes if "ended" in note and "t" in note]
    return begun, ends[-1] if ends else ended if begun else None

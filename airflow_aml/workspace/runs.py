"""What a workspace knows of its runs: which there were, and how each of their steps ended.

Airflow has all of this too; here it is for those who have no Airflow at hand, and for longer.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
)

from airflow_aml.codec import decode, encode
from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.process import Process
from airflow_aml.workspace.submitted import (
    canceled_at,
    is_canceled,
    mark_canceled,
    read_submitted,
)

if TYPE_CHECKING:
    from airflow_aml.workspace.plans import RunPlan

RUN_VERSION = 1
_RUNS = "runs/"
_RESULT = "return_value"
_DONE = ("Finished", "Reused")
DAMAGED = (AirflowAmlError, OSError, ValueError, LookupError, TypeError, AttributeError)
UNKNOWN = "?"
"""Stands for what the workspace was not told of a run."""


@dataclass(frozen=True)
class RunHead:
    """One pipeline run.

    Attributes:
        id: the pipeline-run id.
        dag_id, run_id: Airflow's names of it.
        created: when it was submitted, or, if no program has done that, planned first; UTC, ISO
            8601.
        begun: when it was planned first, if it was submitted by a program before.
        planned: when it was planned last, if that was later: tasks of old runs can be cleared.
        steps: task id -> step name.
        by_hand: its DAG is hand-written and has no task that plans: what is known is what its steps
            have told when they ended.
        script: of a run of one script, the task that runs it.
    """

    id: str
    dag_id: str
    run_id: str
    experiment: str
    created: str
    steps: Dict[str, str] = field(default_factory=dict)
    planned: str = ""
    version: int = RUN_VERSION
    by_hand: bool = False
    script: str = ""
    begun: str = ""


@dataclass(frozen=True)
class StepResult:
    """How a step of a run ended, or ``NotStarted``.

    Attributes:
        status: ``Finished``, ``Reused``, ``Failed`` or ``NotStarted``; of a run that was canceled,
            ``Canceled`` instead of these two.
        reason: why it ran or was reused; of a failed step, why it failed.
        source: Airflow's names of the run whose result is reused.
        outputs: output name -> URI.
        ended: when a step that was started was done, UTC, ISO 8601; of a run that was canceled,
            when that was.
    """

    task_id: str
    name: str
    status: str
    reason: str = ""
    fingerprint: Optional[str] = None
    seconds: float = 0.0
    saved_seconds: float = 0.0
    source: Optional[Dict[str, Any]] = None
    outputs: Dict[str, str] = field(default_factory=dict)
    ended: str = ""


def write_head(home: Home, pipeline_run_id: str, plan: RunPlan) -> None:
    """Notes that a run has begun, or, of one that is planned again, that it goes on."""
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    submitted = read_submitted(home, pipeline_run_id)
    head = RunHead(
        id=pipeline_run_id,
        dag_id=plan.dag_id,
        run_id=plan.run_id,
        experiment=plan.experiment,
        created=(submitted.created if submitted else "") or now,
        steps={task_id: step.name for task_id, step in plan.steps.items()},
        script=plan.script,
        begun=now,
    )
    if not home.store.create(_head(pipeline_run_id), json.dumps(encode(head)).encode()):
        first = read_head(home, pipeline_run_id)
        if first is not None:
            again = replace(first, planned=now)
            home.store.write(_head(pipeline_run_id), json.dumps(encode(again)).encode())
            if is_canceled(home, pipeline_run_id):  # its tasks were cleared since
                mark_canceled(home, pipeline_run_id, canceled=False)


def write_begun(home: Home, pipeline_run_id: str, experiment: str, task_id: str) -> None:
    """Notes that this program has begun a run of its own, which no DAG has."""
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    head = RunHead(pipeline_run_id, "", "", experiment, now, {task_id: task_id})
    home.store.write(_program(pipeline_run_id), json.dumps(asdict(Process.this())).encode())
    home.store.create(_head(pipeline_run_id), json.dumps(encode(head)).encode())


def heads(home: Home, by_hand: bool = False, to_come: bool = False) -> List[RunHead]:
    """All runs, newest first. What cannot be read is left out: these are no runs of ours.

    Args:
        by_hand: with those of hand-written DAGs.
        to_come: with those that were submitted, and have not got to their plan.
    """
    names = [name.rstrip("/") for name in home.store.children(_RUNS)]
    found = [read_head(home, each, by_hand) for each in names]
    if to_come:
        found = [head or head_to_come(home, name) for name, head in zip(names, found)]
    known = [each for each in found if each is not None]
    return sorted(known, key=lambda each: (each.created, each.id), reverse=True)


def read_head(home: Home, pipeline_run_id: str, by_hand: bool = False) -> Optional[RunHead]:
    """One run; None if the workspace has none of that id, or it cannot be read.

    Args:
        by_hand: look for one of a hand-written DAG too.
    """
    try:
        return decode(RunHead, json.loads(home.store.read(_head(pipeline_run_id))))
    except FileNotFoundError:
        return _head_by_hand(home, pipeline_run_id) if by_hand else None
    except DAMAGED:
        return None


def results(home: Home, head: RunHead) -> List[StepResult]:
    """How each step of a run has ended, as far as the workspace knows.

    Raises:
        WorkspaceException: the store cannot be read.
    """
    if head.by_hand:
        return _results_by_hand(home, head)
    return or_canceled(home, head, list(each_result(home, head, list(head.steps))))


def status_of(steps: List[StepResult]) -> str:
    """Of a run: ``Finished``, ``Failed``, ``Canceled``, or ``Unfinished`` if it is still going or
    was lost."""
    statuses = {each.status for each in steps}
    if "Canceled" in statuses:
        return "Canceled"
    if "Failed" in statuses:
        return "Failed"
    return "Unfinished" if "NotStarted" in statuses or not statuses else "Finished"


def _program(pipeline_run_id: str) -> str:
    return f"{layout.run(pipeline_run_id)}/program.json"


def _is_lost(home: Home, head: RunHead) -> bool:
    """Whether it is the run of a program that has gone without ending it, as this host can see."""
    if head.dag_id:
        return False
    try:
        program = Process.of_document(json.loads(home.store.read(_program(head.id))))
    except (FileNotFoundError, ValueError):
        return False
    return program is not None and program.is_gone()


def _head(pipeline_run_id: str) -> str:
    return f"{layout.run(pipeline_run_id)}/run.json"


def each_result(home: Home, head: RunHead, task_ids: Sequence[str]) -> Iterator[StepResult]:
    """How these steps have ended, each looked at when it is asked for."""
    from airflow_aml.workspace.plans import read_reused

    reused = read_reused(home, head.id)
    for task_id in task_ids:
        place = layout.step(head.id, layout.step_run_id(head.id, task_id))
        report = _report(home, f"{place}/report.json")
        if report is None and task_id in reused:
            report = {"values": reused[task_id]}
        yield _result(home, head, task_id, report)


def or_canceled(home: Home, head: RunHead, found: List[StepResult]) -> List[StepResult]:
    """These steps; of a run that somebody has ended, what has no result was canceled."""
    if status_of(found) == "Finished" or not is_canceled(home, head.id):
        return found
    ended = canceled_at(home, head.id)
    return [
        each
        if each.status in _DONE
        else replace(each, status="Canceled", ended=each.ended or ended)
        for each in found
    ]


def _result(
    home: Home, head: RunHead, task_id: str, report: Optional[Mapping[str, Any]]
) -> StepResult:
    name = head.steps[task_id] or task_id
    if report is not None:
        return _ended(task_id, name, report)
    try:
        mark = home.store.read(layout.failed(head.id) + task_id)
    except FileNotFoundError:
        if not _is_lost(home, head):
            return StepResult(task_id, name, "NotStarted")
        return StepResult(
            task_id, name, "Failed", "its program was ended before it had ended the run"
        )
    return _failed(task_id, name, mark.decode())


def _failed(task_id: str, name: str, mark: str) -> StepResult:
    try:
        told = json.loads(mark)
        why, seconds = str(told["why"]), float(told["seconds"])
        return StepResult(task_id, name, "Failed", why, seconds=seconds, ended=told["ended"])
    except (ValueError, LookupError, TypeError):  # earlier releases kept the reason alone
        return StepResult(task_id, name, "Failed", mark)


def _ended(task_id: str, name: str, report: Mapping[str, Any]) -> StepResult:
    values = report["values"]
    result = values.get(_RESULT) or {}
    return StepResult(
        task_id,
        name,
        result.get("status", "Finished"),
        result.get("reason", ""),
        result.get("fingerprint"),
        result.get("seconds", 0.0),
        result.get("saved_seconds", 0.0),
        result.get("source_run"),
        {key: str(each["uri"]) for key, each in values.items() if key != _RESULT},
        str(report.get("ended", "")),
    )


def head_to_come(home: Home, pipeline_run_id: str) -> Optional[RunHead]:
    """What is known of a run that was submitted before its plan says which steps it has."""
    try:
        known = read_submitted(home, pipeline_run_id)
    except DAMAGED:
        return None
    if known is None or not known.created:
        return None
    names = known.dag_id, known.run_id, known.experiment
    return RunHead(pipeline_run_id, *names, created=known.created, script=known.script)


def _head_by_hand(home: Home, pipeline_run_id: str) -> Optional[RunHead]:
    """What the steps of a hand-written DAG have told of their run."""
    from datetime import datetime, timedelta

    told = _told(home, pipeline_run_id)
    failed = home.store.children(layout.failed(pipeline_run_id))
    if not told and not failed:
        return None
    dag_id, run_id, begun = UNKNOWN, UNKNOWN, []
    for each in told:
        if each.get("dag_id", UNKNOWN) != UNKNOWN:
            dag_id, run_id = str(each["dag_id"]), str(each.get("run_id", UNKNOWN))
        if "ended" in each:
            seconds = float(each["values"].get(_RESULT, {}).get("seconds", 0.0))
            begun.append(datetime.fromisoformat(each["ended"]) - timedelta(seconds=seconds))
    created = min(begun).isoformat(timespec="milliseconds") if begun else ""
    steps = {task_id: task_id for task_id in [*(each["task_id"] for each in told), *failed]}
    return RunHead(pipeline_run_id, dag_id, run_id, dag_id, created, steps, by_hand=True)


def _results_by_hand(home: Home, head: RunHead) -> List[StepResult]:
    """One for each task instance: a task that is mapped has several."""
    told = _told(home, head.id)
    done = [_ended(each["task_id"], each["task_id"], each) for each in told]
    ended = {each.task_id for each in done}
    return done + [_result(home, head, name, None) for name in head.steps if name not in ended]


def _told(home: Home, pipeline_run_id: str) -> List[Dict[str, Any]]:
    """The reports of a run's steps, in the order in which they ended."""
    folder = f"{layout.run(pipeline_run_id)}/steps/"
    found = [_report(home, f"{folder}{name}report.json") for name in home.store.children(folder)]
    known = [each for each in found if each is not None]
    return sorted(known, key=lambda each: str(each.get("ended", "")))


def _report(home: Home, path: str) -> Optional[Dict[str, Any]]:
    try:
        document: Dict[str, Any] = json.loads(home.store.read(path))
        whole = isinstance(document["task_id"], str) and isinstance(document["values"], dict)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return document if whole else None

"""How a result that is reused shows in Airflow: its task is skipped, its XComs are there.

Airflow skips any tasks of a run in one call, whichever they are, and lets a task write XComs of
others, one call each. Those of a few steps are all written. Of many steps only what somebody may
read is, as writing hundreds would take longer than everything else; the task that decided has them
in an XCom of its own, and the workspace keeps them for steps that are cleared later. A skipped task
emits no asset event, as its data did not change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import DownstreamTasksSkipped
from airflow.sdk.execution_time.xcom import XCom

from airflow_aml.airflow.metrics import count_reused, count_run
from airflow_aml.reuse.fingerprint import Fingerprint
from airflow_aml.reuse.records import StepRecord
from airflow_aml.reuse.walk import REUSE, Decision

if TYPE_CHECKING:
    from airflow.sdk import Context

RETURN_VALUE = "return_value"
REUSED = "reused"
"""Key of the XCom in which the task that decided has those of the steps that it skips."""

FEW = 24
"""So many XComs are written one by one; each takes 5 to 20 ms."""

MOST_SHOWN = 500


def hits(decisions: Mapping[str, Decision]) -> dict[str, Decision]:
    """Those that can be skipped."""
    return {name: each for name, each in decisions.items() if each.decision == REUSE}


def replay(
    context: Context, decisions: Mapping[str, Decision], needed: Collection[str] | None
) -> None:
    """Writes the XComs of results that are reused under the ids of the steps they stand for.

    It also counts them among Airflow's metrics.

    Args:
        needed: ids of steps whose XComs other tasks may read in this run; None: of any.
    """
    if not decisions:
        return
    ti = context["ti"]
    values = {task_id: xcoms(decision) for task_id, decision in decisions.items()}
    few = sum(map(len, values.values())) <= FEW
    for task_id, each in values.items():
        if few or needed is None or task_id in needed:
            for key, value in each.items():
                XCom.set(key=key, value=value, dag_id=ti.dag_id, task_id=task_id, run_id=ti.run_id)
    if not few and needed is not None:
        ti.xcom_push(key=REUSED, value=dict(list(values.items())[:MOST_SHOWN]))
    count_reused(each.record.seconds for each in decisions.values() if each.record)


def xcoms(decision: Decision) -> dict[str, Any]:
    """The XComs of a reused step by key: its outputs, and its return value."""
    assert decision.record is not None
    outputs = {name: output.reference for name, output in decision.record.outputs.items()}
    return {**outputs, RETURN_VALUE: _reused(decision)}


def skip(decisions: Mapping[str, Decision]) -> None:
    """Ends the task in success and skips the steps of these results, all at once.

    Raises:
        DownstreamTasksSkipped: there are any.
    """
    if decisions:
        skip_steps(decisions)


def skip_steps(task_ids: Iterable[str]) -> NoReturn:
    """Ends the task in success and skips these.

    Raises:
        DownstreamTasksSkipped: always.
    """
    raise DownstreamTasksSkipped(tasks=sorted(task_ids))  # type: ignore[no-untyped-call]


def reused(decision: Decision) -> dict[str, Any]:
    """The ``return_value`` of this task, a step that uses an earlier result; it is counted."""
    assert decision.record is not None
    count_reused([decision.record.seconds])
    return _reused(decision)


def finished(
    fingerprint: Fingerprint | None, reason: str, seconds: float, metrics: Mapping[str, float]
) -> dict[str, Any]:
    """The ``return_value`` of this task, a step that ran; it is counted.

    Args:
        seconds: of its script, staging and commit.
        metrics: the last value of each number that it logged.
    """
    count_run()
    return _result("Finished", fingerprint, reason, seconds, metrics, None)


def _reused(decision: Decision) -> dict[str, Any]:
    """The ``return_value`` of a step whose earlier result is used (architecture 4.4)."""
    record = decision.record
    assert record is not None
    return _result("Reused", decision.fingerprint, decision.reason, 0.0, record.metrics, record)


def _result(
    status: str,
    fingerprint: Fingerprint | None,
    reason: str,
    seconds: float,
    metrics: Mapping[str, float],
    source: StepRecord | None,
) -> dict[str, Any]:
    result = {
        "status": status,
        "fingerprint": fingerprint.digest if fingerprint else None,
        "reason": reason,
        "seconds": round(seconds, 3),
        "saved_seconds": round(source.seconds, 3) if source else 0.0,
        "source_run": _source(source) if source else None,
    }
    return {**result, "metrics": dict(metrics)} if metrics else result


def _source(record: StepRecord) -> dict[str, Any]:
    return {
        "dag_id": record.dag_id,
        "run_id": record.run_id,
        "task_id": record.task_id,
        "step_run_id": record.step_run_id,
    }

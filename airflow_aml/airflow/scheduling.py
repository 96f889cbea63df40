"""Schedules of pipelines in Airflow: the DAG's timetable, and what their runs are given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_aml.codec import encode
from airflow_aml.definition.parameters import parse_text
from airflow_aml.definition.schedule_spec import ACTIVE, ScheduleSpec

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.definition.spec import ParameterSpec
    from airflow_aml.workspace.home import Home

_BY_ITSELF = ("scheduled", "backfill")


def dag_schedule(schedule: Any, idle: bool = False) -> Any:
    """What ``DAG(schedule=...)`` takes: a timetable in place of a recurrence; else as it is.

    Args:
        idle: the DAG is made to run a task of it, for which its schedule does not matter.

    Raises:
        PipelineDefinitionError: something of the recurrence is wrong.
    """
    from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence

    if isinstance(schedule, ScheduleSpec):
        recurrence = schedule.recurrence if schedule.status == ACTIVE else None
    elif isinstance(schedule, ScheduleRecurrence):
        recurrence = schedule.spec
    else:
        return schedule
    if recurrence is None or idle:
        return None
    from airflow_aml.airflow.timetable import RecurrenceTimetable

    return RecurrenceTimetable(recurrence)


def remember(schedule: ScheduleSpec, home: Home, dag_id: str) -> None:
    """Keeps the schedule in the workspace, where other programs find it."""
    from airflow_aml.workspace.schedules import save_schedule

    save_schedule(home, encode(replace(schedule, dag_id=dag_id)))


def values(
    schedule: ScheduleSpec, specs: Iterable[ParameterSpec], context: Context
) -> dict[str, Any]:
    """What a run's parameters are given; the schedule's values only where the schedule starts it.

    Raises:
        PipelineDefinitionError: an expression, or what it comes to, cannot be used.
    """
    run = context["dag_run"]
    given = dict(context["params"])
    if run.run_type not in _BY_ITSELF:
        return given
    from airflow_aml.definition.schedule_expressions import Trigger, evaluate, is_expression

    conf = run.conf or {}
    known = {each.name: each for each in specs}
    trigger = Trigger(
        scheduled=run.logical_date or run.run_after,
        started=run.start_date or run.run_after,
        run_id=run.run_id,
        created_by=run.triggering_user_name or "airflow",
    )
    for name, value in schedule.parameters.items():
        if name in known and name not in conf:
            text = evaluate(str(value), trigger) if is_expression(value) else None
            given[name] = value if text is None else parse_text(known[name], text)
    return given

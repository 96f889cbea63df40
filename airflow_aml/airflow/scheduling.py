"""Schedules of pipelines in Airflow: what starts the DAG's runs, and what these are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_aml.airflow import datachange
from airflow_aml.airflow.datachange import BY_DATA, Change
from airflow_aml.codec import encode
from airflow_aml.definition.parameters import parse_text
from airflow_aml.definition.schedule_spec import ACTIVE, ScheduleSpec

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.definition.schedule_slots import Recurrence
    from airflow_aml.definition.schedule_versions import OnNewVersion
    from airflow_aml.definition.spec import ParameterSpec
    from airflow_aml.workspace.home import Home

_BY_ITSELF = ("scheduled", "backfill", BY_DATA)


def dag_schedule(schedule: Any, workspace: str, idle: bool = False) -> Any:
    """What ``DAG(schedule=...)`` takes: a timetable in place of a recurrence, or Assets in place of
    a watched folder or of datasets; else as it is.

    Args:
        workspace: the name of the one that a watched folder's datastore is in.
        idle: the DAG is made to run a task of it, for which its schedule does not matter.

    Raises:
        PipelineDefinitionError: something of the recurrence is wrong.
    """
    from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
    from airflow_aml.definition.schedule_versions import OnNewVersion

    if isinstance(schedule, ScheduleSpec):
        if schedule.status != ACTIVE or idle:
            return None
        if schedule.data is not None:
            from airflow_aml.airflow.assets import folder_asset

            return [folder_asset(workspace, schedule.data)]
        recurrence = schedule.recurrence
    elif isinstance(schedule, ScheduleRecurrence):
        recurrence = schedule.spec
    elif isinstance(schedule, OnNewVersion):
        return None if idle else _versions(schedule, workspace)
    else:
        return schedule
    return None if idle else _timetable(recurrence)


def _timetable(recurrence: Recurrence) -> Any:
    from airflow_aml.airflow.timetable import RecurrenceTimetable

    return RecurrenceTimetable(recurrence)


def _versions(schedule: OnNewVersion, workspace: str) -> Any:
    from airflow.sdk import AssetOrTimeSchedule

    from airflow_aml.airflow.assets import dataset_asset

    assets = [dataset_asset(workspace, name) for name in schedule.names]
    if schedule.recurrence is None:
        return assets
    return AssetOrTimeSchedule(timetable=_timetable(schedule.recurrence.spec), assets=assets)


def remember(schedule: ScheduleSpec, home: Home, dag_id: str) -> None:
    """Keeps the schedule in the workspace, where other programs find it."""
    from airflow_aml.workspace.schedules import save_schedule

    if schedule.workspace:  # a program has made it, and kept it there
        return
    save_schedule(home, encode(replace(schedule, dag_id=dag_id)))


def begun(
    schedule: ScheduleSpec,
    home: Home,
    dag_id: str,
    specs: Iterable[ParameterSpec],
    context: Context,
) -> tuple[dict[str, Any], Change | None]:
    """What a run's parameters are given, and the changed files that it has taken, if it is theirs.

    Where each file is to have a run of its own, this run has the first, and the others' are
    started.

    Raises:
        PipelineDefinitionError: an expression, or what it comes to, cannot be used.
    """
    specs = list(specs)
    remember(schedule, home, dag_id)
    change = datachange.take(schedule, home, context)
    given = values(schedule, specs, context)
    if schedule.data is None or change is None or not change.files:
        return given, change
    parameter = next((each for each in specs if each.name == schedule.data.parameter), None)
    if schedule.data.per_file and len(change.files) > 1:
        first = next(change.each())
        others = {path: each for path, each in change.files.items() if path not in first.files}
        sent = {name: given[name] for name in schedule.parameters if name in given}
        run_id, rest = context["dag_run"].run_id, Change(change.datastore, others)
        datachange.start_each(rest, schedule, dag_id, sent, parameter, run_id)
        change = first
    if parameter is not None and parameter.name not in (context["dag_run"].conf or {}):
        given[parameter.name] = datachange.changed_value(parameter, change)
    return given, change


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
    from airflow_aml.definition.schedule_expressions import is_expression

    conf = run.conf or {}
    known = {each.name: each for each in specs}
    for name, value in worked_out(schedule.parameters, context).items():
        if name in known and name not in conf:
            was_text = is_expression(schedule.parameters[name])
            given[name] = parse_text(known[name], value) if was_text else value
    return given


def worked_out(parameters: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The values of a schedule for this run, each expression as the text that it comes to.

    Raises:
        PipelineDefinitionError: an expression cannot be worked out.
    """
    from airflow_aml.definition.schedule_expressions import Trigger, evaluate, is_expression

    run = context["dag_run"]
    trigger = Trigger(
        scheduled=run.logical_date or run.run_after,
        started=run.start_date or run.run_after,
        run_id=run.run_id,
        created_by=run.triggering_user_name or "airflow",
    )
    return {
        name: evaluate(value, trigger) if is_expression(value) else value
        for name, value in parameters.items()
    }

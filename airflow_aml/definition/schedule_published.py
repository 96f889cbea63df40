"""Schedules of published pipelines and endpoints: made by programs, kept in the workspace
(reference 1.3).

An ``AmlDagBundle`` that reads the workspace makes a DAG of each.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module
from typing import Any, List

from airflow_aml.codec import decode, encode
from airflow_aml.definition.engine import API_VARIABLE, works_with_airflow
from airflow_aml.definition.homes import workspace_name
from airflow_aml.definition.names import slug
from airflow_aml.definition.schedule_spec import ScheduleSpec
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.errors import PipelineDefinitionError


def published_spec(workspace: Any, pipeline_id: Any, where: str) -> PipelineSpec:
    """What the published pipeline of that id does.

    Raises:
        PipelineDefinitionError: it is no id.
        UserErrorException: there is none of that id.
    """
    from airflow_aml.definition.published import opened, workspace_of
    from airflow_aml.workspace import published

    if not isinstance(pipeline_id, str):
        raise PipelineDefinitionError(
            f"pipeline_id= is no id of a published pipeline: {pipeline_id!r}.",
            where=where,
            hint="A program gives pipeline.publish(...).id.",
        )
    record = published.read(opened(workspace_of(workspace)), pipeline_id)
    return PipelineSpec.from_dict(record.spec)


def endpoint_id(workspace: Any, endpoint: str) -> str:
    """The id of the endpoint that has that id, or that name.

    Raises:
        ErrorResponseException: there is none.
    """
    from airflow_aml.definition.published import opened, workspace_of
    from airflow_aml.workspace.endpoints import Endpoints

    return Endpoints(opened(workspace_of(workspace))).find(endpoint).id


def made(workspace: Any, schedule: ScheduleSpec, patience: float = 0) -> ScheduleSpec:
    """Keeps a new schedule, and returns it with its DAG.

    Args:
        patience: seconds for Airflow to have that DAG; if it has not, that is a warning.

    Raises:
        UserErrorException: its pipeline is disabled, or its datastore is not registered: no run of
            it would begin.
    """
    _check_can_start(workspace, schedule)
    if not works_with_airflow():
        warnings.warn(
            f"schedule {schedule.name!r}: no Airflow is known here. One whose AmlDagBundle reads "
            f"this workspace starts its runs; {API_VARIABLE} is for the address of one.",
            stacklevel=3,
        )
    dag_id = f"{slug(schedule.name, fallback='schedule')}-{schedule.id[:8]}"
    schedule = replace(schedule, dag_id=dag_id, workspace=workspace_name(workspace))
    keep(workspace, schedule)
    if patience and works_with_airflow():
        _wait(schedule, patience)
    return schedule


def _wait(schedule: ScheduleSpec, patience: float) -> None:
    airflow = import_module("airflow_aml.airflow.remoteschedules")
    if not airflow.wait_for(schedule.dag_id, patience):
        warnings.warn(
            f"schedule {schedule.name!r}: after {patience:g} s Airflow has no DAG "
            f"{schedule.dag_id!r} yet. Does its AmlDagBundle read this workspace?",
            stacklevel=4,
        )


def _check_can_start(workspace: Any, schedule: ScheduleSpec) -> None:
    from airflow_aml.definition.published import disabled, opened, workspace_of
    from airflow_aml.workspace import published
    from airflow_aml.workspace.datastores import load_datastore

    home = opened(workspace_of(workspace))
    if schedule.pipeline and not published.is_enabled(home, schedule.pipeline):
        raise disabled(schedule.pipeline, published.read(home, schedule.pipeline).name)
    if schedule.data is not None and schedule.data.datastore:
        load_datastore(home, schedule.data.datastore)


def keep(workspace: Any, schedule: ScheduleSpec) -> None:
    """Keeps a schedule as it is from now on."""
    from airflow_aml.definition.published import opened, workspace_of
    from airflow_aml.workspace.schedules import add_revision

    add_revision(opened(workspace_of(workspace)), encode(schedule))


def kept(workspace: Any) -> List[ScheduleSpec]:
    """The workspace's schedules that programs have made, by name."""
    from airflow_aml.definition.published import opened, workspace_of
    from airflow_aml.workspace.schedules import kept_schedules

    return [decode(ScheduleSpec, each) for each in kept_schedules(opened(workspace_of(workspace)))]

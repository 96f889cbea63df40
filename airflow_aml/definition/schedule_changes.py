"""``Schedule.update`` in the file that declares the schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Optional

from airflow_aml.definition.schedule_checks import (
    checked_name,
    checked_parameters,
    checked_recurrence,
    data_change,
)
from airflow_aml.definition.schedule_spec import DataChange, ScheduleSpec
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import PipelineDefinitionError

if TYPE_CHECKING:
    from airflow_aml.definition.spec import ParameterSpec

STORE = ("datastore", "polling_interval", "data_path_parameter_name", "path_on_datastore")
"""What only a schedule that watches a datastore has."""


def changed(
    spec: ScheduleSpec, given: Mapping[str, Any], known: Optional[Iterable[ParameterSpec]]
) -> ScheduleSpec:
    """The schedule with what is given, by the names of ``update``; None leaves a thing as it is.

    Args:
        known: the pipeline's parameters; None where each run of the schedule has to look.

    Raises:
        PipelineDefinitionError: a value is wrong, or of the other kind of schedules.
    """
    where = f"schedule {spec.name!r}"
    given = {name: value for name, value in given.items() if value is not None}
    store = {name: given[name] for name in STORE if name in given}
    changes: Dict[str, Any] = {
        name: given[name] for name in ("continue_on_step_failure", "status") if name in given
    }
    if "name" in given:
        changes["name"] = checked_name("name", given["name"])
    if "description" in given:
        changes["description"] = check_text(given["description"], f"{where}, description")
    if "pipeline_parameters" in given:
        changes["parameters"] = checked_parameters(known, given["pipeline_parameters"], where)
    if spec.data is None and set(store) - {"polling_interval"}:
        raise PipelineDefinitionError(
            "Can not specify a Datastore for a Recurrence schedule.", where=where
        )
    if spec.data is not None and "recurrence" in given:
        raise PipelineDefinitionError(
            "Can not specify a Recurrence for a Datastore schedule.", where=where
        )
    if "recurrence" in given:
        changes["recurrence"] = checked_recurrence(given["recurrence"], where)
    if spec.data is not None and store:
        changes["data"] = _watched(spec.data, store, known, where)
    return replace(spec, **changes)


def _watched(
    before: DataChange,
    store: Mapping[str, Any],
    known: Optional[Iterable[ParameterSpec]],
    where: str,
) -> DataChange:
    after = data_change(
        where,
        store.get("datastore", before.datastore or "default"),
        store.get("path_on_datastore", before.path),
        store.get("polling_interval", before.interval / 60),
        store.get("data_path_parameter_name", before.parameter or None),
        before.per_file,
        before.quiet,
        known,
    )
    return after if "datastore" in store else replace(after, datastore=before.datastore)

"""``Schedule.load_yaml``: what a schedule is created with, from a file (reference 2.12)."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from airflow_aml.definition.origin import defining_folder
from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
from airflow_aml.errors import PipelineDefinitionError, UserErrorException

_KEYS = (
    "description",
    "recurrence",
    "pipeline_parameters",
    "wait_for_provisioning",
    "wait_timeout",
    "datastore_name",
    "polling_interval",
    "data_path_parameter_name",
    "continue_on_step_failure",
    "path_on_datastore",
)
_RECURRENCE_KEYS = (
    "frequency",
    "interval",
    "start_time",
    "time_zone",
    "hours",
    "minutes",
    "time_of_day",
    "week_days",
)


def load_schedule(filename: str) -> Dict[str, Any]:
    """The keys of a file's ``Schedule:`` section, the recurrence as a ``ScheduleRecurrence``.

    Args:
        filename: relative to the defining file's folder.

    Raises:
        UserErrorException: the file cannot be read, or is no YAML.
        PipelineDefinitionError: it has no such section, or something in it is wrong.
    """
    document = _read(os.path.join(defining_folder(), filename))
    name = os.path.basename(filename)
    section = document.get("Schedule") if isinstance(document, Mapping) else None
    if not isinstance(section, Mapping):
        raise PipelineDefinitionError(
            'Schedule Yaml file must have a "Schedule:" section', where=name
        )
    _check_keys("Schedule", section, _KEYS, name)
    found = {key: section[key] for key in _KEYS if key in section}
    if found.get("recurrence") is not None:
        found["recurrence"] = _recurrence(found["recurrence"], name)
    if found.get("continue_on_step_failure") == "None":  # v1's own sample has it so
        found["continue_on_step_failure"] = None
    return found


def _read(path: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise UserErrorException("Schedule.load_yaml needs PyYAML here: install pyyaml.") from None
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.safe_load(stream)
    except OSError as error:
        raise UserErrorException(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserErrorException(f"{path} is no YAML: {error}.") from error


def _recurrence(section: Any, name: str) -> ScheduleRecurrence:
    if not isinstance(section, Mapping):
        raise PipelineDefinitionError(f"recurrence: has no keys: {section!r}.", where=name)
    _check_keys("recurrence", section, _RECURRENCE_KEYS, name)
    missing = [key for key in _RECURRENCE_KEYS if key not in section]
    if missing:
        raise PipelineDefinitionError(
            f"recurrence: has no {', '.join(missing)}.",
            where=name,
            hint="Each key must be there; one that is not wanted is null.",
        )
    given = dict(section)
    time = given["time_of_day"]
    if type(time) is int:  # YAML 1.1 reads 18:30 as a number to the base of 60
        given["time_of_day"] = f"{time // 60}:{time % 60:02}"
    recurrence = ScheduleRecurrence(**given)
    recurrence.validate()
    return recurrence


def _check_keys(what: str, section: Mapping[Any, Any], known: Any, name: str) -> None:
    unknown = sorted(str(key) for key in section if key not in known)
    if unknown:
        raise PipelineDefinitionError(
            f"{what}: does not know {', '.join(unknown)}.",
            where=name,
            hint=f"It knows {', '.join(known)}.",
        )

"""What schedules are made of, checked: v1's words where it has some (reference 2.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional, Sequence, Tuple

from airflow_aml.definition.names import check_mapping
from airflow_aml.definition.parameters import check_value, parse_text
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
from airflow_aml.definition.schedule_slots import Recurrence
from airflow_aml.definition.schedule_spec import MINUTES, QUIET_SECONDS, DataChange
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import NotServedError, PipelineDefinitionError

if TYPE_CHECKING:
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.spec import ParameterSpec

_BY_PIPELINE = "Give the Pipeline itself, pipeline_id=pipeline, or publish it in the same file."
_STORE_ONLY = "{} can only be specified for Datastore schedules."
_NOT_PATHS = ("integer", "number", "boolean")
_POLLING = (1 / 60, 366 * 24 * 60.0)
_DAY = 86400.0


def checked_start(
    where: str, recurrence: Any, data: Sequence[Any], known: Optional[Iterable[ParameterSpec]]
) -> Dict[str, Any]:
    """The fields of a ``ScheduleSpec`` that say when it starts runs.

    Args:
        data: datastore, path, interval, parameter, per_file, quiet.
        known: the pipeline's parameters; None where each run of the schedule has to look.

    Raises:
        PipelineDefinitionError: something of it is wrong, or both are given.
    """
    datastore, path, interval, parameter, per_file, quiet = data
    if datastore is not None:
        if recurrence is not None:
            raise PipelineDefinitionError(
                "Can not specify both a Recurrence and a Datastore", where=where
            )
        return {
            "data": data_change(where, datastore, path, interval, parameter, per_file, quiet, known)
        }
    given = {
        "Data Path parameter name": parameter is not None,
        "Path on datastore parameter": path is not None,
        "per_file": bool(per_file),
        "quiet_seconds": quiet is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise PipelineDefinitionError(_STORE_ONLY.format(name), where=where)
    return {"recurrence": checked_recurrence(recurrence, where)}


def data_change(
    where: str,
    datastore: Any,
    path: Any,
    interval: Any,
    parameter: Any,
    per_file: Any,
    quiet: Any,
    known: Optional[Iterable[ParameterSpec]],
) -> DataChange:
    """What a schedule watches.

    Args:
        datastore: a ``Datastore``, or the name of one.
        path: in it; None for all of it.
        interval: minutes from look to look; None for v1's 5.
        quiet: seconds; None for the usual.
        known: the pipeline's parameters; None where they are not known yet.

    Raises:
        PipelineDefinitionError: something of it is wrong.
    """
    from airflow_aml.definition.datastore import relative_path

    if type(per_file) is not bool:
        raise PipelineDefinitionError(f"per_file is True or False, not {per_file!r}.", where=where)
    return DataChange(
        datastore=_store_name(datastore, where),
        path=check_text(relative_path("" if path is None else path, where), where),
        interval=60 * _number("polling_interval", interval, MINUTES, _POLLING, where),
        parameter=_path_parameter(parameter, known, where),
        per_file=per_file,
        quiet=_number("quiet_seconds", quiet, QUIET_SECONDS, (0.0, _DAY), where),
    )


def _store_name(datastore: Any, where: str) -> str:
    from airflow_aml.definition.datastore import Datastore
    from airflow_aml.workspace.datastores import check_name

    if isinstance(datastore, Datastore):
        return datastore.reference
    if isinstance(datastore, str):
        return check_name(datastore)
    raise PipelineDefinitionError(
        f"datastore= is a Datastore or the name of one, not {datastore!r}.", where=where
    )


def _number(name: str, value: Any, usual: float, limits: Tuple[float, float], where: str) -> float:
    least, most = limits
    if value is None:
        return usual
    if type(value) not in (int, float) or not least <= value <= most:
        what = "minutes" if name == "polling_interval" else "seconds"
        raise PipelineDefinitionError(
            f"{name} is a number of {what} from {least:.2g} to {most:.6g}, not {value!r}.",
            where=where,
        )
    return float(value)


def _path_parameter(parameter: Any, known: Optional[Iterable[ParameterSpec]], where: str) -> str:
    if parameter is None:
        return ""
    if known is None:
        return checked_name("Data Path parameter name", parameter)
    types = {each.name: each.type for each in known}
    if parameter not in types:
        raise PipelineDefinitionError(
            f"Pipeline parameter with name {parameter} does not exist",
            where=f"{where}, data_path_parameter_name=",
            hint=f"This pipeline has {', '.join(sorted(types)) or 'none'}.",
        )
    if types[parameter] in _NOT_PATHS:
        raise PipelineDefinitionError(
            f"pipeline parameter {parameter} is of type {types[parameter]} and takes no path.",
            where=where,
            hint="Its default is a DataPath, or a text.",
        )
    return str(parameter)


def checked_recurrence(recurrence: Any, where: str) -> Recurrence:
    """The recurrence as data.

    Raises:
        PipelineDefinitionError: it is none, or something of it is wrong.
    """
    if not isinstance(recurrence, ScheduleRecurrence):
        raise PipelineDefinitionError(
            f"recurrence= is a ScheduleRecurrence, not {recurrence!r}.", where=where
        )
    return recurrence.spec


def checked_name(what: str, value: Any) -> str:
    """A text that is not empty.

    Raises:
        PipelineDefinitionError: it is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise PipelineDefinitionError(f"a schedule's {what} is a text, not {value!r}.")
    if "\0" in value:
        raise PipelineDefinitionError(f"a schedule's {what} has a NUL, which no database keeps.")
    return check_text(value, f"a schedule's {what}")


def checked_parameters(
    known: Optional[Iterable[ParameterSpec]], given: Any, where: str
) -> Dict[str, Any]:
    """The values, of the parameters' types; v1 sends texts, so a text of that type will do.

    Args:
        known: the pipeline's; None where each run of the schedule has to look.
    """
    from airflow_aml.definition.schedule_expressions import check_expression, is_expression

    types = None if known is None else {each.name: each for each in known}
    values = {}
    for name, value in check_mapping(f"{where}: pipeline_parameters=", given).items():
        if types is not None and name not in types:
            raise PipelineDefinitionError(
                f"Pipeline parameter with name {name} does not exist",
                where=where,
                hint=f"This pipeline has {', '.join(sorted(types)) or 'none'}.",
            )
        if is_expression(value):
            check_expression(value)
        elif types is not None:
            reader = parse_text if isinstance(value, str) else check_value
            value = reader(types[name], value)  # noqa: PLW2901
        values[name] = value
    return values


def scheduled_pipeline(value: Any, file: Declarations, where: str) -> Pipeline:
    """The pipeline that ``pipeline_id=`` means.

    Raises:
        NotServedError: the file has published none of that id.
        PipelineDefinitionError: it is neither a pipeline nor an id.
    """
    if isinstance(value, Pipeline):
        return value
    found = file.published(value) if isinstance(value, str) else None
    if found is not None:
        return found
    if isinstance(value, str):
        raise NotServedError(
            f"Schedule.create(pipeline_id={value!r}) is not served: this file has published no"
            " pipeline of that id.",
            where=where,
            hint=_BY_PIPELINE,
        )
    raise PipelineDefinitionError(
        f"pipeline_id= is no pipeline: {value!r}.", where=where, hint=_BY_PIPELINE
    )

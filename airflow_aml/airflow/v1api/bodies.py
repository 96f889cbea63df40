"""What v1's clients send, and what they are answered (reference 2.14)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_aml.definition.experiment import Experiment
from airflow_aml.definition.spec import DATA_PATH, DATASET, PipelineSpec
from airflow_aml.definition.values import from_texts
from airflow_aml.errors import UserErrorException

MOST_BYTES = 256 * 1024
"""Airflow keeps a run's conf in its database; v1's clients send a few hundred bytes."""

_MOST_TAGS = 100
_DEEPEST = 16
_NO_EFFECT = ("RunSource", "RunType", "EnableNotification", "ScheduleId", "Properties")
_DATA = {"DataPathAssignments": DATA_PATH, "DataSetDefinitionValueAssignments": DATASET}
"""v1's keys for values of parameters of data -> their type in the spec."""

_KNOWN = frozenset(
    [
        "ExperimentName",
        "Description",
        "ParameterAssignments",
        "ContinueRunOnStepFailure",
        "tags",
        "Tags",
        *_NO_EFFECT,
        *_DATA,
    ]
)


class BadBodyError(Exception):
    """A request cannot be understood; ``problems`` are all that is wrong with it."""

    def __init__(self, *problems: str):
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Wanted:
    """The run that a client asks for.

    Attributes:
        data: values of parameters of data, by v1's keys, as the client has sent them.
        warnings: what of the request has no effect.
    """

    experiment: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    source: str = "API"
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def scalars(self) -> dict[str, str]:
        """The values that were not given as data, as texts."""
        data = {name for given in self.data.values() for name in given}
        return {name: str(value) for name, value in self.parameters.items() if name not in data}


def parsed(data: bytes) -> dict[str, Any]:
    """A request's body.

    Raises:
        BadBodyError: it is no JSON object.
    """
    try:
        body = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadBodyError(f"the body is not JSON: {str(error)[:200]}.") from error
    if not isinstance(body, dict):
        raise BadBodyError("the body must be a JSON object.")
    _refuse_unkept(body)
    return body


def _refuse_unkept(body: Any) -> None:
    """Refuses what no database or log keeps: half characters, NUL, and lists in lists in lists.

    Raises:
        BadBodyError: the body has such a thing.
    """
    level = [body]
    for _ in range(_DEEPEST):
        for text in level:
            if isinstance(text, str) and ("\0" in text or not _is_whole(text)):
                raise BadBodyError(f"{_shown(text)} has a NUL, or half a character.")
        parts = [[*each, *each.values()] for each in level if isinstance(each, dict)]
        parts += [each for each in level if isinstance(each, list)]
        level = [item for part in parts for item in part]
        if not level:
            return
    raise BadBodyError(f"the body is deeper than {_DEEPEST} levels.")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def wanted(body: Mapping[str, Any], spec: PipelineSpec, *, strict: bool = False) -> Wanted:
    """The run that a body asks for.

    Args:
        strict: a parameter that the pipeline does not have is an error, too.

    Raises:
        BadBodyError: values are of wrong types; all of them are told.
    """
    problems: list[str] = []
    given = dict(_mapping(body, "ParameterAssignments", problems))
    kinds = {each.name: each.type for each in spec.parameters}
    ignored = [f"ParameterAssignments: {name!r}" for name in given if name not in kinds]
    data = {key: dict(_mapping(body, key, problems)) for key in _DATA}
    for key, kind in _DATA.items():
        ignored += [f"{key}: {name!r}" for name in data[key] if kinds.get(name) != kind]
        data[key] = {name: each for name, each in data[key].items() if kinds.get(name) == kind}
        given.update(data[key])
    if strict:
        problems += [f"{each[:200]} is no parameter of this pipeline." for each in ignored]
    values, wrong = from_texts(spec.parameters, given)
    ignored += [f"{key!r}" for key in body if key not in _KNOWN]
    tags = {**_mapping(body, "Tags", problems), **_mapping(body, "tags", problems)}
    if len(tags) > _MOST_TAGS:
        problems.append(f"there are more than {_MOST_TAGS} tags.")
    settings: dict[str, Any] = {"tags": {str(k): str(v) for k, v in tags.items()}} if tags else {}
    goes_on = body.get("ContinueRunOnStepFailure")
    if goes_on is not None and not isinstance(goes_on, bool):
        problems.append(f"ContinueRunOnStepFailure must be true or false, not {_shown(goes_on)}.")
    elif goes_on is not None:
        settings["continue_on_step_failure"] = goes_on
    experiment = _experiment(body.get("ExperimentName"), problems)
    description = body.get("Description") or ""
    if not isinstance(description, str) or len(description) > 1000:
        problems.append("Description must be a text of at most 1000 characters.")
    if problems or wrong:
        raise BadBodyError(*problems, *wrong)
    return Wanted(
        experiment,
        description,
        values,
        {**settings, "experiment_name": experiment},
        settings.get("tags", {}),
        str(body.get("RunSource") or "API")[:100],
        data,
        tuple(f"{each[:200]} is not known to this pipeline, and ignored." for each in ignored),
    )


def _mapping(body: Mapping[str, Any], key: str, problems: list[str]) -> Mapping[str, Any]:
    value = body.get(key)
    if value is None or isinstance(value, Mapping):
        return value or {}
    problems.append(f"{key} must be an object, not {_shown(value)}.")
    return {}


def _experiment(name: Any, problems: list[str]) -> str:
    if name is None:
        problems.append("ExperimentName is missing.")
        return ""
    try:
        return Experiment(None, name).name
    except UserErrorException as error:
        problems.append(f"ExperimentName: {error.message[:400]}")
        return ""


def _shown(value: Any) -> str:
    return repr(value)[:100]


def error_body(status: int, message: str, details: tuple[str, ...] = ()) -> dict[str, Any]:
    """v1's form of an error."""
    code = "UserError" if status < 500 else "ServiceError"
    return {
        "Error": {
            "Code": code,
            "Message": message,
            "Target": None,
            "Details": [{"Code": code, "Message": each} for each in details],
            "InnerError": None,
            "DebugInfo": None,
        },
        "Correlation": {},
    }

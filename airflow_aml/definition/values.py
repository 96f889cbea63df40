"""The values of a run's parameters, and what else a run may be given (reference 2.6)."""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from airflow_aml.definition.parameters import parse_text
from airflow_aml.definition.spec import (
    DATA_PATH,
    DATASET,
    PARAMETER_TYPES,
    ParameterSpec,
    ParameterValue,
)
from airflow_aml.errors import PipelineDefinitionError, UserErrorException

SETTINGS_KEY = "_aml"
"""The key of a run's conf that holds what is not a parameter: experiment, tags..."""

WARNINGS = "warnings"
"""Below that key: what whoever has started the run over REST was warned of."""

REGENERATE = "aml_regenerate_outputs"
"""The tick box on the trigger form: v1's ``regenerate_outputs``."""


def regenerates(settings: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether earlier results do not count, as ``submit``, a run's conf or the form says."""
    names = ("regenerate_outputs", "regenerate")
    return any(settings.get(name) for name in names) or given.get(REGENERATE) is True


def warned(settings: Mapping[str, Any]) -> List[str]:
    """What whoever has started the run was warned of, which its log is to have, too."""
    texts = settings.get(WARNINGS)
    return [str(each) for each in texts] if isinstance(texts, list) else []


def resolve(specs: Iterable[ParameterSpec], given: Mapping[str, Any]) -> Dict[str, ParameterValue]:
    """The values of one run, as Python values of the parameters' types.

    Args:
        given: by name; where a parameter is not there its default counts.

    Raises:
        UserErrorException: values of the wrong type; the text names all of them.
    """
    values: Dict[str, ParameterValue] = {}
    wrong = []
    for spec in specs:
        try:
            values[spec.name] = _value(spec, given.get(spec.name, spec.default))
        except PipelineDefinitionError as error:  # noqa: PERF203 - all of them are told
            wrong.append(str(error))
    if wrong:
        raise UserErrorException(" ".join(wrong))
    return values


def from_texts(
    specs: Iterable[ParameterSpec], given: Mapping[str, Any]
) -> Tuple[Dict[str, ParameterValue], List[str]]:
    """The values that a client means who may send any of them as a text, as v1's clients do.

    Names that no parameter has are left out: v1 ignores them.

    Returns:
        The values, and a sentence for each that is none of its parameter's type.
    """
    values: Dict[str, ParameterValue] = {}
    wrong = []
    for spec in specs:
        if spec.name not in given:
            continue
        value, expected = given[spec.name], PARAMETER_TYPES[spec.type]
        try:
            if isinstance(value, str) and expected is not str:
                value = parse_text(spec, value)
            elif spec.type == "string" and isinstance(value, (bool, int, float)):
                value = str(value)
            values[spec.name] = _finite(spec, _value(spec, value))
        except PipelineDefinitionError as error:
            wrong.append(_sentence(error.message))
    return values, wrong


def _sentence(text: str) -> str:
    """It stands beside others, and may have repeated what was sent."""
    text = text.rstrip(".")
    return f"{text[:300]}…" if len(text) > 300 else f"{text}."


def _finite(spec: ParameterSpec, value: ParameterValue) -> ParameterValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise PipelineDefinitionError(
            f"Expected type of the pipeline parameter {spec.name} is float, but the value is "
            f"{value!r}, which JSON does not know."
        )
    return value


def unknown(specs: Iterable[ParameterSpec], conf: Mapping[str, Any]) -> List[str]:
    """Keys of a run's conf that no parameter has."""
    known = {spec.name for spec in specs} | {SETTINGS_KEY, REGENERATE}
    return sorted(str(key) for key in conf if key not in known)


def _value(spec: ParameterSpec, value: Any) -> ParameterValue:
    if spec.type in (DATA_PATH, DATASET):
        from airflow_aml.definition.dataparameters import data_text

        return data_text(spec, value)
    expected = PARAMETER_TYPES[spec.type]
    if value is None and expected is str:
        return ""
    if expected is float and type(value) is int:
        return float(value)  # JSON writes 2.0 as 2
    if expected is int and isinstance(value, float) and value.is_integer():
        return int(value)  # the form writes 2 as 2.0 now and then
    if not isinstance(value, (str, int, float, bool)) or type(value) is not expected:
        raise PipelineDefinitionError(
            f"Expected type of the pipeline parameter {spec.name} is {expected.__name__}, but the "
            f"value {value!r} provided is of type {type(value).__name__}."
        )
    return value

"""PipelineParameter: a value that is chosen anew for every run (reference 2.6)."""

from __future__ import annotations

import math
from typing import Any, Optional

from airflow_aml.definition.spec import DATA_PATH, DATASET, ParameterSpec, ParameterValue
from airflow_aml.definition.texts import check_text, check_texts_in
from airflow_aml.errors import PipelineDefinitionError, PipelineTypeError

_TYPE_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_DATA = (DATA_PATH, DATASET)
_RESERVED = frozenset(["_aml", "aml_regenerate_outputs"])


class PipelineParameter:
    """A named value of a pipeline with a default; steps use it in ``arguments`` and ``params``.

    With a ``DataPath`` as default it is an input, as ``(parameter, DataPathComputeBinding())`` in
    ``inputs`` and ``arguments``; with a dataset, as ``DatasetConsumptionConfig(name, parameter)``.

    Example:
        >>> from airflow_aml import PipelineParameter
        >>> PipelineParameter(name="reg_rate", default_value=0.01).default_value
        0.01

    Raises:
        PipelineDefinitionError: no name, no usable default, or a type that v1 does not take.
    """

    def __init__(self, name: str, default_value: Any):
        if not isinstance(name, str):
            raise PipelineTypeError(f"PipelineParameter name must be a string, not {name!r}.")
        if not name or name in _RESERVED:
            raise PipelineDefinitionError(f"PipelineParameter cannot be named {name!r}.")
        where = f"PipelineParameter {name!r}"
        if default_value is None:
            raise PipelineDefinitionError("default_value is required.", where=where)
        self.name = check_text(name, where)
        self.default_value = default_value
        if type(default_value) not in _TYPE_NAMES and self._of_data is None:
            raise PipelineDefinitionError(
                f"Default value is of unsupported type: {type(default_value).__name__}", where=where
            )
        if isinstance(default_value, float) and not math.isfinite(default_value):
            raise PipelineDefinitionError(
                f"{default_value} cannot be a default: JSON has no such number.", where=where
            )
        if isinstance(default_value, str):
            check_text(default_value, f"{where}, default_value")

    @property
    def spec(self) -> ParameterSpec:
        """The parameter as the spec keeps it."""
        kind = _TYPE_NAMES.get(type(self.default_value))
        if kind is not None:
            return ParameterSpec(self.name, kind, self.default_value)
        found = self._of_data
        assert found is not None  # the constructor has checked it
        return found

    @property
    def _of_data(self) -> Optional[ParameterSpec]:
        from airflow_aml.definition.dataparameters import data_parameter

        return data_parameter(self.name, self.default_value)

    def __repr__(self) -> str:
        return f"PipelineParameter(name={self.name!r}, default_value={self.default_value!r})"


def check_value(parameter: ParameterSpec, value: Any) -> ParameterValue:
    """``value`` if v1 accepts it for that parameter; as strict as v1 is in Python (reference 2.6).

    Raises:
        PipelineDefinitionError: it is of another type. ``bool`` passes for ``int`` and the reverse.
    """
    if parameter.type in _DATA:
        from airflow_aml.definition.dataparameters import data_text

        return data_text(parameter, value)
    expected = type(parameter.default)
    actual = type(value)
    both_integral = {expected, actual} <= {bool, int}
    if actual is not expected and not both_integral:
        raise PipelineDefinitionError(
            f"Expected type of the pipeline parameter {parameter.name} is {expected.__name__}, "
            f"but the value {value!r} provided is of type {actual.__name__}"
        )
    check_texts_in(value, f"pipeline parameter {parameter.name!r}")
    result: ParameterValue = value
    return result


def parse_text(parameter: ParameterSpec, text: str) -> ParameterValue:
    """The value that a text from a command line means for that parameter.

    Raises:
        PipelineDefinitionError: the text is no such value.
    """
    kind = type(parameter.default)
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        value = kind(text)
    except (ValueError, KeyError):
        raise PipelineDefinitionError(
            f"Expected type of the pipeline parameter {parameter.name} is {kind.__name__}, "
            f"but the value is {text!r}"
        ) from None
    return check_value(parameter, value)

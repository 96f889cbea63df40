"""What several verbs are given in the same way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.spec import PipelineSpec

_INT64 = 2**63


def given_parameters(spec: PipelineSpec, pairs: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as values of the parameters' types.

    Raises:
        UserErrorException: not such a pair, an unknown name, or a text that is no such value, or
            none that Airflow can keep.
    """
    from airflow_aml.definition.parameters import parse_text

    known = {parameter.name: parameter for parameter in spec.parameters}
    values = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not (separator and name):
            raise UserErrorException(f"-p takes NAME=VALUE, not {pair!r}.")
        if name not in known:
            raise UserErrorException(
                f"Pipeline parameter with name {name} does not exist",
                hint=f"This pipeline has {', '.join(sorted(known)) or 'none'}.",
            )
        values[name] = value = parse_text(known[name], text)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserErrorException(f"parameter {name}: JSON has no number {text}.")
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise UserErrorException(f"parameter {name}: {text} takes more than 64 bits.")
    return values

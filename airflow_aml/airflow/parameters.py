"""Pipeline parameters as Airflow Params (reference 2.6, architecture 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Param

from airflow_aml.definition.spec import DATA_PATH, DATASET, LONGEST_DATA, ParameterSpec
from airflow_aml.definition.values import (
    REGENERATE,
    SETTINGS_KEY,
    regenerates,
    resolve,
    unknown,
    warned,
)

__all__ = ["REGENERATE", "SETTINGS_KEY", "params", "regenerates", "resolve", "unknown", "warned"]

_DATA: dict[str, dict[str, Any]] = {
    DATA_PATH: {
        "pattern": r"^(azureml://datastores/)?[A-Za-z0-9_\-]*/.*$",
        "description": "A path in a datastore: datastore/path. Before the slash nothing means the "
        "default datastore.",
    },
    DATASET: {
        "minLength": 1,
        "description": "A dataset: name:version, name for its latest version, or a dataset's id.",
    },
}
_INT64 = 2**63  # Airflow keeps a run's conf in a database and packs it for tasks


def params(specs: Iterable[ParameterSpec], defaults: Mapping[str, Any]) -> dict[str, Param]:
    """Airflow Params, which the trigger form asks for and the API checks.

    Args:
        defaults: values that replace the parameters' own defaults.
    """
    given = {spec.name: _param(spec, defaults.get(spec.name, spec.default)) for spec in specs}
    box = Param(
        False,
        type="boolean",
        title="Regenerate outputs",
        description="Run every step, whatever earlier results there are.",
        section="Reuse",
    )
    return {**given, REGENERATE: box}


def _param(spec: ParameterSpec, default: Any) -> Param:
    if spec.type in _DATA:
        kept: Any = _DATA[spec.type]
        return Param(default, type="string", title=spec.name, maxLength=LONGEST_DATA, **kept)
    # Airflow's form refuses an empty text unless null is allowed too.
    kind: Any = ["string", "null"] if spec.type == "string" and spec.default == "" else spec.type
    bounds: dict[str, Any] = {}
    if spec.type == "integer":
        bounds = {"minimum": -_INT64, "maximum": _INT64 - 1}
    return Param(default, type=kind, title=spec.name, **bounds)

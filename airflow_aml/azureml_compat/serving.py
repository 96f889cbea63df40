"""What becomes of a name of SDK v1: ours, or a stand-in that says so when it is used."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Optional, Tuple

from airflow_aml import errors
from airflow_aml.azureml_compat.names import (
    DIFFERENCES,
    HOMES,
    REFUSED,
    REFUSED_FAMILIES,
    family_of,
    names_of,
)
from airflow_aml.azureml_compat.standin import stand_in

_OURS = "airflow_aml"
SERVED, REFUSED_FOR_GOOD, NOT_YET = "served", "refused", "not served yet"


@dataclass(frozen=True)
class Entry:
    """One name of v1.

    Attributes:
        status: one of this module's constants.
        home: where we have it, as ``module:name``; empty if we do not.
        note: in what it differs, or why it is refused.
        instead: what to do instead.
    """

    module: str
    name: str
    status: str
    home: str = ""
    note: str = ""
    instead: str = ""


def entry(module: str, name: str) -> Optional[Entry]:
    """What the table says of a name; None where v1 has no such name there."""
    family = family_of(module)
    known = name in names_of(module)
    if not known and not family:
        return None
    home = _home(name) if known else ""
    if home:
        return Entry(module, name, SERVED, home, DIFFERENCES.get(name, ""))
    refusal = REFUSED.get(name) or _refusal_of(module)
    if refusal and not (known and name not in REFUSED):
        return Entry(module, name, REFUSED_FOR_GOOD, "", *refusal)
    return Entry(module, name, NOT_YET)


def value_of(found: Entry) -> Any:
    """Our object for a name, or its stand-in."""
    if not found.home:
        return stand_in(found.module, found.name, found.note, found.instead)
    module, _, name = found.home.partition(":")
    return getattr(import_module(module), name)


def _home(name: str) -> str:
    """``module:name`` of ours; empty if we have no such thing."""
    if name in dir(sys.modules[_OURS]):
        return f"{_OURS}:{name}"
    if name.endswith(("Exception", "Error")) and hasattr(errors, name):
        return f"airflow_aml.errors:{name}"
    module, _, other = HOMES.get(name, "").partition(":")
    if not module or find_spec(f"airflow_aml.{module}") is None:
        return ""
    found = hasattr(import_module(f"airflow_aml.{module}"), other or name)
    return f"airflow_aml.{module}:{other or name}" if found else ""


def _refusal_of(module: str) -> Optional[Tuple[str, str]]:
    for family in sorted(REFUSED_FAMILIES, key=len, reverse=True):
        if module == family or module.startswith(f"{family}."):
            return REFUSED_FAMILIES[family]
    return None

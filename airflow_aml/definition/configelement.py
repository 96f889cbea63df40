"""Settings objects that know their names, and how files write them."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping


class ConfigElement:
    """A settings object that refuses unknown names, so that typing errors are caught as in v1."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and getattr(self, "_sealed", False) and not hasattr(self, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def _seal(self) -> None:
        object.__setattr__(self, "_sealed", True)


def to_document(element: ConfigElement) -> Dict[str, Any]:
    """The settings as v1's files have them: camelCase, sections inside."""
    return {
        _camel(name): _plain(value)
        for name, value in vars(element).items()
        if not name.startswith("_")
    }


def fill(element: ConfigElement, document: Mapping[str, Any]) -> None:
    """Takes over what a file says; what this release has no setting for is left out."""
    for name, old in list(vars(element).items()):
        key = _camel(name)
        if name.startswith("_") or key not in document:
            continue
        value = document[key]
        if isinstance(old, ConfigElement):
            fill(old, value or {})
        elif name == "conda_dependencies" and value:
            from airflow_aml.definition.condadependencies import CondaDependencies

            setattr(element, name, CondaDependencies(_underlying_structure=value))
        else:
            setattr(element, name, value)


def _plain(value: Any) -> Any:
    if isinstance(value, ConfigElement):
        return to_document(value)
    if hasattr(value, "as_dict"):
        return value.as_dict()
    return getattr(value, "name", value)  # a compute target is its name


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found.group(1).upper(), name)

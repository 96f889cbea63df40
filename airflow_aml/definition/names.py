"""Names: what v1 allows, and what Airflow makes of them."""

from __future__ import annotations

import re
import warnings
from typing import Any, Container, Iterable, Mapping, Optional

from airflow_aml.errors import PipelineDefinitionError, PipelineTypeError, UserErrorException

_PORT = re.compile(r"^[A-Za-z_]+[A-Za-z0-9_]*\Z")
_WORD = re.compile(r"^\w+\Z", re.ASCII)
_NOT_IN_IDS = re.compile(r"[^\w-]+")

RESERVED_OUTPUT = "return_value"
"""The XCom key under which a step tells how it ended; no output can be called so."""

LONGEST_NAME = 200
"""File systems take 255 bytes, and something is added to a file's name while it is written."""

_ENVIRONMENT_NAMES = frozenset(
    ["path", "home", "user", "pwd", "shell", "logname", "ld_library_path"]
)


def slug(text: str, *, fallback: str = "step") -> str:
    """``text`` as an Airflow id: word characters and dashes, at most 200 long, never empty."""
    return _NOT_IN_IDS.sub("_", text.strip()).strip("_-")[:200] or fallback


def task_id(name: str, taken: Container[str]) -> str:
    """The task id of a step: its name made readable, with ``_2``, ``_3``... when it is taken."""
    base = slug(name[:-3] if name.endswith(".py") else name)
    candidate, number = base, 1
    while candidate in taken:
        number += 1
        candidate = f"{base}_{number}"
    return candidate


def check_port_name(name: object, kind: str, where: Optional[str] = None) -> str:
    """``name`` if it can be an input's or output's name (reference 2.2).

    Raises:
        PipelineTypeError: it is not a string.
        PipelineDefinitionError: it has other characters than letters, digits and underscores, or
            is a name that this package needs itself.
    """
    if not isinstance(name, str):
        raise PipelineTypeError(
            f"the {kind} name must be a string, not {type(name).__name__}.", where=where
        )
    if not _PORT.match(name):
        raise PipelineDefinitionError(
            f'Invalid {kind} name "{name}". The name can only be alphanumeric characters and '
            "underscore, and must not begin with a number.",
            where=where,
            hint="A place for the data goes into destination=, not into the name."
            if "/" in name and kind == "output"
            else None,
        )
    if len(name) > LONGEST_NAME:
        raise PipelineDefinitionError(
            f'Invalid {kind} name "{name[:20]}...": it has {len(name)} characters, and '
            f"{LONGEST_NAME} are as many as a folder's name can hold with what is added to it.",
            where=where,
        )
    if kind == "output" and name == RESERVED_OUTPUT:
        raise PipelineDefinitionError(
            f'Invalid output name "{name}": Airflow keeps a task\'s own result under it.',
            where=where,
        )
    if name.lower() in _ENVIRONMENT_NAMES:
        warnings.warn(
            f'the {kind} name "{name}" has the potential to collide with common environment '
            f"variable names; the script finds it as AZURE_ML_{kind.upper()}_{name} only.",
            stacklevel=4,
        )
    return name


def warn_ignored(call: str, keywords: Iterable[str]) -> None:
    """Names keywords that have no effect: v1 takes them without a word, and most are misspelt."""
    names = ", ".join(f"{name}=" for name in sorted(keywords))
    if names:
        warnings.warn(f"{call} does not know {names}; this has no effect.", stacklevel=3)


def check_mapping(what: str, value: Any) -> Mapping[str, Any]:
    """What was given, if that is names and their values; nothing for None.

    Raises:
        UserErrorException: it is anything else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise UserErrorException(f"{what} takes a dict, not {value!r}.")
    return value or {}


def check_text(call: str, what: str, value: object) -> str:
    """What was given, if it is a text.

    Raises:
        UserErrorException: it is anything else.
    """
    if not isinstance(value, str):
        raise UserErrorException(f"{call} takes {what}, a text, not {value!r}.")
    return value


def check_pipeline_data_name(name: object) -> str:
    """``name`` if v1 accepts it for a ``PipelineData``.

    Raises:
        PipelineTypeError: it is not a string.
        PipelineDefinitionError: it has other characters than letters, digits and underscores.
    """
    if not isinstance(name, str):
        raise PipelineTypeError(f"PipelineData name must be a string, not {type(name).__name__}.")
    if not _WORD.match(name):
        raise PipelineDefinitionError(
            f"PipelineData name: [{name}] is not a valid, as it may contain only letters, digits, "
            "and underscores."
        )
    return check_port_name(name, "output") if _PORT.match(name) else name

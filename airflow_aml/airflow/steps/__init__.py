"""The operators: one for each place of execution, all with the same step contract."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def operator_class(path: str) -> Any:
    """The operator class of that dotted path, imported when a DAG first needs it."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)

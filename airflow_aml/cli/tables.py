"""Words that the tables of several verbs share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any


def labels(steps: Iterable[tuple[str, str]]) -> list[str]:
    """What a table calls each step: its name, and its task id beside it where several have one.

    Args:
        steps: (name, task id) of each.
    """
    pairs = list(steps)
    ids: dict[str, set[str]] = {}
    for name, task_id in pairs:
        ids.setdefault(name, set()).add(task_id)
    return [f"{name} ({task_id})" if len(ids[name]) > 1 else name for name, task_id in pairs]


def counted(count: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def json_text(document: Any) -> str:
    """A document as JSON, which has no word for some numbers: ``"NaN"``, ``"Infinity"``."""
    return json.dumps(_spelled(document), default=str, allow_nan=False)


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value

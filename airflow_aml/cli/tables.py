"""Words that the tables of several verbs share."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable
from typing import Any

_JOINERS = "\u200c\u200d"
"""Signs that some scripts and pictures need within a word; they are not printable by themselves."""


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


def plain(value: object) -> str:
    """A text on one line that a terminal shows and does not obey: other signs are escaped."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in _JOINERS else each.encode("unicode_escape").decode()
        for each in text
    )


def room() -> int | None:
    """How many signs a line of stdout has room for, where that is a terminal; else any number."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(text: str, signs: int | None) -> str:
    """The text, shortened with ``…`` where it is longer than so many signs."""
    return text if signs is None or len(text) <= signs else f"{text[: max(signs - 1, 0)]}…"


def moment(created: str) -> str:
    """A moment of UTC in ISO 8601 as people read it: ``2026-11-22 01:08:55 UTC``."""
    return f"{created[:10]} {created[11:19]} UTC"


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

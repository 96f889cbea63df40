"""Words that the tables of several verbs share."""

from __future__ import annotations

from collections.abc import Iterable


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

"""Which names somebody may have meant."""

from __future__ import annotations

from typing import Iterable


def near(name: str, known: Iterable[str], *, shown: int = 5) -> str:
    """A sentence that lists the names nearest to ``name``, or all if they are few."""
    from difflib import get_close_matches

    names = sorted(known)
    if not names:
        return "There is none yet."
    close = get_close_matches(name, names, n=shown, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    more = ", ..." if len(names) > shown else ""
    return f"There is {', '.join(map(repr, names[:shown]))}{more}."

"""Secrets that this process has handed to a script, hidden in what the script prints."""

from __future__ import annotations

from typing import List

_SHORTEST = 4
"""Bytes of the shortest text that is hidden: shorter ones are everywhere."""

_handed: List[bytes] = []


def remember(value: str) -> None:
    """Hides a value from now on, and each line of one that has several."""
    for part in {value, *value.splitlines()}:
        secret = part.strip().encode("utf-8", "replace")
        if len(secret) >= _SHORTEST and secret not in _handed:
            _handed.append(secret)
    _handed.sort(key=len, reverse=True)


def hide(data: bytes) -> bytes:
    """Puts stars for every such value."""
    for secret in _handed:
        data = data.replace(secret, b"***")
    return data

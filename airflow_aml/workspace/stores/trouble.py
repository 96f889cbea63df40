"""What can be wrong with an object store, and telling it without telling a secret."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, FrozenSet, Iterator, Mapping, NamedTuple
from urllib.parse import quote

_SECRET_OPTION = re.compile(r"key|secret|token|password|sig|credential|connection|sas", re.I)
_SECRET_PART = re.compile(r"(?:AccountKey|SharedAccessSignature)=([^;]+)", re.I)
_SIGNATURE = re.compile(r"((?:sig|X-Amz-Signature|X-Amz-Security-Token)=)[^&\s\"']+", re.I)
_SHORTEST_SECRET = 4


class Kind(Enum):
    """What an error of a store's client library means."""

    MISSING = "there is no such file"
    NO_CONTAINER = "there is no such container or bucket"
    DENIED = "the credentials do not allow it"
    EXISTS = "there is such a file already"
    SILENT = "nobody answered in time"
    TRANSIENT = "the same request may succeed a moment later"
    OTHER = "something else"


class Trouble(NamedTuple):
    """An error of a store: what it means, and what the store said, which may hold secrets."""

    kind: Kind
    said: str


class Secrets:
    """The secrets in a store's options, or in several stores'; takes them out of a text."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.values: FrozenSet[str] = frozenset(_secrets(options))

    def __repr__(self) -> str:
        return f"Secrets({len(self.values)} of them)"

    def masked(self, text: str) -> str:
        """The text with ``***`` in place of every secret."""
        for secret in sorted(self.values, key=len, reverse=True):
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
        return _SIGNATURE.sub(r"\1***", text)


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and _SECRET_OPTION.search(name):
            candidates = [value, value.lstrip("?"), *_SECRET_PART.findall(value)]
            yield from (each for each in candidates if len(each) >= _SHORTEST_SECRET)

"""The log of a script, as it grows."""

from __future__ import annotations

from typing import Dict, Tuple

from airflow_aml.workspace.journal import STREAMS

try:
    from typing import Protocol
except ImportError:  # pragma: no cover - Python 3.7 is refused elsewhere, by name
    Protocol = object  # type: ignore[assignment]


class Readable(Protocol):
    """A record whose files can be read from a place on."""

    def read_on(self, name: str, start: int) -> Tuple[int, bytes]:
        """What a file holds from there on, and where that really starts."""


class Tail:
    """What a script has printed since the last look, in whole lines."""

    def __init__(self, record: Readable):
        self._record = record
        self._told: Dict[str, int] = dict.fromkeys(STREAMS, 0)

    def new_lines(self, ended: bool) -> str:
        """The lines that are new.

        Args:
            ended: the script has ended, so that its last line is whole.
        """
        found = b""
        for name, told in self._told.items():
            start, data = self._record.read_on(name, told)
            if not ended:
                data = data[: data.rfind(b"\n") + 1]
            self._told[name] = start + len(data)
            found += data if data[-1:] in (b"", b"\n") else data + b"\n"
        return found.decode("utf-8", "replace")

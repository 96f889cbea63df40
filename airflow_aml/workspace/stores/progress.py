"""Telling how a long transfer goes, in a task's log or in a terminal."""

from __future__ import annotations

import time
from typing import Callable, Optional

_UNITS = ("B", "KB", "MB", "GB", "TB")


class Report:
    """A :data:`~airflow_aml.workspace.stores.base.Progress` that writes a line now and then.

    A transfer that ends before the first line was due says nothing.

    Args:
        what: how the line begins: ``"uploading prepared_data"``.
        say: writes the line: a logger's ``info``, or a terminal's writer.
        files, size: how many files and bytes there are to transfer, where that is known.
        every: seconds between lines: 10 for a log, 0.5 for a line that is written over.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        what: str,
        say: Callable[[str], None],
        files: Optional[int] = None,
        size: Optional[int] = None,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files = 0
        self.bytes = 0
        self._what = what
        self._say = say
        self._all_files = files
        self._all_bytes = size
        self._every = every
        self._clock = clock
        self._start = self._last = clock()
        self._told = False

    def __call__(self, files: int, count: int) -> None:
        """Hears of so many more files and bytes."""
        self.files += files
        self.bytes += count
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._told = True
            self._say(self._line(now))

    def end(self) -> None:
        """Says the last line, if the transfer was long enough for others."""
        if self._told:
            self._say(self._line(self._clock()))

    def _line(self, now: float) -> str:
        rate = self.bytes / max(now - self._start, 1e-9)
        files = f"{self.files:,}" + (f" of {self._all_files:,}" if self._all_files else "")
        count = amount(self.bytes) + (f" of {amount(self._all_bytes)}" if self._all_bytes else "")
        noun = "file" if (self._all_files or self.files) == 1 else "files"
        return f"{self._what}: {files} {noun}, {count}, {amount(rate)}/s"


def amount(count: float) -> str:
    """A number of bytes for people: ``1.5 GB``."""
    power = 0
    while count >= 999.5 and power < len(_UNITS) - 1:
        count /= 1000
        power += 1
    unit = _UNITS[power]
    return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"

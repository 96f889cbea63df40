"""One line that tells how a wait goes."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Rewrites one line in a terminal; elsewhere prints a line for every change."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._started = time.monotonic()
        self._shown = ""

    def show(self, state: str) -> None:
        """Say where things stand. Cheap to call often."""
        if self._live:
            self._stream.write(f"\r\033[K{self._line(state)}")
        elif state != self._shown:
            self._stream.write(f"{self._line(state)}\n")
        self._shown = state
        self._stream.flush()

    def done(self, state: str) -> None:
        """Say how it ended, on a line that stays."""
        clear = "\r\033[K" if self._live else ""
        self._stream.write(f"{clear}{self._line(state)}\n")
        self._stream.flush()

    def _line(self, state: str) -> str:
        return f"[{time.monotonic() - self._started:5.1f} s] {self._title}: {state}"

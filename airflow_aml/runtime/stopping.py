"""A request to end a step early: by signal, or because the process that started it is gone."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from types import FrameType
from typing import Optional

STDIN = 0


class StopRequested(BaseException):
    """The step must end now. Not an ``Exception``: nobody but the entry point handles it."""


class Stop:
    """Whether the step must end, and why; ``abandoned``: nobody is there to hear of its end.

    Long work calls :meth:`check` between its parts. Who waits in a ``select`` adds :attr:`wakeup`
    (readable after a signal, also after the end of a child process) and, if set, :attr:`watched`
    (readable at its end), and calls :meth:`look` when either is ready.
    """

    def __init__(self, watch_stdin: bool = False, watch_parent: bool = False) -> None:
        self._parent = os.getppid() if watch_parent else None
        self.reason: Optional[str] = None
        self.abandoned = False
        self.wakeup, self._wakeup_end = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self._wakeup_end, False)
        self.watched: Optional[int] = STDIN if watch_stdin else None

    @property
    def requested(self) -> bool:
        """Whether somebody asked for the end."""
        return self.reason is not None

    def request(self, reason: str) -> None:
        """Asks for the end; the first reason counts. May be called from a signal handler."""
        if self.reason is None:
            self.reason = reason
        with suppress(BlockingIOError):
            os.write(self._wakeup_end, b"!")

    def close(self) -> None:
        """Gives its descriptors back; nothing of it may be used any more."""
        os.close(self.wakeup)
        os.close(self._wakeup_end)

    def install(self) -> None:
        """Takes over SIGTERM, SIGINT and SIGHUP, and lets ended children wake a ``select``."""
        signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def look(self) -> None:
        """Reads what is ready: wake-ups are forgotten, the end of stdin is a request."""
        try:
            while os.read(self.wakeup, 512):
                pass
        except BlockingIOError:
            pass
        if self.watched is not None and select.select([self.watched], [], [], 0)[0]:
            try:
                ended = not os.read(self.watched, 4096)
            except OSError:
                ended = True
            if ended:
                self.watched = None
                self.abandoned = True
                self.request("the process that started the step is gone")
        if self._parent is not None and os.getppid() != self._parent:
            self.request("the process that started this one is gone")

    def check(self) -> None:
        """Returns if the step may go on.

        Raises:
            StopRequested: it may not.
        """
        self.look()
        if self.reason is not None:
            raise StopRequested(self.reason)

    def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
        self.request(f"{signal.Signals(number).name} was received")

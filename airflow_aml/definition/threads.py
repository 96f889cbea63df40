"""Threads of a program that is loaded or run: what holds for the program holds in them, too."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Iterator


@contextmanager
def inheriting() -> Iterator[None]:
    """Threads that are begun inside have the context variables of the thread that begins them.

    Else a program that uploads or submits in threads would do it while it is only being loaded.
    """
    start = threading.Thread.start

    def start_with_context(self: threading.Thread) -> None:
        self.run = partial(copy_context().run, self.run)  # type: ignore[method-assign]
        start(self)

    threading.Thread.start = start_with_context  # type: ignore[method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]

"""Event loops beside the server's, for calls of Airflow's own routes in this process.

Airflow writes its audit log inside the event loop that a route is called in. On SQLite that waits
while somebody else writes; in the server's loop it would wait for one who waits for that very loop,
and the whole server with it, until SQLite gives up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Loops:
    """Loops that are kept for the next call; each has one call at a time."""

    def __init__(self) -> None:
        self._idle: deque[asyncio.AbstractEventLoop] = deque()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """What the call returns, or raises; the thread that asks waits for it."""
        try:
            loop = self._idle.pop()
        except IndexError:
            loop = _begun()
        try:
            return asyncio.run_coroutine_threadsafe(call, loop).result()
        finally:
            self._idle.append(loop)


def _begun() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # Not run_forever: a loop's first task is what its worker threads live as long as.
    first = asyncio.Event().wait()
    Thread(target=loop.run_until_complete, args=(first,), name="aml-rest", daemon=True).start()
    return loop

"""Many small jobs on an event loop, from a thread that waits and hears how they go."""

from __future__ import annotations

import asyncio
from concurrent import futures
from typing import Any, Awaitable, Callable, Coroutine, Dict, Optional, Sequence, Tuple, TypeVar

from airflow_aml.workspace.stores.base import Progress

_T = TypeVar("_T")
_SECONDS_BETWEEN_REPORTS = 0.2


class Meter:
    """Counts what was transferred; written to by the loop's thread, read by the waiting one."""

    def __init__(self) -> None:
        self._files = 0
        self._bytes = 0
        self._under_way: Dict[str, int] = {}
        self._told = (0, 0)

    def of(self, name: str) -> Callable[[int], None]:
        """What hears how many bytes of that file have gone so far."""

        def hear(count: int) -> None:
            self._under_way[name] = count

        return hear

    def finished(self, name: str, size: int) -> None:
        """That file is there."""
        self._under_way.pop(name, None)
        self._bytes += size
        self._files += 1

    def news(self) -> Tuple[int, int]:
        """Files and bytes since it was asked last."""
        files = self._files
        # Never backwards: a file that is sent once more starts at its first byte again.
        count = max(self._bytes + sum(tuple(self._under_way.values())), self._told[1])
        since = (files - self._told[0], count - self._told[1])
        self._told = (files, count)
        return since


async def run_all(jobs: Sequence[_T], run: Callable[[_T], Awaitable[None]], workers: int) -> None:
    """Runs each job, ``workers`` of them at a time; the first error ends them all."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await run(job)

    tasks = [asyncio.ensure_future(work()) for _ in range(min(workers, len(jobs)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wait_for(
    loop: Any,
    coroutine: Coroutine[Any, Any, _T],
    meter: Optional[Meter] = None,
    progress: Optional[Progress] = None,
) -> _T:
    """The coroutine's result. It runs in that loop's thread; ``progress`` is called in this one."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    telling = meter is not None and progress is not None
    try:
        while True:
            futures.wait([future], _SECONDS_BETWEEN_REPORTS if telling else None)
            if meter is not None and progress is not None:
                # Also when nothing moves: it may be where somebody looks whether to go on.
                progress(*meter.news())
            if future.done():
                return future.result()
    except BaseException:
        future.cancel()
        raise

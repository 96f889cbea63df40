"""How long a store may be silent.

The client libraries limit how long a connection takes and how long an answer may pause, but not how
long a request takes to be sent: to a server that took the connection and died then (for S3, one
that never gives its go-ahead for the body) they would wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import Awaitable, TypeVar

_T = TypeVar("_T")

CONNECT_SECONDS = 10.0
"""How long making a connection may take."""

READ_SECONDS = 30.0
"""How long an answer may take to begin, or pause."""

SLOWEST = 16 * 1024
"""Bytes a second: what is sent more slowly than that does not move at all."""


async def in_time(request: Awaitable[_T], read_seconds: float, size: int) -> _T:
    """The answer to one request that sends so many bytes.

    Raises:
        asyncio.TimeoutError: it took longer than any request that works.
    """
    return await asyncio.wait_for(request, 2 * read_seconds + size / SLOWEST)

"""What an object store's client library has to offer to be a store; keys are whole, from the root
of the container or bucket."""

from __future__ import annotations

import hashlib
from typing import Any, AsyncContextManager, Callable, List, NamedTuple, Optional

from airflow_aml.workspace.stores.trouble import Trouble

try:
    from typing import Protocol
except ImportError:  # pragma: no cover - Python 3.7 is refused elsewhere, by name
    Protocol = object  # type: ignore[assignment]

Sent = Callable[[int], None]
"""Hears how many bytes of one file have gone so far."""

LARGE = 8 * 1024 * 1024
"""From this size on a file goes in parts, of which several are in memory at once."""

_BUFFER_SIZE = 1 << 20


class Listed(NamedTuple):
    """An object, as a listing tells it; ``md5`` is None where the store does not know it."""

    key: str
    size: int
    etag: str
    md5: Optional[str]


class Backend(Protocol):
    """One container or bucket. What is not ``async`` neither waits nor does I/O over the network.

    Attributes:
        loop: the event loop that its coroutines run in.
        container: its name.
        noun: what such a thing is called there.
        naming: one sentence on how such things may be named.
        workers: how many small transfers at once were measured to be fastest.
    """

    loop: Any
    container: str
    noun: str
    naming: str
    workers: int

    def diagnose(self, error: BaseException) -> Trouble:
        """What an exception of the methods below means."""

    async def read(self, key: str) -> bytes:
        """The whole object."""

    async def write(self, key: str, data: bytes) -> None:
        """Writes an object, replacing what was there."""

    async def create(self, key: str, data: bytes, writer: str) -> None:
        """Writes an object, signed by its writer, or fails where there is one already."""

    async def writer(self, key: str) -> Optional[str]:
        """Who signed that object."""

    async def exists(self, key: str) -> bool:
        """Whether there is an object with exactly that key."""

    async def find(self, prefix: str, limit: Optional[int] = None) -> List[Listed]:
        """Objects whose keys begin like that; about ``limit`` of them, if given."""

    async def children(self, prefix: str) -> List[str]:
        """Names between the prefix and the next slash, which stays at their end."""

    async def put(self, local: str, key: str, size: int, sent: Sent) -> None:
        """Sends a file."""

    async def get(self, key: str, local: str, sent: Sent, large: AsyncContextManager[None]) -> None:
        """Fetches an object into a file; one that turns out to be large, inside ``large``."""

    async def delete(self, keys: List[str]) -> None:
        """Removes objects; those that are not there are no error."""

    def same(self, local: str, listed: Listed) -> bool:
        """Whether a local file of the same size certainly has that content. Reads the file."""


def md5_of(path: str) -> bytes:
    """MD5 of a file's content."""
    return md5_of_parts(path, None)[0]


def md5_of_parts(path: str, part: Optional[int]) -> List[bytes]:
    """MD5 of each of a file's parts of that many bytes; of the whole where None is given."""
    digests: List[bytes] = []
    with open(path, "rb", buffering=0) as stream:
        while True:
            hasher = hashlib.md5()  # noqa: S324 - what object stores name content by
            left = part
            while left is None or left > 0:
                data = stream.read(_BUFFER_SIZE if left is None else min(left, _BUFFER_SIZE))
                if not data:
                    if left != part or not digests:
                        digests.append(hasher.digest())
                    return digests
                hasher.update(data)
                left = None if left is None else left - len(data)
            digests.append(hasher.digest())

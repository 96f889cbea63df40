"""What a store can do: the one seam to file systems and object stores.

A store is a folder at a URL. Paths in it are POSIX, relative, without ``..``; an object store has
no folders, so neither does the seam: a path is a file's, a prefix ends in ``/`` or is empty.
Credentials are given when a store is opened and are in no URL, text, repr or error of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

try:
    from typing import Protocol
except ImportError:  # pragma: no cover - Python 3.7 is refused elsewhere, by name
    Protocol = object  # type: ignore[assignment]

Progress = Callable[[int, int], None]
"""Hears (files, bytes) that were finished since it was called last; both may be 0. What it raises
ends the transfer."""


@dataclass(frozen=True)
class StoredFile:
    """One file of a store, as a listing tells it.

    Attributes:
        path: relative to the store's root.
        size: in bytes.
        version: changes when the content may have changed: an etag, or size and mtime in ns.
        md5: of the content, hexadecimal, where the store knows it for certain.
    """

    path: str
    size: int
    version: str
    md5: Optional[str] = None


class Store(Protocol):
    """A folder at a URL. All methods raise ``WorkspaceException`` when the store cannot be used.

    Attributes:
        url: where it is, without a slash at its end and without credentials.
        local_root: absolute path of the folder, where it is one of this machine; else None.
    """

    url: str
    local_root: Optional[str]

    def read(self, path: str) -> bytes:
        """The whole of a small file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Writes a small file, replacing it in one step: a reader sees all of one or the other.

        ``durable=False`` does not wait for a local disk: a power cut may damage the file.
        """

    def create(self, path: str, data: bytes, *, durable: bool = True) -> bool:
        """Writes a small file unless there is one; of many callers at once one alone gets True.

        ``durable`` is as in :meth:`write`.
        """

    def exists(self, path: str) -> bool:
        """Whether there is a file, or (prefix ending in ``/``) anything below it."""

    def find(self, prefix: str = "") -> Iterator[StoredFile]:
        """Every file whose path starts with the prefix, sorted by path; never a cached listing."""

    def children(self, prefix: str = "") -> List[str]:
        """Names directly below a prefix, sorted; folders end in ``/``."""

    def upload(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """Copies local files to paths of the store, in parallel, replacing what is there.

        A file that is there already with the same content (same size and MD5) is not sent again,
        so a transfer that broke off goes on where it was; ``skip_same=False`` sends every one.
        ``progress`` is called in the caller's thread a few times a second; what was skipped counts.

        Raises:
            FileNotFoundError: a local file is not there.
        """

    def download(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """Copies files of the store to local paths, in parallel, each appearing whole or not.

        Goes on where it was and reports its progress as :meth:`upload` does.

        Raises:
            FileNotFoundError: a file of the store is not there.
        """

    def delete(self, paths: Sequence[str]) -> None:
        """Removes files; those that are not there are no error."""

    def uri(self, path: str = "") -> str:
        """The URI of a path: the store's URL with it."""

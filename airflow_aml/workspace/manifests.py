"""Manifests: the files of one committed output, and the output's identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class FileEntry:
    """One file. ``path`` is POSIX and relative to the output; ``size`` is in bytes."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The files of one output, sorted by path.

    ``digest`` is over paths and content digests alone: equal digests mean equal content, wherever
    and whenever it was written.
    """

    digest: str
    bytes: int
    files: Tuple[FileEntry, ...] = ()

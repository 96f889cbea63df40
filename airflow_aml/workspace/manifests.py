"""Manifests: the files of one committed output, and the output's identity."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple, Tuple, Union

MANIFEST_VERSION = 1


class FileEntry(NamedTuple):
    """One file. ``path`` is POSIX and relative to the output; ``size`` is in bytes.

    An output that is a single file, not a folder, has one entry, whose ``path`` is empty: what such
    a file is called is the output's name, not part of its content.
    """

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


def build(place: Union[str, os.PathLike[str]]) -> Manifest:
    """The manifest of a folder or of a single file, all of it read. Empty folders do not count.

    Raises:
        UserErrorException: it holds what cannot be kept: a link that leads nowhere or round in a
            circle, a pipe or socket, a name that is not UTF-8.
        OSError: something in it cannot be read.
    """
    from airflow_aml.workspace.content import manifest_of
    from airflow_aml.workspace.statcache import StatCache

    return manifest_of(place, StatCache(None))


def of_files(files: Tuple[FileEntry, ...]) -> Manifest:
    """The manifest of these entries, which are sorted by path."""
    from airflow_aml.workspace.digests import digest_record

    digest = digest_record([*record_head(), *((each.path, each.digest) for each in files)])
    return Manifest(digest, sum(each.size for each in files), files)


def record_head() -> Tuple[str, int]:
    """The first parts of the record that a manifest's digest is of."""
    return "manifest", MANIFEST_VERSION

"""What files hold: digests that are the same for the same bytes, wherever and whenever.

Content is read once: what it was stands in the worker's cache, and an unchanged folder costs a look
at every file's stat. A large folder that is not known is read by several processes.

The algorithm (BLAKE3 where installed, SHA-256 elsewhere) is part of every digest. Workers that
differ in it never take different content for the same; they take the same for different, and run a
step that could have been reused. So install ``blake3`` on all workers of a workspace, or on none.
"""

from __future__ import annotations

import gc
import os
import stat
from contextlib import contextmanager
from itertools import repeat
from typing import (
    TYPE_CHECKING,
    Iterator,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.manifests import FileEntry, Manifest, of_files, record_head
from airflow_aml.workspace.statcache import StatCache, worker_cache
from airflow_aml.workspace.survey import algorithm_here, measure_one, survey

if TYPE_CHECKING:
    from airflow_aml.workspace.stores.base import StoredFile
    from airflow_aml.workspace.survey import Survey

AnyPath = Union[str, "os.PathLike[str]"]

_SIGNS = "*?["


class TreeDigest(NamedTuple):
    """The identity of a folder's or a file's content, and how much it is."""

    digest: str
    files: int
    bytes: int


class PathsDigest(NamedTuple):
    """The identity of what several paths hold.

    Attributes:
        missing: the paths where nothing is.
        places: (name, path) of each file and folder that was found.
    """

    digest: str
    files: int
    bytes: int
    missing: Tuple[str, ...]
    places: Tuple[Tuple[str, str], ...]

    def rows(self) -> Iterator[Tuple[str, int, str]]:
        """(name, size, digest) of each file; folders are walked again, no file is read again."""
        for name, place in self.places:
            for each in manifest_of(place).files:
                below = each.path if os.path.isdir(place) else ""
                yield f"{name}/{below}".strip("/"), each.size, each.digest


def digest_tree(place: AnyPath, *, cache: Optional[StatCache] = None) -> TreeDigest:
    """The digest that :func:`~airflow_aml.workspace.manifests.build` gives, read at need only.

    Args:
        place: a folder or a single file.
        cache: by default this worker's own; ``StatCache(None)`` reads everything.

    Raises:
        UserErrorException: it holds what cannot be kept: a link that leads nowhere or round in a
            circle, a pipe or socket, a name that is not UTF-8.
        OSError: something in it cannot be read.
    """
    if os.path.isdir(place):
        found = _survey(place, cache)
        return TreeDigest(found.digest, found.files, found.size)
    manifest = _manifest_of_file(place, cache)
    return TreeDigest(manifest.digest, 1, manifest.bytes)


def manifest_of(place: AnyPath, cache: Optional[StatCache] = None) -> Manifest:
    """The same with a row for every file.

    Raises:
        UserErrorException: as :func:`digest_tree` raises it.
        OSError: something in it cannot be read.
    """
    if not os.path.isdir(place):
        return _manifest_of_file(place, cache)
    found = _survey(place, cache)
    with _nothing_collected():
        # A fifth of what the constructor of FileEntry would take, called for each.
        files: Tuple[FileEntry, ...] = tuple(map(tuple.__new__, repeat(FileEntry), found.rows()))
    return Manifest(found.digest, found.size, files)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Inside, many objects are made and none is lost: looking for lost ones takes most of that."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def digest_file(path: AnyPath, cache: Optional[StatCache] = None) -> str:
    """The digest of one file's bytes.

    Raises:
        UserErrorException: it is no file.
        OSError: it cannot be read.
    """
    return _file_entry(path, cache).digest


def digest_paths(
    paths: Sequence[str], folder: AnyPath, *, cache: Optional[StatCache] = None
) -> PathsDigest:
    """The digest of what several paths hold: files, folders with all below them, patterns.

    Names count as they are relative to ``folder``; of an absolute path that leads elsewhere only
    the last part does, so that another checkout has the same digest.

    Args:
        paths: relative to ``folder``, or absolute; ``*`` and ``?`` stay inside a folder, ``**``
            does not. Their order does not count.
        folder: where relative ones start.
        cache: by default this worker's own.

    Raises:
        UserErrorException: as :func:`digest_tree` raises it.
        OSError: something cannot be read.
    """
    from airflow_aml.workspace.digests import digest_record

    base = os.path.abspath(folder)
    found = {}
    missing = []
    for path in paths:
        places = _places(os.path.join(base, path))
        if not places:
            missing.append(path)
        for place in places:
            name = os.path.relpath(place, base)
            if os.path.isabs(path) and name.startswith(os.pardir):
                name = os.path.basename(place)
            found[name.replace(os.sep, "/"), place] = digest_tree(place, cache=cache)
    rows = sorted({(name, each.digest) for (name, _), each in found.items()})
    return PathsDigest(
        digest_record(["paths", 1, *rows]),
        sum(each.files for each in found.values()),
        sum(each.bytes for each in found.values()),
        tuple(missing),
        tuple(sorted(found)),
    )


def store_digest(stored: StoredFile) -> Optional[str]:
    """What stands for an object's content, without reading it; None: it has to be read.

    - ``md5:<hex>`` where the store knows the content's MD5: the same bytes, written again or copied
      elsewhere, have it too. Azure keeps it of what came in one piece or was sent with it; S3's
      etag is one for what came in one piece, not in parts and not encrypted with a key of KMS.
    - ``etag:<etag>-<size>`` else: another one whenever the object was written again, on Azure also
      with the same bytes. That runs a step in vain and never reuses a wrong result.
    - ``stat:<size>-<mtime>`` for a store without etags: a mounted share, a folder.
    """
    if stored.md5:
        return f"md5:{stored.md5}"
    if not stored.version:
        return None
    size, _, modified = stored.version.partition("-")
    if size == str(stored.size) and modified.isdigit():
        return f"stat:{stored.version}"
    return f"etag:{stored.version}-{stored.size}"


def _survey(place: AnyPath, cache: Optional[StatCache]) -> Survey:
    def problem(relative: str, wrong: str) -> NoReturn:
        raise UserErrorException(f"{relative!r} {wrong}.", where=os.fspath(place))

    known = worker_cache() if cache is None else cache
    return survey(os.path.abspath(place), record_head(), algorithm_here(), problem, known)


def _manifest_of_file(place: AnyPath, cache: Optional[StatCache]) -> Manifest:
    return of_files((_file_entry(place, cache),))


def _file_entry(place: AnyPath, cache: Optional[StatCache]) -> FileEntry:
    mode = os.stat(place).st_mode
    if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
        wrong = "a folder, not a file" if stat.S_ISDIR(mode) else "neither a file nor a folder"
        raise UserErrorException(f"it is {wrong}.", where=os.fspath(place))
    known = worker_cache() if cache is None else cache
    digest, size = measure_one(os.path.abspath(place), algorithm_here(), known)
    return FileEntry("", size, digest)


def _places(path: str) -> List[str]:
    from glob import glob

    if os.path.exists(path):
        return [os.path.normpath(path)]
    if not any(sign in path for sign in _SIGNS):
        return []
    found = sorted({os.path.normpath(each) for each in glob(path, recursive=True)})
    if "**" not in path.split(os.sep):
        return found
    return [each for each in found if not os.path.isdir(each)]  # it matches what is below them, too

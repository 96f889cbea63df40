"""Before the script: what it needs from remote stores, through this machine's cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Tuple

from airflow_aml.errors import SnapshotException, UserErrorException, WorkspaceException
from airflow_aml.runtime import is_uri
from airflow_aml.runtime.places import Places, counted
from airflow_aml.workspace.caches import cache_folder
from airflow_aml.workspace.committed import Committed, parsed
from airflow_aml.workspace.stores.base import Store
from airflow_aml.workspace.stores.cache import Cache, StagedFile

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobInput, StepJob

CACHE_BYTES = 20 * 1024**3
"""What the cache may hold where nobody says."""

_WEB = ("http", "https")
_WEB_TIMEOUT = 60.0

Check = Callable[[], None]


class _Group(NamedTuple):
    """Files of one store that lose the same prefix and go to the same folder."""

    store: Store
    prefix: str
    target: str
    files: List[StagedFile]


def cache_of(job: StepJob) -> Cache:
    """This machine's cache of remote files."""
    folder = job.cache or os.path.join(cache_folder(), "files")
    return Cache(folder, job.cache_bytes or CACHE_BYTES)


def fetch_snapshot(job: StepJob, check: Check, places: Places) -> str:
    """The local path of the snapshot's zip.

    Raises:
        SnapshotException: it is not in the workspace.
        WorkspaceException: the store cannot be used.
    """
    store, path = places.locate(job.snapshot)
    found = next((each for each in store.find(path) if each.path == path), None)
    if found is None:
        raise SnapshotException(
            "the snapshot is not there.",
            where=job.snapshot,
            hint="Run the pipeline again: it stores the source folder anew.",
        )
    telling = places.telling("fetching the source folder", 1, found.size, check)
    digest = _of_version(store, path, found.version)
    folder, _, name = path.rpartition("/")
    target = os.path.join(job.work, "snapshot")
    cache_of(job).stage(store, [(path, digest, found.size)], target, folder, telling.progress)
    telling.end()
    return os.path.join(target, name)


def fetch_input(job: StepJob, port: JobInput, farm: str, check: Check, places: Places) -> str:
    """The path that the script gets for an input that is, at least in part, in a remote store.

    Args:
        farm: a folder to be made for its files.

    Raises:
        UserErrorException: two of its files would get one name, or one is gone.
        WorkspaceException: a store cannot be used, or a file is not what was committed.
    """
    if port.files:
        wanted = [_listed(each) for each in port.files]
        groups = _grouped(port, wanted, farm, places)
        source, count, size = _common(wanted), len(wanted), sum(each["size"] for each in wanted)
        alone = "" if port.folder or count > 1 else str(wanted[0]["relative"])
    else:
        source = port.paths[0]
        committed = _committed(port, source, places)
        store, path = places.locate(source)
        groups = [_group_of(committed, store, path, farm)]
        size, count = committed.bytes, len(committed.files)
        alone = path.rpartition("/")[2] if committed.is_file and not port.folder else ""
    os.makedirs(farm, exist_ok=True)
    telling = places.telling(f"fetching the input {port.name!r}", count, size, check)
    try:
        for group in groups:
            check()
            cache_of(job).stage(
                group.store, group.files, group.target, group.prefix, telling.progress
            )
    except FileNotFoundError as error:
        raise UserErrorException(
            f"the input {port.name!r} is missing: {error}.", hint="It was removed since."
        ) from error
    except WorkspaceException as error:
        raise WorkspaceException(f"the input {port.name!r} could not be staged: {error}") from error
    telling.end()
    place = os.path.join(farm, *alone.split("/")) if alone else farm
    places.say(f"input {port.name!r} is at {place}, staged from {source} ({counted(count, size)})")
    return place


def _committed(port: JobInput, uri: str, places: Places) -> Committed:
    store, path = places.locate(port.manifest)
    try:
        found = parsed(store.read(path), store.uri(path))
    except FileNotFoundError:
        raise UserErrorException(
            f"the input {port.name!r} is missing: {uri} has no manifest, so it was never "
            "committed or was removed since.",
            hint="Run the step that writes it again.",
        ) from None
    if found.uri != uri:
        raise WorkspaceException(
            f"this manifest is of {found.uri}, and the input {port.name!r} is {uri}.",
            where=store.uri(path),
        )
    return found


def _group_of(committed: Committed, store: Store, path: str, farm: str) -> _Group:
    if committed.is_file:
        only = committed.files[0]
        return _Group(store, path.rpartition("/")[0], farm, [(path, only.digest, only.size)])
    files = [(f"{path}/{each.path}", each.digest, each.size) for each in committed.files]
    return _Group(store, path, farm, files)


def _listed(file: Any) -> Dict[str, Any]:
    # As the job's document has it: see ``reading``.
    members: Dict[str, Any] = file if isinstance(file, dict) else vars(file)
    return members


def _grouped(
    port: JobInput, wanted: List[Dict[str, Any]], farm: str, places: Places
) -> List[_Group]:
    """The files of stores by group; those of this machine and of the web are brought at once."""
    groups: Dict[Tuple[str, str, str], _Group] = {}
    taken: Dict[str, str] = {}
    for each in wanted:
        uri, relative = str(each["uri"]), str(each["relative"])
        if taken.setdefault(relative, uri) != uri:
            raise UserErrorException(
                f"two files of the input {port.name!r} would both be {relative!r}: "
                f"{taken[relative]} and {uri}."
            )
        if not is_uri(uri):
            _link(uri, os.path.join(farm, *relative.split("/")))
        elif uri.partition("://")[0] in _WEB:
            _fetch_from_web(uri, os.path.join(farm, *relative.split("/")))
        else:
            store, path = places.locate(uri)
            prefix, target = _cut(path, relative, farm)
            group = groups.setdefault(
                (store.url, prefix, target), _Group(store, prefix, target, [])
            )
            digest = _of_version(store, path, str(each["version"]))
            group.files.append((path, digest, int(each["size"])))
    return list(groups.values())


def _cut(path: str, relative: str, farm: str) -> Tuple[str, str]:
    """(what a file's path loses, where it goes) to get its name inside the input."""
    if path.endswith(relative):
        return path[: -len(relative)], farm
    # From several stores: each file keeps its path, below its store's name.
    assert relative.endswith(path), (path, relative)
    return "", os.path.join(farm, *relative[: -len(path)].strip("/").split("/"))


def _of_version(store: Store, path: str, version: str) -> str:
    """A name of a file's content where no digest is known: the file, and its store's version."""
    return f"etag:{store.uri(path)}@{version}"


def _common(wanted: List[Dict[str, Any]]) -> str:
    if len(wanted) == 1:
        return str(wanted[0]["uri"])
    folders = [str(each["uri"]).rpartition("/")[0].split("/") for each in wanted]
    length = 0
    for parts in zip(*folders):
        if len(set(parts)) > 1:
            break
        length += 1
    return "/".join(folders[0][:length]) if length > 2 else "several stores"


def _link(path: str, place: str) -> None:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.symlink(path, place)


def _fetch_from_web(url: str, place: str) -> None:
    import shutil
    from http.client import HTTPException
    from urllib.request import urlopen

    os.makedirs(os.path.dirname(place), exist_ok=True)
    try:
        with urlopen(url, timeout=_WEB_TIMEOUT) as source, open(place, "wb") as target:  # noqa: S310
            shutil.copyfileobj(source, target, 1 << 20)
    except (OSError, HTTPException, ValueError) as error:
        raise WorkspaceException(f"it cannot be fetched: {error}.", where=url) from error

"""Where a definition's paths lead, for whoever reads them now."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from airflow_aml.definition.data.files import Places, SourceFile, absolute, files_of, has_pattern
from airflow_aml.definition.data.model import (
    DataPlace,
    Definition,
    Files,
    LocalPath,
    Query,
    StoredPath,
    Table,
    WorkspacePath,
)
from airflow_aml.definition.data.operations import apply_to_files
from airflow_aml.definition.data.partitions import PartitionFormat
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.datastores import default_datastore, open_datastore
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Store


def places_of(open_workspace: Callable[[], Home], folder: str) -> Places:
    """The places of a workspace that is opened when one of them is asked for, each store once."""
    home = lru_cache(maxsize=None)(open_workspace)
    datastore: Callable[[str], Store] = lru_cache(maxsize=None)(
        lambda name: open_datastore(home(), name)
    )
    return Places(folder, datastore, lambda: home().store, lambda: open_store("/"))


def source_files(definition: Files | Table, places: Places) -> List[SourceFile]:
    """The files that a definition means now, with what their paths say, after its operations.

    Raises:
        UserErrorException: there are none, or a path does not fit the partition format.
    """
    found = files_of(definition.paths, places)
    if isinstance(definition, Table):
        partition_format = definition.reading.options.get("partition_format")
        found = _globbed(found, definition)
    else:
        partition_format = definition.partition_format
    if partition_format:
        partitions = PartitionFormat(partition_format)
        committed = any(isinstance(each, WorkspacePath) for each in definition.paths)
        found = [
            replace(each, partitions=partitions.values(each.shown, committed=committed))
            for each in found
        ]
    if isinstance(definition, Files):
        return apply_to_files(found, definition.operations)
    return found


def _globbed(found: List[SourceFile], definition: Table) -> List[SourceFile]:
    """``path_glob`` of an output that is read as a table; v1 takes it for a regular expression."""
    import re

    pattern = definition.reading.options.get("path_glob")
    if not pattern:
        return found
    kept = [each for each in found if re.search(pattern, each.relative)]
    if not kept:
        raise UserErrorException(
            f"no file of the output matches the path_glob {pattern!r}.",
            hint="It is a regular expression, as in v1.",
        )
    return kept


@contextmanager
def opened(files: Sequence[SourceFile]) -> Iterator[List[str]]:
    """The files' local paths: the originals where they are here, else copies for as long."""
    folder: Optional[str] = None
    try:
        if any(each.local is None for each in files):
            import tempfile

            folder = tempfile.mkdtemp(prefix="airflow-aml-")
            yield fetch(files, folder)
        else:
            yield [each.local or "" for each in files]
    finally:
        if folder is not None:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)


def fetch(files: Sequence[SourceFile], folder: str, *, local_too: bool = False) -> List[str]:
    """Copies files below a folder under their names in the dataset; returns all local paths.

    Files of this machine stay where they are unless ``local_too``.
    """
    pairs: Dict[str, Tuple[Store, List[Tuple[str, str]]]] = {}
    result = []
    for each in files:
        if each.local is not None and not local_too:
            result.append(each.local)
            continue
        place = os.path.join(folder, *each.relative.split("/"))
        result.append(place)
        if each.store is None:
            _fetch_url(each.path, place)
        else:
            pairs.setdefault(each.store.url, (each.store, []))[1].append((each.path, place))
    for store, wanted in pairs.values():
        store.download(wanted)
    return result


def _fetch_url(url: str, place: str) -> None:
    try:
        import fsspec

        fsspec.get_filesystem_class(url.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise UserErrorException(
            f"{url} cannot be read here: {error}.",
            hint="pip install fsspec aiohttp, or upload the file to a datastore.",
        ) from error
    import shutil

    os.makedirs(os.path.dirname(place), exist_ok=True)
    try:
        with fsspec.open(url, "rb") as source, open(place, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except Exception as error:
        raise UserErrorException(f"{url} cannot be read: {error}.") from error


def anchored(definition: Definition, folder: str, default: Callable[[], str]) -> Definition:
    """The definition with nothing left open: local paths absolute, the default datastore named.

    Args:
        folder: where relative local paths start.
        default: the name of the default datastore, asked for when it is needed.
    """
    if isinstance(definition, Query):
        return definition if definition.datastore else replace(definition, datastore=default())

    def anchor(place: DataPlace) -> DataPlace:
        if isinstance(place, LocalPath):
            return LocalPath(absolute(place.path, folder))
        if isinstance(place, StoredPath) and not place.datastore:
            return StoredPath(default(), place.path)
        return place

    return replace(definition, paths=tuple(anchor(place) for place in definition.paths))


def anchored_in(definition: Definition, folder: str, home: Home) -> Definition:
    """The same, with the default datastore of a workspace."""
    return anchored(definition, folder, lambda: default_datastore(home))


def link_farm(files: Sequence[SourceFile], folder: str) -> None:
    """Makes every file visible below a folder: symlinks to local ones, copies of others.

    Raises:
        UserErrorException: two files would get one name.
    """
    remote = [each for each in files if each.local is None]
    for each in files:
        if each.local is None:
            continue
        place = os.path.join(folder, *each.relative.split("/"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        try:
            os.symlink(each.local, place)
        except FileExistsError:
            raise UserErrorException(
                f"two files of the dataset would both be {each.relative!r}."
            ) from None
    if remote:
        fetch(remote, folder)


def single_folder(definition: Any, files: Sequence[SourceFile]) -> Optional[str]:
    """The local folder or file that serves as it is, where a dataset is just that."""
    if not isinstance(definition, Files) or definition.operations or len(definition.paths) != 1:
        return None
    first = files[0] if files else None
    if first is None or first.local is None or has_pattern(definition.paths[0].path):
        return None
    suffix = f"/{first.relative}"
    return first.local[: -len(suffix)] if first.local.endswith(suffix) else None

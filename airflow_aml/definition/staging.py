"""What a mounted or downloaded file dataset consists of, for whoever lays it out for a script."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.definition.data.files import (
    Places,
    SourceFile,
    files_of,
    fixed_part,
    has_pattern,
)
from airflow_aml.definition.data.model import DataPlace, Files, WebPath, definition_of
from airflow_aml.definition.data.places import places_of, source_files
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.stores.base import Store


@dataclass(frozen=True)
class InputFiles:
    """The files of one input.

    Attributes:
        paths: absolute local paths; patterns too, unless ``exact``. Empty where ``remote`` is not.
        root: what names below the script's folder are relative to; None for a single path.
        exact: the paths are files and folders as they are, whatever signs their names hold.
        folder: the script gets a folder even where there is one file.
        remote: files to fetch from their stores, each to its ``relative`` name; they carry size
            and version for a cache.
    """

    paths: Tuple[str, ...] = ()
    root: Optional[str] = None
    exact: bool = False
    folder: bool = True
    remote: Tuple[SourceFile, ...] = ()


def input_files(
    document: Mapping[str, Any],
    home: Home,
    folder: str,
    datastore: Optional[Callable[[str], Store]] = None,
) -> InputFiles:
    """What a pinned file dataset means now (:class:`~.registered.PinnedDataset`).

    Nothing is listed where local paths serve as they are. A single path without glob signs is
    handed on itself, as in v1; anything else becomes a folder whose names are the dataset's own
    (``to_path()``).

    Args:
        folder: absolute; relative local paths start here.
        datastore: opens a datastore by its name, where the caller has opened some already.

    Raises:
        UserErrorException: it is a table, or its files are not there.
    """
    definition = definition_of(document)
    if not isinstance(definition, Files):
        raise UserErrorException("a tabular dataset has no files to stage: it arrives as its id.")
    places = places_of(lambda: home, folder)
    if datastore is not None:
        places = replace(places, datastore=datastore)
    if definition.operations:
        return _listed(source_files(definition, places), folder=True)
    local = _local_paths(definition.paths, places)
    if local is None:
        single = len(definition.paths) == 1 and not has_pattern(definition.paths[0].path)
        found = files_of(definition.paths, places)
        return _listed(found, folder=not (single and _is_that_file(definition.paths[0], found)))
    if len(local) == 1 and _stands_for_itself(local[0]):
        return InputFiles(tuple(local), None, exact=True, folder=False)
    return InputFiles(tuple(local), _root(local))


def _local_paths(paths: Sequence[DataPlace], places: Places) -> Optional[List[str]]:
    """All paths as local ones; None where one is elsewhere."""
    result = []
    for place in paths:
        if isinstance(place, WebPath):
            return None
        store, path, _ = places.look_up(place)
        if store.local_root is None:
            return None
        result.append(os.path.join(store.local_root, path) if path else store.local_root)
    return result


def _stands_for_itself(path: str) -> bool:
    # A file may have a glob's sign in its name; then it is that file that is meant.
    return not has_pattern(path) or os.path.lexists(path)


def _root(paths: Sequence[str]) -> str:
    folders = []
    for path in paths:
        if not _stands_for_itself(path):
            folders.append(f"/{fixed_part(path)}")
        elif os.path.isdir(path):
            folders.append(path)
        else:
            folders.append(os.path.dirname(path))
    return os.path.commonpath(folders)


def _listed(files: Sequence[SourceFile], *, folder: bool) -> InputFiles:
    if not files:
        raise UserErrorException("the dataset's transformations leave no file.")
    locals_ = [each.local for each in files]
    if any(path is None for path in locals_):
        return InputFiles(folder=folder, remote=tuple(files))
    first = files[0]
    assert first.local is not None
    root = first.local[: -len(first.relative)].rstrip("/") or "/"
    inside = all(path == f"{root.rstrip('/')}/{e.relative}" for path, e in zip(locals_, files))
    paths = tuple(path for path in locals_ if path is not None)
    return InputFiles(paths, root if inside else os.path.commonpath(paths), True, folder)


def _is_that_file(place: DataPlace, found: Sequence[SourceFile]) -> bool:
    return len(found) == 1 and found[0].path.strip("/") == place.path.strip("/")

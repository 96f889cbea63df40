"""What a file has declared to be done before its runs and nobody has done yet.

A run's first task carries it out; who only plans has to know which inputs it will change. It looks,
and changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_aml.codec import decode
from airflow_aml.definition.applying import pairs_of, resolve
from airflow_aml.definition.data.files import fixed_part
from airflow_aml.definition.data.model import (
    DEFAULT,
    Query,
    Registered,
    StoredPath,
    definition_id,
    definition_of,
)
from airflow_aml.definition.data.places import anchored_in
from airflow_aml.definition.setup import (
    REGISTER_DATASET,
    REGISTER_DATASTORE,
    REGISTER_ENVIRONMENT,
    SET_DEFAULT_DATASTORE,
    UPLOAD_FILES,
    UPLOAD_FOLDER,
    SetupAction,
)
from airflow_aml.definition.spec import InputSpec, PipelineSpec, StepOutput
from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace import datasets
from airflow_aml.workspace.content import digest_file
from airflow_aml.workspace.datastores import (
    DatastoreRecord,
    default_datastore,
    load_datastore,
    open_datastore,
)

if TYPE_CHECKING:
    from airflow_aml.definition.registered import PinnedDataset
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.stores.base import Store, StoredFile

Pinned = Mapping[str, Mapping[str, "PinnedDataset"]]

_FEW = 3


def pending_environments(actions: Sequence[SetupAction]) -> dict[str, Any]:
    """The environments that a file registers, name -> document."""
    return {
        action.arguments["name"]: action.arguments["document"]
        for action in actions
        if action.action == REGISTER_ENVIRONMENT
    }


@dataclass
class _ToDo:
    """What is still to be done; the values say so, as in "the declared upload to ..."."""

    datastores: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, str] = field(default_factory=dict)
    uploads: list[tuple[str, str, str]] = field(default_factory=list)
    default: tuple[str, str] | None = None


def pending_inputs(
    spec: PipelineSpec,
    pinned: Pinned,
    setup: Sequence[SetupAction],
    home: Home,
    folder: str,
) -> dict[str, dict[str, str]]:
    """The inputs that a run's first task will change or make: node id -> input name -> by what.

    Args:
        pinned: what inputs mean now; one that is not there now is not in it.
        setup: what the file declares.
        folder: absolute; the local paths of file and spec start here.

    Raises:
        WorkspaceException: the workspace cannot be read.
    """
    todo = _ToDo()
    for action in setup:
        _look(action, todo, home, folder)
    found: dict[str, dict[str, str]] = {}
    for node in spec.nodes:
        for port in node.inputs:
            if not isinstance(port.source, StepOutput):
                why = _pending(port, pinned.get(node.id, {}).get(port.name), todo, home)
                if why:
                    found.setdefault(node.id, {})[port.name] = why
    return found


def pending_datastores(setup: Sequence[SetupAction], home: Home) -> set[str]:
    """The datastores that a run's first task will register or change; "" if also the default.

    Raises:
        WorkspaceException: the workspace cannot be read.
    """
    todo = _ToDo()
    for action in setup:
        if action.action in (REGISTER_DATASTORE, SET_DEFAULT_DATASTORE):
            _look(action, todo, home, "")
    return {*todo.datastores, *([DEFAULT] if todo.default else [])}


def _look(action: SetupAction, todo: _ToDo, home: Home, folder: str) -> None:
    name = str(action.arguments.get("name", ""))
    if action.action == REGISTER_DATASTORE:
        record = decode(DatastoreRecord, action.arguments["record"])
        if _known(record.name, home) != record:
            todo.datastores[record.name] = f"the declared registration of datastore {record.name!r}"
    elif action.action == SET_DEFAULT_DATASTORE:
        is_default = default_datastore(home) == name
        todo.default = None if is_default else (name, f"datastore {name!r} becoming the default")
    elif action.action == REGISTER_DATASET:
        if not _is_registered(action.arguments, todo, home, folder):
            todo.datasets[name] = f"the declared registration of dataset {name!r}"
    elif action.action in (UPLOAD_FILES, UPLOAD_FOLDER):
        _look_at_upload(action, todo, home, folder)


def _known(name: str, home: Home) -> DatastoreRecord | None:
    try:
        return load_datastore(home, name)
    except AirflowAmlError:
        return None


def _is_registered(arguments: Mapping[str, Any], todo: _ToDo, home: Home, folder: str) -> bool:
    """Whether the name's latest version is what the file declares."""
    source = arguments["source"]
    if source["kind"] == "registered" and source["name"] in todo.datasets:
        return False
    try:
        definition = anchored_in(resolve(source, home), folder, home)
        known = datasets.find(home, arguments["name"])
    except AirflowAmlError:
        return False
    return known is not None and known.version.id == definition_id(definition)


def _look_at_upload(action: SetupAction, todo: _ToDo, home: Home, folder: str) -> None:
    arguments = action.arguments
    name = _named(arguments["datastore"], todo, home)
    target = arguments["target"]
    why = f"the declared upload to datastore {name!r} at {target or '/'!r}"
    if name in todo.datastores:
        todo.uploads.append((name, target, why))
        return
    try:
        pairs = pairs_of(action, folder)
        missing = list(_to_send(open_datastore(home, name), pairs, arguments["overwrite"]))
    except (AirflowAmlError, OSError) as error:
        problem = error.message if isinstance(error, AirflowAmlError) else str(error)
        why = f"{why}, which cannot be done ({problem.removesuffix('.')})"
        todo.uploads.append((name, target, why))
        return
    todo.uploads.extend((name, path, why) for path in missing)


def _named(datastore: str, todo: _ToDo, home: Home) -> str:
    if datastore != DEFAULT:
        return datastore
    return todo.default[0] if todo.default else default_datastore(home)


def _to_send(store: Store, pairs: Sequence[tuple[str, str]], overwrite: bool) -> Iterator[str]:
    """The paths that an upload would write."""
    there = _listed(store, [path for _, path in pairs])
    for local, path in pairs:
        if path not in there or (overwrite and not _is_same(store, local, there[path])):
            yield path


def _listed(store: Store, paths: Sequence[str]) -> dict[str, StoredFile]:
    folders = [os.path.dirname(path) for path in paths]
    common = os.path.commonpath(folders) if folders and all(folders) else ""
    prefixes = paths if len(paths) <= _FEW else [f"{common}/" if common else ""]
    return {each.path: each for prefix in prefixes for each in store.find(prefix)}


def _is_same(store: Store, local: str, there: StoredFile) -> bool:
    """Whether a file certainly is what the store has."""
    if os.stat(local).st_size != there.size:
        return False
    if store.local_root is not None:
        return digest_file(local) == digest_file(os.path.join(store.local_root, there.path))
    if there.md5 is None:
        return False
    with open(local, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == there.md5


def _pending(port: InputSpec, pinned: PinnedDataset | None, todo: _ToDo, home: Home) -> str | None:
    source = port.source
    is_latest = pinned is None or getattr(source, "version", None) is None
    if isinstance(source, Registered) and is_latest and source.name in todo.datasets:
        return todo.datasets[source.name]
    definition: Any = source if pinned is None else definition_of(pinned.definition)
    if isinstance(definition, Query):
        return todo.datastores.get(definition.datastore)
    if todo.default and any(
        each.datastore == DEFAULT for each in _stored(getattr(source, "paths", ()))
    ):
        return todo.default[1]
    for each in _stored(getattr(definition, "paths", ())):
        name = _named(each.datastore, todo, home)
        if name in todo.datastores:
            return todo.datastores[name]
        for datastore, path, why in todo.uploads:
            if datastore == name and _touches(path, each.path):
                return why
    return None


def _stored(paths: Sequence[Any]) -> Iterator[StoredPath]:
    return (each for each in paths if isinstance(each, StoredPath))


def _touches(uploaded: str, read: str) -> bool:
    """Whether a file or folder that is uploaded is below what is read, or holds it."""
    place, other = fixed_part(read), uploaded.strip("/")
    if not place or not other or place == other:
        return True
    return other.startswith(f"{place}/") or place.startswith(f"{other}/")

"""Datasets in a run: inputs are pinned at its start, outputs are registered at a step's end."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Tuple, Union

from airflow_aml.codec import encode
from airflow_aml.definition.data.model import (
    DataPlace,
    Definition,
    Files,
    LocalPath,
    Query,
    Reading,
    Registered,
    Registration,
    StoredPath,
    Table,
    WorkspacePath,
    definition_id,
    definition_of,
    with_operations,
)
from airflow_aml.definition.data.places import anchored_in
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.spec import NodeSpec, OutputSpec, PipelineSpec, StepOutput
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import datasets
from airflow_aml.workspace.datastores import (
    BUILT_IN,
    datastore_names,
    load_datastore,
    open_datastore,
)
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.uris import path_of_uri

LINK_FILE = "linked-dataset.json"
"""What a link output's folder holds: the id of the dataset that the script handed on."""

Source = Union[Files, Table, Query, Registered]


@dataclass(frozen=True)
class PinnedDataset:
    """What a dataset input means in one run; JSON-ready through the codec, for ``plan.json``.

    Attributes:
        id: stands in argv in direct mode.
        definition: a document, with nothing left open; see :func:`definition_of`.
        name, version: where it is registered, if it is.
    """

    id: str
    definition: Dict[str, Any] = field(default_factory=dict)
    name: Optional[str] = None
    version: Optional[int] = None

    @property
    def places(self) -> Tuple[DataPlace, ...]:
        """The paths that it is made of; local ones are absolute."""
        return getattr(definition_of(self.definition), "paths", ())


@dataclass(frozen=True)
class RegisteredOutput:
    """A version that a step's output has become."""

    output: str
    name: str
    version: int
    id: str
    is_new: bool = True


def save_definitions(
    spec: PipelineSpec,
    home: Home,
    folder: str,
    *,
    keep: bool = True,
    missing: Optional[Callable[[str], None]] = None,
) -> Dict[str, Dict[str, PinnedDataset]]:
    """Pins every dataset input of a pipeline for one run: node id -> input name -> dataset.

    Registered names are looked up, the default datastore is named, and each definition is saved
    under its id, so that a script finds it. Inputs that are another step's output have none yet.

    Args:
        folder: absolute; the spec's local paths start here.
        keep: whether definitions are saved; who only asks saves none.
        missing: hears why an input cannot be pinned, which is then left out; without it that is an
            error.

    Raises:
        UserErrorException: a dataset, version or datastore is not there; the text names the step
            and lists names like it.
    """
    pinned: Dict[str, PinnedDataset] = {}
    result: Dict[str, Dict[str, PinnedDataset]] = {}
    known: Optional[Collection[str]] = None
    for node in spec.nodes:
        for port in node.inputs:
            if isinstance(port.source, StepOutput):
                continue
            where = f"step {node.name!r}, input {port.name!r}"
            key = definition_id(port.source)
            if key not in pinned:
                known = set(datastore_names(home)) if known is None else known
                try:
                    pinned[key] = pin(port.source, home, folder, known, where, keep=keep)
                except UserErrorException as error:
                    if missing is None:
                        raise
                    missing(str(error))
                    continue
            result.setdefault(node.id, {})[port.name] = pinned[key]
    return result


def pin(
    source: Source,
    home: Home,
    folder: str,
    known: Optional[Collection[str]] = None,
    where: Optional[str] = None,
    *,
    keep: bool = True,
) -> PinnedDataset:
    """What one dataset means now; saves its definition.

    Args:
        known: the names of all datastores, if the caller has asked already.
        keep: False saves nothing.

    Raises:
        UserErrorException: a dataset, version or datastore is not there.
    """
    name = version = None
    try:
        if isinstance(source, Registered):
            found = datasets.get(home, source.name, source.version)
            name, version = found.name, found.number
            definition = with_operations(definition_of(found.version.definition), source.operations)
        else:
            definition = source
        definition = anchored_in(definition, folder, home)
        for datastore in _datastores(definition):
            if datastore not in (datastore_names(home) if known is None else known):
                load_datastore(home, datastore)  # its error lists names like it
    except UserErrorException as error:
        raise UserErrorException(str(error), where=where) from error
    if not keep:
        return PinnedDataset(definition_id(definition), encode(definition), name, version)
    return _saved(definition, home, name, version)


def _saved(
    definition: Definition, home: Home, name: Optional[str] = None, version: Optional[int] = None
) -> PinnedDataset:
    document = encode(definition)
    identifier = definition_id(definition)
    datasets.save_definition(home, identifier, document)
    return PinnedDataset(identifier, document, name, version)


def _datastores(definition: Definition) -> List[str]:
    if isinstance(definition, Query):
        return [definition.datastore]
    return [each.datastore for each in definition.paths if isinstance(each, StoredPath)]


def output_dataset(source: StepOutput, reference: Mapping[str, Any], home: Home) -> PinnedDataset:
    """The dataset that a step reads when its input is another step's output.

    Args:
        reference: the output's XCom value: ``{"uri", "digest", "files", "bytes"}``.

    A link output is the dataset that its script handed on.
    """
    linked = linked_definition(reference, home)
    if linked is not None:
        return _saved(with_operations(linked, source.operations), home)
    place = place_of_uri(str(reference["uri"]), home)
    return _saved(_definition(place, source.reading, source.operations), home)


def _definition(
    place: DataPlace,
    reading: Optional[Reading],
    operations: Tuple[Any, ...],
    partition_format: Optional[str] = None,
) -> Definition:
    if reading is None:
        return Files((place,), operations, partition_format)
    return Table((place,), reading, operations)


def place_of_uri(uri: str, home: Home) -> DataPlace:
    """The place that a committed output's URI names: in the workspace, a datastore or this machine.

    Raises:
        UserErrorException: no datastore of the workspace is there.
    """
    for name in BUILT_IN:
        root = home.uri(f"datastores/{name}")
        if uri.startswith(f"{root}/"):
            return StoredPath(name, _decoded(uri, root))
    if uri.startswith(f"{home.url}/"):
        return WorkspacePath(_decoded(uri, home.url))
    if uri.startswith("file:"):
        return LocalPath(path_of_uri(uri))
    for name in datastore_names(home):
        url = load_datastore(home, name).url
        if url and uri.startswith(f"{url}/"):
            return StoredPath(name, _decoded(uri, url))
    raise UserErrorException(f"no datastore of the workspace {home.name!r} holds {uri}.")


def _decoded(uri: str, root: str) -> str:
    if uri.startswith("file:"):
        return path_of_uri(uri)[len(path_of_uri(root)) :].lstrip("/")
    return uri[len(root) :].lstrip("/")


def link_dataset(dataset: Any, folder: str, workspace: Any) -> None:
    """Writes into a link output's folder which dataset it is; saves the dataset's definition.

    Raises:
        UserErrorException: what is given is no dataset.
    """
    from airflow_aml.definition.abstract import AbstractDataset

    if not isinstance(dataset, AbstractDataset):
        raise UserErrorException(f"link takes a dataset, not a {type(dataset).__name__}.")
    home = home_of(workspace)
    pinned = _saved(anchored_in(dataset.definition, os.getcwd(), home), home)
    with open(os.path.join(folder, LINK_FILE), "w", encoding="utf-8") as stream:
        json.dump({"id": pinned.id}, stream)


def linked_definition(reference: Mapping[str, Any], home: Home) -> Optional[Definition]:
    """The definition that a link output's folder points to; None for another output."""
    try:
        identifier = json.loads(_link_text(str(reference["uri"]), home))["id"]
    except (OSError, ValueError, KeyError):
        return None
    return definition_of(datasets.by_id(home, identifier).definition)


def _link_text(uri: str, home: Home) -> bytes:
    if uri.startswith("file:"):
        with open(os.path.join(path_of_uri(uri), LINK_FILE), "rb") as stream:
            return stream.read()
    place = place_of_uri(uri, home)
    store = open_datastore(home, place.datastore) if isinstance(place, StoredPath) else home.store
    return store.read(f"{place.path}/{LINK_FILE}")


def register_outputs(
    node: NodeSpec,
    references: Mapping[str, Mapping[str, Any]],
    home: Home,
    origin: Optional[Mapping[str, Any]] = None,
) -> List[RegisteredOutput]:
    """Registers what a step has written, after it succeeded: each registration a new version.

    A definition that is the name's latest already (the task is tried again) makes no new one.

    Args:
        references: output name -> its XCom value.
        origin: what made it: ``{"run", "step_run", "dag_id"}``; digest, files and bytes are added.
    """
    done: List[RegisteredOutput] = []
    for output in node.outputs:
        reference = references.get(output.name)
        if reference is None:
            continue
        done.extend(
            _register(output, registration, reference, home, dict(origin or {}))
            for registration in output.registrations
        )
    return done


def registered_definition(
    output: OutputSpec, registration: Registration, reference: Mapping[str, Any], home: Home
) -> Definition:
    """What a registration makes of an output: the dataset that the new version is.

    Raises:
        UserErrorException: no datastore holds it, or the dataset that it links to is not known.
    """
    definition = linked_definition(reference, home) if output.link else None
    if definition is not None:
        linked: Definition = with_operations(definition, registration.operations)
        return linked
    return _definition(
        place_of_uri(str(reference["uri"]), home),
        registration.reading,
        registration.operations,
        registration.partition_format,
    )


def _register(
    output: OutputSpec,
    registration: Registration,
    reference: Mapping[str, Any],
    home: Home,
    origin: Dict[str, Any],
) -> RegisteredOutput:
    definition = registered_definition(output, registration, reference, home)
    for key in ("digest", "files", "bytes"):
        if key in reference:
            origin[key] = reference[key]
    version = datasets.DatasetVersion(
        definition_id(definition),
        encode(definition),
        registration.description,
        registration.tags,
        created=datasets.now(),
        origin=origin,
    )
    before = datasets.find(home, registration.name)
    found = datasets.register(home, registration.name, version, new_version=True)
    is_new = before is None or before.number != found.number
    return RegisteredOutput(output.name, found.name, found.number, version.id, is_new)


def link_variables(node: NodeSpec) -> Dict[str, str]:
    """The environment variables that a step with link outputs needs beside the usual ones."""
    names = [output.name for output in node.outputs if output.link]
    return {"AZUREML_LINK_DATASET_OUTPUTS": ";".join(names)} if names else {}

"""PipelineSpec: the frozen, JSON round-tripping meaning of a pipeline.

It is the contract between what an author writes and what Airflow runs, and the only thing the DAG
factory reads. Building one touches no network, reads no data and hashes nothing. Paths are POSIX
and relative to the folder of the defining file, so a spec means the same in every checkout.

Every release reads the specs of every earlier one: :data:`SPEC_VERSION` grows when the form
changes, and :func:`PipelineSpec.from_json` upgrades older documents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from airflow_aml.codec import decode, encode
from airflow_aml.definition.data.model import (
    DataPlace,
    DatasetSource,
    Files,
    LocalPath,
    Operation,
    Query,
    Reading,
    Registered,
    Registration,
    StoredPath,
    Table,
    WebPath,
    WorkspacePath,
)
from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.arguments import InputRef, OutputRef, Text

__all__ = [
    "DATASET",
    "DATA_PATH",
    "Argument",
    "DataPlace",
    "DatasetSource",
    "EnvironmentSpec",
    "Files",
    "InputRef",
    "InputSpec",
    "LocalPath",
    "NodeSpec",
    "Operation",
    "OutputRef",
    "OutputSpec",
    "ParameterRef",
    "ParameterSpec",
    "ParameterValue",
    "PipelineSpec",
    "Query",
    "Reading",
    "Registered",
    "Registration",
    "ReuseSpec",
    "RunSettings",
    "StepOutput",
    "StoredPath",
    "Table",
    "Text",
    "WebPath",
    "WorkspacePath",
]

SPEC_VERSION = 1

ParameterValue = Union[str, int, float, bool]
"""What a pipeline parameter can hold; data is named by a text (``dataparameters.py``)."""

DATA_PATH, DATASET = "datapath", "dataset"

LONGEST_DATA = 1000
"""Characters at most of a text that names data."""

PARAMETER_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    DATA_PATH: str,
    DATASET: str,
}
"""JSON Schema type name, or the kind of data -> the Python type of such a parameter's values."""


@dataclass(frozen=True)
class ParameterSpec:
    """One pipeline parameter.

    Attributes:
        type: ``string``, ``integer``, ``number`` or ``boolean`` (JSON Schema's words);
            ``datapath`` or ``dataset``.
        source: of data, what the default means.
    """

    name: str
    type: str
    default: ParameterValue
    source: Optional[Union[Files, Table, Query, Registered]] = None


@dataclass(frozen=True)
class ParameterRef:
    """An argument that becomes the value of a pipeline parameter, as text."""

    name: str
    kind: str = "parameter"


Argument = Union[Text, ParameterRef, InputRef, OutputRef]


@dataclass(frozen=True)
class StepOutput:
    """An input's data: what output ``output`` of node ``node`` held when that node finished.

    Attributes:
        reading: how its files become a table; None leaves them files.
        operations: recorded transformations of that dataset.
        link: the node hands on a dataset, which is what is meant.
    """

    node: str
    output: str
    reading: Optional[Reading] = None
    operations: Tuple[Operation, ...] = ()
    link: bool = False
    kind: str = "step_output"


@dataclass(frozen=True)
class InputSpec:
    """One input port of a step.

    Attributes:
        name: unique within the step's inputs; also its environment variable (reference 2.8).
        source: where the data comes from.
        mode: ``mount``, ``download`` or ``direct``.
        style: ``dataset`` (``$name``, ``$AZURE_ML_INPUT_name``) or ``reference``
            (``$AZUREML_DATAREFERENCE_name``), v1's two families of input.
        path_on_compute: where the script wants to find it, if it said so.
        parameter: the pipeline parameter that chooses the data; ``source`` is its default then.
    """

    name: str
    source: Union[StepOutput, Files, Table, Query, Registered]
    mode: str = "mount"
    style: str = "dataset"
    path_on_compute: Optional[str] = None
    parameter: Optional[str] = None


@dataclass(frozen=True)
class OutputSpec:
    """One output port of a step.

    Attributes:
        name: unique within the step's outputs; the XCom key of its reference.
        style: ``dataset`` (an ``OutputFileDatasetConfig``: the directory exists before the script
            starts) or ``reference`` (a ``PipelineData``: only its parent does).
        mode: ``mount`` or ``upload``.
        datastore, path: the author's destination, if any. ``path`` may hold ``{run-id}`` and
            ``{output-name}``.
        overwrite: whether a fixed destination may hold files of the same names already.
        source_globs: of an upload output, which files to keep; empty keeps all.
        pipeline_output_name: the name under which the whole pipeline offers this output.
        registrations: what it is registered as once the step has succeeded.
        link: the script hands on a dataset (``run.output_datasets[name].link(dataset)``), no files.
    """

    name: str
    style: str = "dataset"
    mode: str = "mount"
    datastore: Optional[str] = None
    path: Optional[str] = None
    path_on_compute: Optional[str] = None
    overwrite: bool = True
    source_globs: Tuple[str, ...] = ()
    is_directory: Optional[bool] = None
    pipeline_output_name: Optional[str] = None
    registrations: Tuple[Registration, ...] = ()
    link: bool = False


@dataclass(frozen=True)
class EnvironmentSpec:
    """The software that a step asks for, as plain settings.

    Attributes:
        registered: the name is one of a registered or curated environment, which is looked up when
            a run starts; what else is said here comes on top of it.
        pip_options: lines of a requirements file that say where packages are from.
    """

    name: str = ""
    version: Optional[str] = None
    python_version: Optional[str] = None
    pip_packages: Tuple[str, ...] = ()
    conda_packages: Tuple[str, ...] = ()
    image: Optional[str] = None
    user_managed: bool = False
    interpreter: Optional[str] = None
    registered: bool = False
    pip_options: Tuple[str, ...] = ()
    dockerfile: Optional[str] = None


@dataclass(frozen=True)
class RunSettings:
    """How a step wants to be run: v1's RunConfiguration, less what the step itself says.

    Attributes:
        max_run_seconds: wall-clock limit; None means none.
        node_count: processes or machines; more than one needs a compute that can do it.
        shm_size: of /dev/shm in a container or pod; None: as its compute says.
        docker_arguments: of ``docker run``, as the author asks for them.
    """

    environment: EnvironmentSpec = EnvironmentSpec()
    environment_variables: Dict[str, str] = field(default_factory=dict)
    max_run_seconds: Optional[float] = None
    node_count: int = 1
    framework: str = "Python"
    communicator: str = "None"
    shm_size: Optional[str] = None
    docker_arguments: Tuple[str, ...] = ()


DEFAULT_SETTINGS = RunSettings()


@dataclass(frozen=True)
class ReuseSpec:
    """How far earlier results of a step may stand in for a run.

    Attributes:
        max_age: in seconds; None: any age.
        ignore: flags, and names of parameters, that do not count.
        extra: further values that count.
        scope: ``workspace`` or ``pipeline``.
    """

    max_age: Optional[float] = None
    ignore: Tuple[str, ...] = ()
    extra: Dict[str, Any] = field(default_factory=dict)
    scope: str = "workspace"


DEFAULT_REUSE = ReuseSpec()


@dataclass(frozen=True)
class NodeSpec:
    """One step.

    Attributes:
        id: the Airflow task id; unique in the pipeline, derived from the name.
        name: v1's step name; several steps may share one.
        kind: the step's type (``python_script``).
        source_directory: the snapshot folder, relative to the defining file's folder.
        declared_source: False when the author gave no source folder (a size warning applies).
        parameters: of v1's ``params=``: exported as ``AML_PARAMETER_<name>``; a value is a text or
            a reference to a pipeline parameter.
        after: ids of nodes that must finish first although no data comes from them.
    """

    id: str
    name: str
    script_name: str
    kind: str = "python_script"
    source_directory: str = "."
    declared_source: bool = True
    arguments: Tuple[Argument, ...] = ()
    inputs: Tuple[InputSpec, ...] = ()
    outputs: Tuple[OutputSpec, ...] = ()
    parameters: Dict[str, Union[Text, ParameterRef]] = field(default_factory=dict)
    compute: Optional[str] = None
    settings: RunSettings = DEFAULT_SETTINGS
    allow_reuse: bool = True
    reuse: ReuseSpec = DEFAULT_REUSE
    version: Optional[str] = None
    hash_paths: Tuple[str, ...] = ()
    after: Tuple[str, ...] = ()

    @property
    def upstream(self) -> Tuple[str, ...]:
        """Ids of all nodes this one waits for: producers of its data first, then ``after``."""
        producers = [i.source.node for i in self.inputs if isinstance(i.source, StepOutput)]
        return tuple(dict.fromkeys([*producers, *self.after]))

    def within(self, environment: EnvironmentSpec) -> NodeSpec:
        """The same step in that environment."""
        return replace(self, settings=replace(self.settings, environment=environment))


@dataclass(frozen=True)
class PipelineSpec:
    """A whole pipeline. ``nodes`` are in a deterministic topological order.

    Attributes:
        script: it is there to run one script: a run of it is that script's.
    """

    nodes: Tuple[NodeSpec, ...]
    parameters: Tuple[ParameterSpec, ...] = ()
    description: str = ""
    workspace: str = ""
    default_datastore: Optional[str] = None
    continue_on_step_failure: bool = False
    version: int = SPEC_VERSION
    script: bool = False

    @property
    def sources(self) -> Dict[str, List[NodeSpec]]:
        """Each source directory with its nodes, in the spec's order."""
        found: Dict[str, List[NodeSpec]] = {}
        for node in self.nodes:
            found.setdefault(node.source_directory, []).append(node)
        return found

    def node(self, node_id: str) -> NodeSpec:
        """The node with that id.

        Raises:
            KeyError: no such node.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    def within(self, named: Mapping[str, EnvironmentSpec]) -> PipelineSpec:
        """The same pipeline with some steps, by id, in other environments."""
        if not named:
            return self
        nodes = (n.within(named[n.id]) if n.id in named else n for n in self.nodes)
        return replace(self, nodes=tuple(nodes))

    def to_dict(self) -> Dict[str, Any]:
        """A JSON-ready dict; fields that hold their default are left out, except ``version``."""
        return {"version": self.version, **encode(self)}

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> PipelineSpec:
        """The spec that such a dict describes, of this or any earlier version.

        Raises:
            UserErrorException: it is of a later version, or not a pipeline at all.
        """
        version = document.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise UserErrorException("this document is not a pipeline: it has no spec version.")
        if version > SPEC_VERSION:
            raise UserErrorException(
                f"this pipeline was written by a later release (spec version {version}, "
                f"this release reads up to {SPEC_VERSION}).",
                hint="Upgrade airflow-provider-aml here.",
            )
        return decode(PipelineSpec, document)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; equal specs give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> PipelineSpec:
        """The spec of a text made by :meth:`to_json`.

        Raises:
            UserErrorException: the text is not JSON or not a pipeline.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise UserErrorException(f"this document is not a pipeline: {error}") from error
        if not isinstance(document, dict):
            raise UserErrorException("this document is not a pipeline: it is not a JSON object.")
        return PipelineSpec.from_dict(document)

"""Writing a pipeline as YAML, with the source folders and run configurations that it names.

What v1's format has no word for gets one of our own, which ``Pipeline.load_yaml`` knows. A file
that would not mean the same when it is read again is not left behind.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Set, Tuple

from airflow_aml.codec import encode
from airflow_aml.definition.data.model import Files, LocalPath, Registered, Table
from airflow_aml.definition.loading import YAML, load_file
from airflow_aml.definition.names import slug
from airflow_aml.definition.pipelineyamldata import FOLDER
from airflow_aml.definition.runconfig import CondaDependencies, RunConfiguration
from airflow_aml.definition.spec import (
    DATA_PATH,
    DEFAULT_REUSE,
    DEFAULT_SETTINGS,
    EnvironmentSpec,
    InputRef,
    InputSpec,
    NodeSpec,
    OutputRef,
    OutputSpec,
    ParameterRef,
    PipelineSpec,
    RunSettings,
    StepOutput,
)
from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

_TYPES: Mapping[str, str] = {
    "string": "string",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
}
_TOKENS = ("input:", "output:", "parameter:", "side_input:")

Document = Dict[str, Any]


def save_pipeline(
    spec: PipelineSpec,
    sources: Mapping[str, str],
    folder: str,
    home: Home,
    path: Optional[str],
    name: str,
) -> None:
    """Writes a pipeline to a file, and a folder ``<file>_files`` beside it with what it needs.

    Args:
        sources: source directory, as the spec has it -> digest of its snapshot.
        folder: where the spec's local paths start.
        path: the file, or a folder for ``<name>.yml``; the working directory by default.

    Raises:
        UserErrorException: file or folder are there already, or cannot be written.
        NotServedError: the pipeline has something that the format has no word for.
    """
    from airflow_aml.definition.runs.snapshot import unpack_snapshot

    file = _file(path, name)
    if not file.endswith(YAML):
        raise UserErrorException(
            f"{path!r} is neither a folder nor the name of a YAML file.",
            hint=f"Let it end with {' or '.join(YAML)}.",
        )
    beside = f"{os.path.splitext(file)[0]}_files"
    for each in (file, beside):
        if os.path.lexists(each):
            raise UserErrorException(
                f"{each!r} is there already.", hint="Name another path, or remove it."
            )
    spec = _absolute(spec, folder)
    writing = _Writing(os.path.basename(beside))
    document = writing.pipeline(spec)
    try:
        os.makedirs(beside)
        for source, digest in sources.items():
            place = os.path.join(beside, writing.source(source))
            unpack_snapshot(home, digest, place)
        for number, settings in enumerate(writing.settings):
            run_configuration(settings).save(os.path.join(beside, f"{number + 1}.runconfig"))
        _write(file, document)
        _compare(spec, file)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if os.path.lexists(file):
            os.remove(file)
        raise


def _file(path: Optional[str], name: str) -> str:
    place = os.path.abspath(os.path.expanduser(path or "."))
    if not os.path.isdir(place):
        return place
    return os.path.join(place, f"{slug(name, fallback='pipeline')}.yml")


def _write(file: str, document: Document) -> None:
    from airflow_aml.definition.condafiles import dump_yaml

    with open(file, "w", encoding="utf-8") as stream:
        stream.write(dump_yaml(document))


@dataclass
class _Writing:
    """From a spec to the document of a file.

    Attributes:
        beside: the name of the folder beside the file.
        settings: those that the steps have, each once.
    """

    beside: str
    settings: List[RunSettings] = field(default_factory=list)
    references: Document = field(default_factory=dict)
    _sources: Dict[str, str] = field(default_factory=dict)
    _destinations: Dict[Tuple[str, str], str] = field(default_factory=dict)
    _folders: Set[str] = field(default_factory=set)
    _parameters: Set[str] = field(default_factory=set)

    def source(self, directory: str) -> str:
        """The name of a source directory's copy."""
        if directory not in self._sources:
            base = os.path.basename(os.path.abspath(directory)) if directory != "." else "source"
            taken = set(self._sources.values())
            self._sources[directory] = _free(slug(base, fallback="source"), taken)
        return self._sources[directory]

    def pipeline(self, spec: PipelineSpec) -> Document:
        """The whole document."""
        self._parameters.update(each.name for each in spec.parameters)
        taken = set(self._parameters)
        for node in spec.nodes:
            for output in node.outputs:
                name = _free(re.sub(r"\W", "_", output.name), taken)
                taken.add(name)
                self._destinations[node.id, output.name] = name
                if output.style == "dataset":
                    self._folders.add(name)
        steps = {node.id: self._step(node) for node in spec.nodes}
        content = {
            "description": spec.description,
            "parameters": {each.name: _parameter(each) for each in spec.parameters},
            "data_references": self.references,
            "steps": steps,
        }
        return {"pipeline": {key: value for key, value in content.items() if value}}

    def _step(self, node: NodeSpec) -> Document:
        if node.kind != "python_script":
            raise NotServedError(
                f"a step of the kind {node.kind} cannot be written as YAML.",
                where=f"step {node.name!r}",
            )
        content = {
            "type": "PythonScriptStep",
            "name": node.name,
            "script_name": node.script_name,
            "source_directory": f"{self.beside}/{self.source(node.source_directory)}",
            "compute": node.compute,
            "runconfig": self._runconfig(node.settings),
            "arguments": [_argument(each) for each in node.arguments],
            "parameters": {key: _value(each) for key, each in node.parameters.items()},
            "inputs": {each.name: self._input(each, node) for each in node.inputs},
            "outputs": {each.name: self._output(each, node) for each in node.outputs},
            "run_after": list(node.after),
            "version": node.version,
            "reuse": None if node.reuse == DEFAULT_REUSE else encode(node.reuse),
        }
        kept = {key: value for key, value in content.items() if value}
        return kept if node.allow_reuse else {**kept, "allow_reuse": False}

    def _runconfig(self, settings: RunSettings) -> Optional[str]:
        if settings == DEFAULT_SETTINGS:
            return None
        if settings not in self.settings:
            self.settings.append(settings)
        return f"{self.beside}/{self.settings.index(settings) + 1}.runconfig"

    def _input(self, port: InputSpec, node: NodeSpec) -> Document:
        said: Document = {"bind_mode": port.mode}
        if port.path_on_compute:
            said["path_on_compute"] = port.path_on_compute
        if port.parameter:
            return {**said, "source": port.parameter}
        source = port.source
        if isinstance(source, StepOutput):
            said["source"] = self._destinations[source.node, source.output]
            if source.reading is not None:
                done = [encode(each) for each in source.operations]
                said["reading"] = encode(source.reading)
                if done:
                    said["operations"] = done
            elif port.style == "dataset" and said["source"] not in self._folders:
                said["as_dataset"] = True
            return said
        reference = _reference(source, port.style)
        for name, known in self.references.items():
            if known == reference:
                return {**said, "source": name}
        taken = {*self.references, *self._destinations.values(), *self._parameters}
        name = _free(port.name, taken)
        self.references[name] = reference
        return {**said, "source": name}

    def _output(self, output: OutputSpec, node: NodeSpec) -> Document:
        if output.link:
            raise NotServedError(
                f"output {output.name!r} is a link to a dataset, which YAML has no word for.",
                where=f"step {node.name!r}",
            )
        said: Document = {
            "destination": self._destinations[node.id, output.name],
            "bind_mode": output.mode,
            "datastore": output.datastore,
            "path_on_compute": output.path_on_compute,
            "path_on_datastore": output.path,
            "source_globs": list(output.source_globs),
            "is_directory": output.is_directory,
            "pipeline_output_name": output.pipeline_output_name,
            "register_as": [encode(each) for each in output.registrations],
        }
        kept = {key: value for key, value in said.items() if value not in (None, [])}
        if output.style == "dataset":
            kept["type"] = FOLDER
        return kept if output.overwrite else {**kept, "overwrite": False}


def _free(name: str, taken: Set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _parameter(parameter: Any) -> Document:
    if parameter.type == DATA_PATH:
        store, _, path = parameter.default.partition("/")
        return {"type": DATA_PATH, "default": {"datastore": store, "path_on_datastore": path}}
    if parameter.type not in _TYPES:
        raise NotServedError(
            f"a parameter of the type {parameter.type} cannot be written as YAML.",
            where=f"parameter {parameter.name!r}",
        )
    return {"type": _TYPES[parameter.type], "default": parameter.default}


def _value(value: Any) -> Any:
    return {"source": value.name} if isinstance(value, ParameterRef) else value.value


def _argument(argument: Any) -> Any:
    kinds = ((InputRef, "input"), (OutputRef, "output"), (ParameterRef, "parameter"))
    for kind, word in kinds:
        if isinstance(argument, kind):
            return f"{word}:{argument.name}"
    text: str = argument.value
    return {"text": text} if text.startswith(_TOKENS) else text


def _reference(source: Any, style: str) -> Document:
    if style == "reference":
        (place,) = source.paths
        return {"datastore": place.datastore, "path_on_datastore": place.path}
    if isinstance(source, Registered) and not source.operations:
        version = {} if source.version is None else {"dataset_version": source.version}
        return {"dataset_name": source.name, **version}
    return {"definition": {"kind": source.kind, **encode(source)}}


def run_configuration(settings: RunSettings) -> RunConfiguration:
    """A run configuration whose settings these are."""
    made, wanted = RunConfiguration(), _environment(settings.environment)
    made.target = None
    made.framework, made.communicator = settings.framework, settings.communicator
    made.node_count = settings.node_count
    made.max_run_duration_seconds = settings.max_run_seconds
    made.environment_variables = dict(settings.environment_variables)
    made.docker.shm_size = settings.shm_size or made.docker.shm_size
    made.docker.arguments = list(settings.docker_arguments)
    if wanted.name:
        made.environment.name = wanted.name
    made.environment.version = wanted.version
    made.environment.docker.base_image = wanted.image
    made.environment.docker.base_dockerfile = wanted.dockerfile
    made.environment.python.user_managed_dependencies = wanted.user_managed
    made.environment.python.interpreter_path = wanted.interpreter
    packages = (*wanted.pip_options, *wanted.pip_packages, *wanted.conda_packages)
    if packages or wanted.python_version:
        made.environment.python.conda_dependencies = CondaDependencies.create(
            pip_packages=(*wanted.pip_options, *wanted.pip_packages),
            conda_packages=wanted.conda_packages,
            python_version=wanted.python_version,
        )
    return made


def _absolute(spec: PipelineSpec, folder: str) -> PipelineSpec:
    """The same, whose local data is where it was for the file that defined the pipeline."""

    def place(each: Any) -> Any:
        if not isinstance(each, LocalPath):
            return each
        return LocalPath(os.path.join(folder, each.path))

    def port(each: InputSpec) -> InputSpec:
        if not isinstance(each.source, (Files, Table)):
            return each
        paths = tuple(map(place, each.source.paths))
        return replace(each, source=replace(each.source, paths=paths))

    nodes = [replace(node, inputs=tuple(map(port, node.inputs))) for node in spec.nodes]
    return replace(spec, nodes=tuple(nodes))


def _compare(spec: PipelineSpec, file: str) -> None:
    """Reads the file again.

    Raises:
        NotServedError: it means something else.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ((_, declared),) = load_file(file).declared()
    written, read = _meaning(spec), _meaning(declared.pipeline.spec)
    for ours, theirs in zip(written.nodes, read.nodes):
        for each in fields(NodeSpec):
            if getattr(ours, each.name) != getattr(theirs, each.name):
                raise NotServedError(
                    f"{each.name} of this step cannot be written as YAML: it would be read as "
                    f"{getattr(theirs, each.name)!r}, and is {getattr(ours, each.name)!r}.",
                    where=f"step {ours.name!r}",
                )
    if written != read:
        raise NotServedError("this pipeline cannot be written as YAML.")


def _meaning(spec: PipelineSpec) -> PipelineSpec:
    """What a file says of a pipeline: nodes by their place, and not where sources and data lie."""
    places = {node.id: str(number) for number, node in enumerate(spec.nodes)}

    def port(each: InputSpec) -> InputSpec:
        if not isinstance(each.source, StepOutput):
            return each
        return replace(each, source=replace(each.source, node=places[each.source.node]))

    nodes = [
        replace(
            node,
            id=places[node.id],
            source_directory="",
            declared_source=True,
            inputs=tuple(map(port, node.inputs)),
            hash_paths=(),
            after=tuple(sorted(places[before] for before in node.after)),
            settings=replace(node.settings, environment=_environment(node.settings.environment)),
        )
        for node in spec.nodes
    ]
    parameters = tuple(sorted(spec.parameters, key=lambda each: each.name))
    return PipelineSpec(tuple(nodes), parameters, spec.description)


def _environment(spec: EnvironmentSpec) -> EnvironmentSpec:
    """The environment without a name that stands for nothing."""
    alone = EnvironmentSpec(name=spec.name, version=spec.version)
    return EnvironmentSpec() if spec == alone else spec

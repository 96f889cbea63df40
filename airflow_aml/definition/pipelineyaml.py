"""Pipelines written as YAML (reference 2.13).

``pipeline.schema.json`` beside this module says what such a file may hold; editors can use it too.
Relative paths in the file start at its own folder.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Set

from airflow_aml.definition.datareference import DataPath
from airflow_aml.definition.datastore import Datastore
from airflow_aml.definition.origin import defining_folder
from airflow_aml.definition.parameters import PipelineParameter
from airflow_aml.definition.pipelineyamldata import chosen, read_output, referenced, written_output
from airflow_aml.definition.reusepolicy import ReusePolicy
from airflow_aml.definition.runconfig import RunConfiguration
from airflow_aml.definition.step import PythonScriptStep
from airflow_aml.errors import NotServedError, PipelineDefinitionError, UserErrorException

SCHEMA = os.path.join(os.path.dirname(__file__), "pipeline.schema.json")

_SERVED = "PythonScriptStep"
_TOO_MANY = 100_000
_TYPES = {"string": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True)
class PipelineFile:
    """What a YAML file says, checked; the objects that it stands for are made on request.

    Attributes:
        path: absolute.
        content: what stands below ``pipeline:``.
    """

    path: str
    workspace: Any
    content: Mapping[str, Any]

    @property
    def description(self) -> Optional[str]:
        """Of the pipeline; ``name`` is the older word for it."""
        text: Optional[str] = self.content.get("description", self.content.get("name"))
        return text

    def steps(self) -> List[PythonScriptStep]:
        """The pipeline's steps.

        Raises:
            PipelineDefinitionError: something is named that the file does not have.
            NotServedError: a kind of step or data that this release does not have.
        """
        parameters = {
            name: self._parameter(name, said)
            for name, said in (self.content.get("parameters") or {}).items()
        }
        written: Dict[str, Any] = {}
        for step, said in self.content["steps"].items():
            for name, output in (said.get("outputs") or {}).items():
                self._add(written, name, output, f"steps.{step}.outputs.{name}")
        steps = {
            name: self._step(name, said, parameters, written)
            for name, said in self.content["steps"].items()
        }
        for name, said in self.content["steps"].items():
            for before in said.get("run_after") or ():
                place = f"steps.{name}.run_after"
                steps[name].run_after(self._known(before, steps, "step", place))
        return list(steps.values())

    def where(self, place: str) -> str:
        """How messages name a place in the file."""
        return f"{os.path.basename(self.path)}, pipeline.{place}"

    def _parameter(self, name: str, said: Mapping[str, Any]) -> PipelineParameter:
        kind, default = said["type"], said["default"]
        if kind == "datapath":
            place = default if isinstance(default, Mapping) else {}
            store = Datastore(self.workspace, place.get("datastore", "workspaceblobstore") or None)
            return PipelineParameter(name, DataPath(store, place.get("path_on_datastore")))
        if kind == "float" and type(default) is int:
            default = float(default)
        if type(default) is not _TYPES[kind]:
            raise PipelineDefinitionError(
                f"the default {default!r} is not of type {kind}.",
                where=self.where(f"parameters.{name}"),
            )
        return PipelineParameter(name, default)

    def _add(self, written: Dict[str, Any], name: str, said: Mapping[str, Any], place: str) -> None:
        """Notes an output under its destination, the name by which other steps read it."""
        destination = said["destination"]
        if destination in written:
            raise PipelineDefinitionError(
                f"destination {destination!r} is written by another output, too.",
                where=self.where(place),
            )
        written[destination] = written_output(self.workspace, name, said)

    def _step(
        self,
        name: str,
        said: Mapping[str, Any],
        parameters: Mapping[str, PipelineParameter],
        written: Mapping[str, Any],
    ) -> PythonScriptStep:
        place = f"steps.{name}"
        if said["type"] != _SERVED:
            raise NotServedError(
                f"a step of type {said['type']} is not served in YAML; {_SERVED} is.",
                where=self.where(place),
            )
        inputs = {
            key: self._input(key, each, written, parameters, f"{place}.inputs.{key}")
            for key, each in (said.get("inputs") or {}).items()
        }
        outputs = {
            key: written[each["destination"]] for key, each in (said.get("outputs") or {}).items()
        }
        values = self._values(said.get("parameters"), parameters, f"{place}.parameters")
        known = {"input": inputs, "output": outputs, "parameter": {**parameters, **values}}
        folder = said.get("source_directory")
        return PythonScriptStep(
            said["script_name"],
            name=said.get("name", name),
            arguments=[
                self._argument(each, known, f"{place}.arguments[{number}]")
                for number, each in enumerate(said.get("arguments") or ())
            ],
            compute_target=said.get("compute", self.content.get("default_compute")),
            runconfig=self._runconfig(said.get("runconfig")),
            runconfig_pipeline_params=self._values(
                said.get("runconfig_parameters"), parameters, f"{place}.runconfig_parameters"
            ),
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
            params=values,
            source_directory=self._path(folder) if folder else os.path.dirname(self.path),
            allow_reuse=said.get("allow_reuse", True),
            version=said.get("version"),
            hash_paths=[self._path(each) for each in said.get("hash_paths") or ()],
            reuse=ReusePolicy(**said["reuse"]) if said.get("reuse") else None,
        )

    def _input(
        self,
        name: str,
        said: Mapping[str, Any],
        written: Mapping[str, Any],
        parameters: Mapping[str, PipelineParameter],
        place: str,
    ) -> Any:
        source = said["source"]
        references = self.content.get("data_references") or {}
        if source in written:
            return read_output(name, written[source], said)
        if source in parameters:
            return chosen(name, parameters[source], said)
        if source not in references:
            there = ", ".join(sorted({*written, *references, *parameters}))
            raise PipelineDefinitionError(
                f"there is no data reference, parameter or output's destination {source!r}.",
                where=self.where(place),
                hint=f"There are {there or 'none'}.",
            )
        where = self.where(f"data_references.{source}")
        return referenced(self.workspace, name, references[source], said, where)

    def _values(
        self,
        said: Optional[Mapping[str, Any]],
        parameters: Mapping[str, PipelineParameter],
        place: str,
    ) -> Dict[str, Any]:
        values: Dict[str, Any] = {}
        for name, value in (said or {}).items():
            values[name] = (
                self._known(value["source"], parameters, "pipeline parameter", f"{place}.{name}")
                if isinstance(value, Mapping)
                else value
            )
        return values

    def _argument(self, text: Any, known: Mapping[str, Mapping[str, Any]], place: str) -> Any:
        """What an argument stands for: ``input:x``, ``output:x``, ``parameter:x``, or itself.

        ``{text: "input:x"}`` is that very text.
        """
        if isinstance(text, Mapping):
            return text["text"]
        kind, colon, name = text.partition(":") if isinstance(text, str) else ("", "", "")
        if kind == "side_input" and colon:
            raise NotServedError("side inputs belong to ParallelRunStep.", where=self.where(place))
        if not colon or kind not in known:
            return text
        return self._known(name, known[kind], kind, place)

    def _known(self, name: str, there: Mapping[str, Any], kind: str, place: str) -> Any:
        if name not in there:
            raise PipelineDefinitionError(
                f"there is no {kind} {name!r}.",
                where=self.where(place),
                hint=f"There are {', '.join(sorted(there)) or 'none'}.",
            )
        return there[name]

    def _runconfig(self, path: Optional[str]) -> Optional[RunConfiguration]:
        return RunConfiguration.load(self._path(path)) if path else None

    def _path(self, path: str) -> str:
        return os.path.join(os.path.dirname(self.path), path.replace("\\", "/"))


def read_pipeline_file(workspace: Any, filename: str) -> PipelineFile:
    """Reads a file and checks it against the schema; nothing in it is executed.

    Raises:
        UserErrorException: there is no such file, or it is not YAML.
        PipelineDefinitionError: it has not what a pipeline's file has; the text names the place.
    """
    import yaml

    path = os.path.join(defining_folder(), os.fspath(filename))
    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.load(stream, Loader=_loader())  # noqa: S506 - a safe one
    except OSError as error:
        raise UserErrorException(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserErrorException(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    _check(path, document)
    return PipelineFile(path, workspace, document["pipeline"])


def _loader() -> Any:
    """A safe loader that takes no key twice, where YAML's own silently keeps the last."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
        def get_single_node(self) -> Any:
            node = super().get_single_node()
            if node is not None:
                _weigh(node, {})
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Dict[Any, Any]:
            seen: Set[str] = set()
            for key, _ in node.value:
                if str(key.value) in seen:
                    problem = f"{key.value!r} stands there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(str(key.value))
            result: Dict[Any, Any] = super().construct_mapping(node, deep)
            return result

    return Loader


def _weigh(node: Any, known: Dict[int, int]) -> int:
    """How many values a node stands for when all its aliases are written out.

    Raises:
        PipelineDefinitionError: too many, or it has no end.
    """
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _TOO_MANY + 1  # as long as it is being counted: one within itself
        below = node.value
        if isinstance(node, yaml.MappingNode):
            below = [each for pair in node.value for each in pair]
        known[id(node)] = 1 + sum(_weigh(each, known) for each in below)
    if known[id(node)] > _TOO_MANY:
        mark = node.start_mark
        raise PipelineDefinitionError(
            f"with its aliases written out this has more than {_TOO_MANY} values.",
            where=f"{os.path.basename(mark.name)}, line {mark.line + 1}",
        )
    return known[id(node)]


def _check(path: str, document: Any) -> None:
    import jsonschema

    if document is None:
        raise PipelineDefinitionError("the file is empty.", where=os.path.basename(path))
    with open(SCHEMA, encoding="utf-8") as stream:
        validator = jsonschema.Draft202012Validator(json.load(stream))
    error = jsonschema.exceptions.best_match(validator.iter_errors(document))
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        where = f"{os.path.basename(path)}, {place}" if place else os.path.basename(path)
        raise PipelineDefinitionError(error.message, where=where)

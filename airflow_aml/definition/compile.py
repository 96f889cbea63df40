"""From a checked graph to a PipelineSpec: names become ids, objects become references."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Set, Tuple

from airflow_aml.definition.abstract import AbstractDataset
from airflow_aml.definition.datareference import DataReference
from airflow_aml.definition.graph import Graph
from airflow_aml.definition.names import task_id
from airflow_aml.definition.outputs import OutputDatasetConfig, PipelineData
from airflow_aml.definition.parameters import PipelineParameter
from airflow_aml.definition.ports import InputPort, OutputPort
from airflow_aml.definition.spec import (
    InputSpec,
    NodeSpec,
    OutputSpec,
    PipelineSpec,
    StepOutput,
)
from airflow_aml.definition.step import PipelineStep
from airflow_aml.definition.texts import check_node, check_text
from airflow_aml.errors import PipelineDefinitionError

HEAD_TASK = "reuse"
"""Id of the task that every run starts with; no step gets it."""


def compile_pipeline(
    graph: Graph,
    *,
    folder: str,
    workspace: str,
    description: str,
    default_datastore: Optional[str],
    default_source_directory: Optional[str],
) -> PipelineSpec:
    """The spec of a graph, its nodes in the author's order.

    Args:
        folder: absolute; relative source folders start here.

    Raises:
        PipelineDefinitionError: a missing script or source folder, or two pipeline
            outputs of one name.
    """
    check_text(description, "Pipeline, description")
    check_text(workspace, "Pipeline, workspace")
    ids = _task_ids(graph)
    sources = _Sources(folder, default_source_directory)
    nodes = []
    outputs_named: Dict[str, PipelineStep] = {}
    for number, step in enumerate(graph.steps):
        directory, declared = sources.of(step)
        node = NodeSpec(
            id=ids[number],
            name=step.name,
            kind=step.kind,
            script_name=step.script_name,
            source_directory=directory,
            declared_source=declared,
            arguments=tuple(step.ports.arguments),
            inputs=tuple(_input(port, ids, graph) for port in step.ports.inputs),
            outputs=tuple(_output(port, default_datastore) for port in step.ports.outputs),
            parameters=step.params,
            compute=step.compute,
            settings=step.settings,
            allow_reuse=step.allow_reuse,
            reuse=step.reuse,
            version=step.version,
            hash_paths=tuple(step.hash_paths),
            after=tuple(ids[before] for before in graph.after[number]),
        )
        check_node(node, step)
        _check_pipeline_outputs(step, node, outputs_named)
        nodes.append(node)
    return PipelineSpec(
        nodes=tuple(nodes),
        parameters=tuple(parameter.spec for parameter in graph.parameters),
        description=description,
        workspace=workspace,
        default_datastore=default_datastore,
    )


def _task_ids(graph: Graph) -> List[str]:
    taken = {HEAD_TASK}
    result = []
    for step in graph.steps:
        result.append(task_id(step.name, taken))
        taken.add(result[-1])
    return result


class _Sources:
    """Source folders and their scripts, each looked at once."""

    def __init__(self, folder: str, default: Optional[str]):
        self._folder = folder
        self._default = default
        self._known: Dict[Optional[str], Tuple[str, str]] = {}
        self._scripts: Set[Tuple[str, str]] = set()

    def of(self, step: PipelineStep) -> Tuple[str, bool]:
        """(the folder as the spec keeps it, whether the author named it)."""
        given = step.source_directory if step.source_directory is not None else self._default
        known = self._known.get(given)
        if known is None:
            known = self._known[given] = self._look_at(given, step)
        path, kept = known
        if (path, step.script_name) not in self._scripts:
            self._check_script(path, step)
            self._scripts.add((path, step.script_name))
        return kept, given is not None

    def _look_at(self, given: Optional[str], step: PipelineStep) -> Tuple[str, str]:
        path = os.path.normpath(os.path.join(self._folder, os.path.expanduser(str(given or "."))))
        if not os.path.isdir(path):
            kind = "is not a folder" if os.path.exists(path) else "does not exist"
            raise PipelineDefinitionError(
                f"source_directory {str(given)!r} {kind} (looked at {path}).",
                where=step.where,
                hint="Relative paths start at the folder of the file that defines the pipeline.",
            )
        relative = os.path.relpath(path, self._folder)
        outside = relative.startswith(os.pardir) and os.path.isabs(str(given))
        return path, (path if outside else relative).replace(os.sep, "/")

    def _check_script(self, path: str, step: PipelineStep) -> None:
        script = os.path.join(path, step.script_name)
        if not os.path.isfile(script):
            raise PipelineDefinitionError(
                f"Step [{step.name}]: script not found at: {script}. Make sure to specify an "
                "appropriate source_directory on the Step or default_source_directory on the "
                "Pipeline.",
                where=step.defined_at or None,
            )


def _input(port: InputPort, ids: List[str], graph: Graph) -> InputSpec:
    producer = port.producer
    if producer is not None:
        assert producer.step is not None  # the graph has checked it
        assert producer.port is not None
        node = ids[graph.number(producer.step)]
        reading = getattr(port.data, "reading", None)
        operations = getattr(port.data, "operations", ()) if reading is not None else ()
        link = bool(getattr(port.data, "link", False))
        source = StepOutput(node, producer.port, reading, operations, link)
        return InputSpec(port.name, source, port.mode, port.style, port.path_on_compute)
    if isinstance(port.data, PipelineParameter):
        default = port.data.spec
        assert default.source is not None  # the port has checked it
        return InputSpec(
            port.name, default.source, port.mode, port.style, port.path_on_compute, default.name
        )
    assert isinstance(port.data, (AbstractDataset, DataReference))
    return InputSpec(port.name, port.data.source, port.mode, port.style, port.path_on_compute)


def _output(port: OutputPort, default_datastore: Optional[str]) -> OutputSpec:
    data = port.data
    if isinstance(data, PipelineData):
        return OutputSpec(
            name=port.name,
            style="reference",
            mode=data.output_mode,
            datastore=data.datastore or default_datastore,
            path_on_compute=data.output_path_on_compute,
            overwrite=data.output_overwrite is not False,
            is_directory=data.is_directory,
            pipeline_output_name=data.pipeline_output_name,
            registrations=data.producer.registrations,
        )
    assert isinstance(data, OutputDatasetConfig)
    return OutputSpec(
        name=port.name,
        style="dataset",
        mode=data.mode,
        datastore=data.datastore or default_datastore,
        path=data.path,
        path_on_compute=data.source,
        overwrite=data.overwrite,
        source_globs=data.source_globs,
        registrations=data.registrations,
        link=data.link,
    )


def _check_pipeline_outputs(
    step: PipelineStep, node: NodeSpec, named: Dict[str, PipelineStep]
) -> None:
    for output in node.outputs:
        name = output.pipeline_output_name
        if name is None:
            continue
        if name in named:
            raise PipelineDefinitionError(
                f"Duplicate pipeline output with name {name}", where=step.where
            )
        named[name] = step

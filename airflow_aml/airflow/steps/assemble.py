"""From a step and its run to a StepJob: references become paths, parameters become text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from airflow_aml.definition.data.model import DataPlace, definition_of
from airflow_aml.definition.registered import link_variables, output_dataset
from airflow_aml.definition.spec import (
    InputSpec,
    LocalPath,
    NodeSpec,
    OutputSpec,
    ParameterRef,
    StepOutput,
    StoredPath,
    Text,
    WorkspacePath,
)
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.runtime.job import JobArgument, JobInput, JobOutput, StepJob
from airflow_aml.workspace import layout
from airflow_aml.workspace.datastores import default_datastore, open_datastore
from airflow_aml.workspace.home import Home, path_of_uri
from airflow_aml.workspace.plans import PlannedInput, RunPlan

Reference = Mapping[str, Any]
"""The XCom value of an output: ``{"uri", "digest", "files", "bytes"}``."""


@dataclass(frozen=True)
class StepRun:
    """One step in one run: everything that a job is made of.

    Attributes:
        task_id, map_index: Airflow's names of the task instance.
        fetch: the XCom reference of an upstream output, given its task id and name.
        folder: absolute; local paths of the definition start here.
        scratch: the folder for working copies.
    """

    node: NodeSpec
    home: Home
    plan: RunPlan
    pipeline_run_id: str
    task_id: str
    map_index: int
    try_number: int
    folder: str
    scratch: Path
    fetch: Callable[[str, str], Reference | None]

    @property
    def id(self) -> str:
        """The step-run id."""
        return layout.step_run_id(self.pipeline_run_id, self.task_id, self.map_index)

    def job(self) -> StepJob:
        """The job of a new attempt.

        Raises:
            UserErrorException: an upstream output is not there, or a parameter is unknown.
        """
        node, home, planned = self.node, self.home, self.plan.steps[self.node.id]
        attempt = f"{self.id}-{self.try_number}-{uuid4().hex[:8]}"
        return StepJob(
            attempt=attempt,
            run_id=self.id,
            root_run_id=self.pipeline_run_id,
            step=node.name,
            work=str(self.scratch / attempt),
            snapshot=str(home.path(layout.snapshot(planned.snapshot))),
            script=node.script_name,
            interpreter=node.settings.environment.interpreter or sys.executable,
            kept=str(home.path(layout.step(self.pipeline_run_id, self.id)) / "outputs"),
            arguments=tuple(self._argument(argument) for argument in node.arguments),
            inputs=tuple(self._input(port) for port in node.inputs),
            outputs=self._outputs(attempt),
            parameters=self._parameters(),
            environment_variables={
                **link_variables(node),
                **node.settings.environment_variables,
            },
            workspace_name=self.plan.workspace,
            workspace_url=home.url,
            workspace_id=home.uuid,
            experiment=self.plan.experiment,
            node_count=node.settings.node_count,
        )

    def _argument(self, argument: Any) -> JobArgument:
        if isinstance(argument, ParameterRef):
            return Text(self._parameter(argument))
        result: JobArgument = argument
        return result

    def _parameter(self, reference: ParameterRef) -> str:
        try:
            return str(self.plan.parameters[reference.name])
        except KeyError:
            raise UserErrorException(
                f"the run's plan has no parameter {reference.name!r}.",
                where=f"step {self.node.name!r}",
                hint="The definition changed since the run started: clear the whole run.",
            ) from None

    def _parameters(self) -> dict[str, str]:
        used = {a.name: a for a in self.node.arguments if isinstance(a, ParameterRef)}
        values = {name: self._parameter(reference) for name, reference in used.items()}
        for name, value in self.node.parameters.items():
            values[name] = value.value if isinstance(value, Text) else self._parameter(value)
        return values

    def _input(self, port: InputSpec) -> JobInput:
        where = f"step {self.node.name!r}, input {port.name!r}"
        if isinstance(port.source, StepOutput):
            return self._step_output(port, port.source, where)
        planned = self.plan.steps[self.node.id].inputs.get(port.name)
        if planned is None:
            raise UserErrorException(
                "the run's plan does not know this input.",
                where=where,
                hint="The definition changed since the run started: clear the whole run.",
            )
        if port.mode == "direct":
            return direct_input(port, planned.id)
        return self._files(port, planned, where)

    def _step_output(self, port: InputSpec, source: StepOutput, where: str) -> JobInput:
        reference = self.fetch(source.node, source.output)
        if reference is None:
            raise UserErrorException(
                f"task {source.node!r} has no output {source.output!r} in this run.",
                where=where,
                hint="Clear that task, so that it runs again.",
            )
        if port.mode == "direct":
            return direct_input(port, output_dataset(source, reference, self.home).id)
        return committed_input(port.name, reference, port.mode, port.style, port.path_on_compute)

    def _files(self, port: InputSpec, planned: PlannedInput, where: str) -> JobInput:
        """A file dataset as paths of this machine."""
        paths: list[str] = []
        roots: set[str | None] = set()
        for place in getattr(definition_of(planned.definition), "paths", ()):
            root, path = self._local(place, where)
            paths.append(path)
            roots.add(root)
        exact = len(paths) == 1 and not any(sign in paths[0] for sign in "*?[")
        root_path = roots.pop() if len(roots) == 1 else None
        return JobInput(
            port.name, tuple(paths), root_path, exact, port.mode, port.style, port.path_on_compute
        )

    def _local(self, place: DataPlace, where: str) -> tuple[str | None, str]:
        """(root that relative names start at, local path) of one of a dataset's places."""
        if isinstance(place, LocalPath):
            return None, str(Path(self.folder, place.path))
        if isinstance(place, WorkspacePath):
            return str(self.home.root), str(self.home.path(place.path))
        if isinstance(place, StoredPath):
            root = self._datastore_root(place.datastore, where)
            return str(root), str(root / place.path)
        raise NotServedError(
            f"{place.path} is not on this machine; staging it comes with the data release.",
            where=where,
        )

    def _datastore_root(self, name: str | None, where: str) -> Path:
        root = open_datastore(self.home, name or default_datastore(self.home)).local_root
        if root is None:
            raise NotServedError(
                f"datastore {name!r} is not on this machine; steps that read or write such stores "
                "come with the data release.",
                where=where,
            )
        return Path(root)

    def _outputs(self, attempt: str) -> tuple[JobOutput, ...]:
        places = [_place(output, self.id) for output in self.node.outputs]
        return tuple(
            self._output(output, attempt, immutable=place is not None and places.count(place) == 1)
            for output, place in zip(self.node.outputs, places, strict=True)
        )

    def _output(self, output: OutputSpec, attempt: str, *, immutable: bool) -> JobOutput:
        """Where an output is staged, committed and shown (architecture 4.5)."""
        own = self.home.path(layout.data(self.id, output.name))
        staging = self.home.path(layout.staging(attempt)) / output.name
        place = _place(output, self.id)
        target = None
        if place is not None:
            where = f"step {self.node.name!r}, output {output.name!r}"
            target = self._datastore_root(place[0], where) / place[1]
        keeps = immutable and "{run-id}" in (output.path or "")
        return JobOutput(
            name=output.name,
            staging=str(staging),
            destination=str(target if target is not None and keeps else own),
            view=None if target is None or keeps else str(target),
            style=output.style,
            overwrite=output.overwrite,
            source_globs=output.source_globs,
            is_directory=output.is_directory,
            path_on_compute=output.path_on_compute,
        )


def _place(output: OutputSpec, run_id: str) -> tuple[str | None, str] | None:
    """(datastore, path) that the author chose for an output; None for a place of our own."""
    if output.path is None:
        return None
    path = output.path.replace("{run-id}", run_id).replace("{output-name}", output.name)
    return output.datastore, path


def direct_input(port: InputSpec, identity: str) -> JobInput:
    """An input that the script gets as a dataset's id."""
    return JobInput(port.name, (), None, False, "direct", port.style, None, identity)


def committed_input(
    name: str,
    reference: Reference,
    mode: str = "mount",
    style: str = "dataset",
    path_on_compute: str | None = None,
) -> JobInput:
    """An input that is another step's committed output.

    Raises:
        UserErrorException: the value is not such a reference.
    """
    uri = reference.get("uri") if isinstance(reference, Mapping) else None
    if not isinstance(uri, str):
        raise UserErrorException(
            f"{reference!r} is not the reference of a step's output.", where=f"input {name!r}"
        )
    return JobInput(name, (path_of_uri(uri),), None, True, mode, style, path_on_compute)

"""From a step and its run to a StepJob: references become paths, parameters become text."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from airflow_aml.airflow.steps.storage import StepStores
from airflow_aml.definition.data.files import SourceFile, has_pattern
from airflow_aml.definition.data.model import definition_of
from airflow_aml.definition.registered import link_variables, output_dataset, place_of_uri
from airflow_aml.definition.spec import (
    InputSpec,
    NodeSpec,
    OutputSpec,
    ParameterRef,
    StepOutput,
    StoredPath,
    Text,
    WorkspacePath,
)
from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.destinations import RUN_ID, destination
from airflow_aml.reuse.environment import Environment
from airflow_aml.runtime import is_uri
from airflow_aml.runtime.hidden import READS_VARIABLE, reads_file
from airflow_aml.runtime.job import JobArgument, JobInput, JobOutput, RemoteFile, StepJob
from airflow_aml.workspace import layout
from airflow_aml.workspace.caches import cache_folder
from airflow_aml.workspace.committed import find_document
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
        stores: the workspace's and its datastores'.
        software: what it runs in, where that is not a Python of this machine.
        cache_bytes: what this machine's cache of remote files may hold; 0 for the default.
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
    stores: StepStores
    cache_bytes: int = 0
    software: Environment | None = None

    @property
    def id(self) -> str:
        """The step-run id."""
        return layout.step_run_id(self.pipeline_run_id, self.task_id, self.map_index)

    @property
    def attempts(self) -> str:
        """How the names of this try's attempts begin."""
        return f"{self.id}-{self.try_number}-"

    def job(self) -> StepJob:
        """The job of a new attempt.

        Raises:
            UserErrorException: an upstream output is not there, or a parameter is unknown.
        """
        node, home, planned = self.node, self.home, self.plan.steps[self.node.id]
        attempt = self.attempts + uuid4().hex[:8]
        return StepJob(
            attempt=attempt,
            run_id=self.id,
            root_run_id=self.id if self.plan.script else self.pipeline_run_id,
            step=node.name,
            work=str(self.scratch / attempt),
            snapshot=self.stores.place(layout.snapshot(planned.snapshot)),
            script=node.script_name,
            interpreter=node.settings.environment.interpreter or sys.executable,
            record=self.stores.place(layout.step(self.pipeline_run_id, self.id)),
            arguments=tuple(self._argument(argument) for argument in node.arguments),
            inputs=tuple(self._input(port) for port in node.inputs),
            outputs=self._outputs(attempt),
            parameters=self._parameters(),
            environment_variables={
                READS_VARIABLE: reads_file(str(self.scratch / attempt)),
                **link_variables(node),
                **node.settings.environment_variables,
            },
            workspace_name=self.plan.workspace,
            workspace_url=home.url,
            workspace_id=home.uuid,
            experiment=self.plan.experiment,
            node_count=node.settings.node_count,
            try_number=self.try_number,
            cache=os.path.join(cache_folder(), "files"),
            cache_bytes=self.cache_bytes,
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
        if source.link:
            linked = output_dataset(source, reference, self.home)
            return self._files(port, PlannedInput(linked.id, linked.definition), where)
        uri = uri_of_reference(port.name, reference)
        if not uri.startswith("file:"):
            place = place_of_uri(uri, self.home)
            if isinstance(place, StoredPath):
                self.stores.open(place.datastore)
            document = find_document(self.home, uri)
            if document is None:
                raise UserErrorException(
                    f"{uri} has no manifest, so it was never committed or was removed since.",
                    where=where,
                    hint=f"Clear task {source.node!r}, so that it runs again.",
                )
            return self._fetched(port, uri, document)
        return JobInput(
            port.name,
            (path_of_uri(uri),),
            None,
            True,
            port.mode,
            port.style,
            port.path_on_compute,
        )

    def _files(self, port: InputSpec, planned: PlannedInput, where: str) -> JobInput:
        """A file dataset as paths of this machine, or as files to fetch."""
        from airflow_aml.definition.staging import input_files

        uri = self._committed_uri(planned)
        document = find_document(self.home, uri) if uri else None
        if uri and document:
            return self._fetched(port, uri, document)
        try:
            found = input_files(planned.definition, self.home, self.folder, self.stores.open)
        except UserErrorException as error:
            raise UserErrorException(str(error), where=where) from error
        files = tuple(
            RemoteFile(each.local or _uri(each), each.relative, each.size, each.version)
            for each in found.remote
        )
        return JobInput(
            port.name,
            found.paths,
            found.root,
            found.exact,
            port.mode,
            port.style,
            port.path_on_compute,
            folder=found.folder,
            files=files,
        )

    def _committed_uri(self, planned: PlannedInput) -> str | None:
        """Where a dataset is that may be one committed output in a remote store, and nothing else.

        Such a one is staged by its manifest: whoever wrote it may have left it in the cache.
        """
        definition = definition_of(planned.definition)
        paths: Any = getattr(definition, "paths", None) or ()
        if len(paths) != 1 or getattr(definition, "operations", None):
            return None
        (place,) = paths
        if isinstance(place, WorkspacePath) and not self.home.is_local:
            return self.home.uri(place.path)
        if isinstance(place, StoredPath):
            store = self.stores.open(place.datastore)
            if store.local_root is None and not has_pattern(place.path) and place.path.strip("/"):
                return store.uri(place.path.strip("/"))
        return None

    def _fetched(self, port: InputSpec, uri: str, document: str) -> JobInput:
        """An output that was committed to a remote store."""
        return JobInput(
            port.name,
            (uri,),
            None,
            True,
            port.mode,
            port.style,
            port.path_on_compute,
            manifest=self.stores.place(document),
        )

    def _outputs(self, attempt: str) -> tuple[JobOutput, ...]:
        places = [self._place(output) for output in self.node.outputs]
        return tuple(
            self._output(output, place, attempt, alone=_is_alone(number, places))
            for number, (output, place) in enumerate(zip(self.node.outputs, places, strict=True))
        )

    def _output(
        self, output: OutputSpec, place: tuple[str, str] | None, attempt: str, *, alone: bool
    ) -> JobOutput:
        """Where an output is staged, committed and shown (architecture 4.5)."""
        destination, view = self.stores.place(layout.data(self.id, output.name)), None
        if place is not None:
            store = self.stores.open(place[0])
            root = store.local_root
            target = store.uri(place[1].strip("/")) if root is None else str(Path(root, place[1]))
            if alone and self.id in place[1]:
                destination = target
            else:
                view = target
        return JobOutput(
            name=output.name,
            staging=str(self._staging(attempt, destination) / output.name),
            destination=destination,
            view=view,
            style=output.style,
            overwrite=output.overwrite,
            source_globs=output.source_globs,
            is_directory=output.is_directory,
            path_on_compute=output.path_on_compute,
            manifest=self.stores.place(layout.manifest(self.id, output.name)),
        )

    def _staging(self, attempt: str, destination: str) -> Path:
        """Where an output is written: near its destination if that is here, else in scratch."""
        if self.home.is_local and not is_uri(destination):
            return self.home.path(layout.staging(attempt))
        return self.scratch / attempt / "staging"

    def _place(self, output: OutputSpec) -> tuple[str, str] | None:
        """(datastore, path) of an output's destination; None for a place of the workspace's own."""
        wanted = {"style": output.style, "datastore": output.datastore, "path": output.path}
        found = destination(output.name, wanted, lambda: self.stores.default)
        return found and (found.datastore, found.path.replace(RUN_ID, self.id))


def _is_alone(number: int, places: Sequence[tuple[str, str] | None]) -> bool:
    """Whether no other output is to be at the place of one, or above or below it."""
    place = places[number]
    if place is None:
        return True
    own = f"{place[1]}/"
    others = [each for each in (*places[:number], *places[number + 1 :]) if each is not None]
    return not any(
        store == place[0] and (own.startswith(f"{path}/") or f"{path}/".startswith(own))
        for store, path in others
    )


def _uri(file: SourceFile) -> str:
    return file.path if file.store is None else file.store.uri(file.path)


def direct_input(port: InputSpec, identity: str) -> JobInput:
    """An input that the script gets as a dataset's id."""
    return JobInput(port.name, (), None, False, "direct", port.style, None, identity)


def uri_of_reference(name: str, reference: Reference) -> str:
    """Where the output is that an XCom value refers to.

    Raises:
        UserErrorException: the value is not such a reference.
    """
    uri = reference.get("uri") if isinstance(reference, Mapping) else None
    if not isinstance(uri, str):
        raise UserErrorException(
            f"{reference!r} is not the reference of a step's output.", where=f"input {name!r}"
        )
    return uri

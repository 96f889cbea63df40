"""PublishedPipeline: a pipeline that runs as it was published (reference 1.3, 2.12).

What is published is the pipeline's meaning and its source folders, as they are at that moment;
runs go by these, whatever becomes of the files. While a file is only being loaded ``publish``
declares: the file's DAG is that pipeline.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from airflow_aml.definition.engine import api_url, engine, note_run, option_values
from airflow_aml.definition.names import check_mapping, slug, warn_ignored
from airflow_aml.definition.setup import refuse_while_loading
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import ErrorResponseException, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.specgraph import PipelineGraph
    from airflow_aml.definition.workspace import Workspace
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.published import Published

BASE = (
    "/aml/pipelines/v1.0/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)
"""Where v1's REST API is, below the address of Airflow's API server."""

_NOWHERE = "http://no-airflow-is-known.invalid"
"""An address for programs that know no Airflow; RFC 2606 keeps anybody from having it."""


class PublishedPipeline:
    """A pipeline that was published: it never changes. ``Pipeline.publish`` makes one.

    Attributes:
        id: made anew by every publication.
        name, description, version: free texts, which others may have too.
    """

    def __init__(self, workspace: Workspace, record: Published):
        self.workspace = workspace
        self.id = record.id
        self.name = record.name
        self.description = record.description
        self.version = record.version
        self._record = record

    @staticmethod
    def get(
        workspace: Any,
        id: Optional[str] = None,  # noqa: A002 - v1's name
        name: Optional[str] = None,
        **_: Any,
    ) -> PublishedPipeline:
        """The published pipeline of that id; of a name, its newest that is enabled.

        Raises:
            ErrorResponseException: there is none.
        """
        from airflow_aml.workspace import published

        refuse_while_loading("PublishedPipeline.get")
        workspace = workspace_of(workspace)
        if id is not None:
            return PublishedPipeline(workspace, published.read(opened(workspace), id))
        if name is None:
            raise UserErrorException("PublishedPipeline.get takes id= or name=.")
        found = [each for each in PublishedPipeline.list(workspace) if each.name == name]
        if not found:
            raise ErrorResponseException(
                f"there is no active published pipeline named {name!r}.",
                hint="PublishedPipeline.list(workspace) lists those that there are.",
            )
        return found[0]

    @staticmethod
    def list(workspace: Any, active_only: bool = True, **_: Any) -> List[PublishedPipeline]:
        """All of a workspace, newest first; also the disabled ones without ``active_only``."""
        from airflow_aml.workspace import published
        from airflow_aml.workspace.drafts import PROPERTY

        refuse_while_loading("PublishedPipeline.list")
        workspace = workspace_of(workspace)
        home = opened(workspace)
        ids = [each for each, on in published.states(home).items() if on or not active_only]
        records = [published.read(home, each) for each in ids]
        records = [each for each in records if PROPERTY not in each.properties]
        records.sort(key=lambda each: (each.created, each.id), reverse=True)
        return [PublishedPipeline(workspace, each) for each in records]

    @staticmethod
    def get_all(workspace: Any, active_only: bool = True, **_: Any) -> List[PublishedPipeline]:
        """v1's earlier name of :meth:`list`."""
        return PublishedPipeline.list(workspace, active_only)

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``, as of now."""
        from airflow_aml.workspace import published

        return "Active" if published.is_enabled(self._home, self.id) else "Disabled"

    @property
    def endpoint(self) -> str:
        """The address that starts a run of it over REST.

        Where this program knows no Airflow nobody answers there, which a warning says.
        """
        return f"{service_address(self.workspace)}/PipelineRuns/PipelineSubmit/{self.id}"

    @property
    def dag_id(self) -> str:
        """Its DAG in Airflow."""
        return dag_id_of(self._record)

    @property
    def total_run_steps(self) -> int:
        """How many steps it has."""
        return len(self._spec.nodes)

    @property
    def continue_on_step_failure(self) -> bool:
        """Whether its steps go on after one has failed, unless a run says otherwise."""
        return self._spec.continue_on_step_failure

    @property
    def graph_id(self) -> str:
        """Changes with what the pipeline does: equal ones have one id."""
        from hashlib import sha256

        text = self._spec.to_json() + repr(sorted(self._record.sources.items()))
        return sha256(text.encode()).hexdigest()[:32]

    def enable(self) -> None:
        """Lets it run again, and be listed."""
        self._set_enabled(True)

    def disable(self) -> None:
        """Refuses runs, and hides it from lists. Runs that have begun go on."""
        self._set_enabled(False)

    def _set_enabled(self, enabled: bool) -> None:
        from airflow_aml.workspace import published

        published.set_enabled(self._home, self.id, enabled)

    def submit(
        self,
        workspace: Any,
        experiment_name: str,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        _workflow_provider: Any = None,
        _service_endpoint: Any = None,
        parent_run_id: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        **others: Any,
    ) -> PipelineRun:
        """Starts a run: in the Airflow that this program knows, else in a process of its own.

        Args:
            pipeline_parameters: values, which may be texts; names that the pipeline does not have
                are ignored with a warning, as v1 ignores them.

        Raises:
            UserErrorException: it is disabled, or values are of the wrong type.
        """
        warn_ignored("PublishedPipeline.submit", others)
        if parent_run_id is not None:
            warnings.warn("submit: parent_run_id= has no effect.", stacklevel=2)
        if self.status != "Active":
            raise disabled(self.id, self.name)
        return run_record(
            self._record,
            checked_experiment(workspace or self.workspace, experiment_name),
            check_mapping("pipeline_parameters=", pipeline_parameters),
            {"continue_on_step_failure": continue_on_step_failure},
        )

    def get_step_names(self) -> List[str]:
        """The names of its steps, in the order in which they can run."""
        return [node.name for node in self._spec.nodes]

    def save(self, path: Optional[str] = None, **_: Any) -> None:
        """Writes it as YAML, and beside it copies of its source folders, so that
        ``Pipeline.load_yaml`` builds it again (reference 2.13).

        Args:
            path: the file, or a folder for ``<name>.yml``; the working directory by default.

        Raises:
            UserErrorException: there is something of that name.
            NotServedError: it has something that the format has no word for.
        """
        from airflow_aml.definition.pipelinesaving import save_pipeline

        record = self._record
        save_pipeline(self._spec, record.sources, record.folder, self._home, path, self.name)

    def get_graph(self) -> PipelineGraph:
        """Its steps, the data that they read, and the edges between."""
        from airflow_aml.definition.specgraph import graph_of

        return graph_of(self._spec)

    @property
    def record(self) -> Published:
        """What is stored of it."""
        return self._record

    @property
    def _spec(self) -> PipelineSpec:
        return PipelineSpec.from_dict(self._record.spec)

    @property
    def _home(self) -> Home:
        return opened(self.workspace)

    def __repr__(self) -> str:
        return f"PublishedPipeline(name={self.name!r}, id={self.id!r}, version={self.version!r})"


def publish_pipeline(
    pipeline: Pipeline,
    name: Optional[str] = None,
    description: Optional[str] = None,
    version: Optional[str] = None,
    continue_on_step_failure: Optional[bool] = None,
) -> PublishedPipeline:
    """Stores a pipeline's source folders and its meaning.

    Raises:
        SnapshotException: a source folder cannot be read, or has no such script.
        UserErrorException: name, description or version is no text.
    """
    return publish_frozen(
        workspace_of(pipeline.workspace),
        pipeline.spec,
        stored_sources(pipeline),
        pipeline.folder,
        name=name,
        description=description,
        version=version,
        continue_on_step_failure=continue_on_step_failure,
    )


def stored_sources(pipeline: Pipeline) -> Dict[str, str]:
    """Stores a pipeline's source folders as they are now: source directory -> digest.

    Raises:
        SnapshotException: one cannot be read, or has no such script.
    """
    from airflow_aml.workspace import snapshots

    home = opened(workspace_of(pipeline.workspace))
    sources: Dict[str, str] = {}
    for path, nodes in pipeline.spec.sources.items():
        folder = os.path.join(pipeline.folder, path)
        scripts = [node.script_name for node in nodes]
        taken = snapshots.take(folder, home, nodes[0].declared_source, scripts)
        for warning in taken.warnings:
            warnings.warn(warning, stacklevel=4)
        sources[path] = taken.digest
    return sources


def publish_frozen(
    workspace: Any,
    spec: PipelineSpec,
    sources: Mapping[str, str],
    folder: str,
    *,
    name: Optional[str] = None,
    description: Optional[str] = None,
    version: Optional[str] = None,
    continue_on_step_failure: Optional[bool] = None,
    properties: Optional[Mapping[str, str]] = None,
) -> PublishedPipeline:
    """Publishes what is stored already."""
    from datetime import datetime, timezone
    from uuid import uuid4

    from airflow_aml.workspace import published

    check_texts("publish", name=name, description=description, version=version)
    record = published.Published(
        id=str(uuid4()),
        spec=_as_published(spec, description, continue_on_step_failure).to_dict(),
        sources=dict(sources),
        folder=folder,
        created=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        name=name or "",
        description=description or spec.description,
        version=None if version is None else str(version),
        properties=dict(properties or {}),
    )
    workspace = workspace_of(workspace)
    published.add(opened(workspace), record)
    return PublishedPipeline(workspace, record)


def _as_published(
    spec: PipelineSpec, description: Optional[str], continue_on_step_failure: Optional[bool]
) -> PipelineSpec:
    # The files of hash_paths stay behind; those that count are in the snapshots.
    nodes = tuple(replace(node, hash_paths=()) for node in spec.nodes)
    spec = replace(spec, nodes=nodes, description=description or spec.description)
    if continue_on_step_failure is None:
        return spec
    return replace(spec, continue_on_step_failure=continue_on_step_failure)


def run_record(
    record: Published,
    experiment_name: str,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
) -> PipelineRun:
    """Starts a run of what is published.

    Raises:
        UserErrorException: values are of the wrong type.
    """
    from airflow_aml.definition.values import from_texts, unknown

    spec = PipelineSpec.from_dict(record.spec)
    for name in unknown(spec.parameters, given):
        warnings.warn(
            f"submit: {name!r} is no parameter of this pipeline, and is ignored.", stacklevel=3
        )
    values, wrong = from_texts(spec.parameters, given)
    if wrong:
        raise UserErrorException(" ".join(wrong))
    # False says something here: it overrides what was published.
    chosen = option_values(dict(options))
    if options.get("continue_on_step_failure") is False:
        chosen["continue_on_step_failure"] = False
    return note_run(engine().submit_published(record, experiment_name, values, **chosen))


def dag_id_of(record: Published) -> str:
    """The id of its DAG."""
    return f"{slug(record.name, fallback='pipeline')}-{record.id[:8]}"


def disabled(identifier: str, name: str) -> UserErrorException:
    """What is said to who would run one that is disabled."""
    return UserErrorException(
        f"published pipeline {name!r} ({identifier}) is disabled, so that no run of it begins.",
        hint="PublishedPipeline.get(workspace, id).enable() lets it run again.",
    )


def service_address(workspace: Workspace) -> str:
    """Where v1's REST API is for a workspace.

    Programs print it after they have published, so that one that knows no Airflow goes on: it gets
    the address of a host that cannot exist, and is warned.
    """
    url = api_url().rstrip("/")
    if not url:
        warnings.warn(
            "no Airflow is known, so that nobody answers at the address of a published pipeline. "
            "Set AIRFLOW_AML_API_URL (or [aml] api_url) to the address of Airflow.",
            stacklevel=3,
        )
        url = _NOWHERE
    url = url[: -len("/api/v2")] if url.endswith("/api/v2") else url
    return url + BASE.format(
        subscription=workspace.subscription_id or "-",
        group=workspace.resource_group or "-",
        workspace=workspace.name,
    )


def check_texts(call: str, **given: Any) -> None:
    """Refuses names and the like that are no texts; versions may be numbers.

    Args:
        call: who takes them, for the error.

    Raises:
        UserErrorException: one is none; the text names it.
    """
    for name, value in given.items():
        kinds = (str, int, float) if name == "version" else (str,)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise UserErrorException(f"{call}: {name}= is a text, not {value!r}.")
        if "\0" in str(value):
            raise UserErrorException(f"{call}: {name}= has a NUL, which no database keeps.")
        check_text(str(value), f"{call}: {name}=")


def checked_experiment(workspace: Any, name: Any) -> str:
    """The name of an experiment, if it can be one.

    Raises:
        UserErrorException: it cannot.
    """
    from airflow_aml.definition.experiment import Experiment

    return Experiment(workspace, name).name


def workspace_of(workspace: Any) -> Workspace:
    """A workspace given as an object, as its name, or not at all."""
    from airflow_aml.definition.workspace import Workspace

    if isinstance(workspace, Workspace):
        return workspace
    return Workspace.of_run(str(workspace or ""))


def opened(workspace: Workspace) -> Home:
    """Where that workspace keeps everything."""
    from airflow_aml.definition.homes import home_of

    return home_of(workspace)

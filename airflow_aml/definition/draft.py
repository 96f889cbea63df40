"""PipelineDraft: a stored pipeline that is tried, changed, and published when it is ready."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

from airflow_aml.definition.names import check_mapping, slug
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.published import (
    PublishedPipeline,
    check_texts,
    checked_experiment,
    opened,
    publish_frozen,
    run_record,
    stored_sources,
    workspace_of,
)
from airflow_aml.definition.runs.pipelinerun import PipelineRun
from airflow_aml.definition.setup import refuse_while_loading
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.errors import PipelineDefinitionError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.specgraph import PipelineGraph
    from airflow_aml.definition.workspace import Workspace
    from airflow_aml.workspace.drafts import Draft
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.published import Published

AnySource = Union[Pipeline, PublishedPipeline, PipelineRun, "PipelineDraft"]


class PipelineDraft:
    """A pipeline that is stored and may still be changed (reference 1.3, 2.12).

    Its steps and sources stay those that it was made from; what its runs are given, its name and
    its texts are changed by :meth:`update`.

    Attributes:
        id: made when it was created.
    """

    def __init__(self, workspace: Workspace, draft: Draft):
        self.workspace = workspace
        self.id = draft.id
        self._draft = draft

    @staticmethod
    def create(
        workspace: Any,
        pipeline: AnySource,
        name: Optional[str] = None,
        description: Optional[str] = None,
        experiment_name: Optional[str] = None,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        continue_on_step_failure: Optional[bool] = None,
        tags: Optional[Mapping[str, str]] = None,
        properties: Optional[Mapping[str, str]] = None,
        **_: Any,
    ) -> PipelineDraft:
        """A new draft of a pipeline, a published one, a run's, or another draft.

        Args:
            name, experiment_name: needed for a ``Pipeline``; else what it is made from has them.
            pipeline_parameters: values of its runs, beside those of what it is made from.

        Raises:
            PipelineDefinitionError: a name is missing, or a value is of the wrong type.
            UserErrorException: ``pipeline`` is none of these, or cannot be read.
        """
        from datetime import datetime, timezone
        from uuid import uuid4

        from airflow_aml.workspace import drafts

        refuse_while_loading("PipelineDraft.create")
        workspace, identifier = workspace_of(workspace), str(uuid4())
        made_from, known = _made_from(pipeline)
        given = {
            "name": name,
            "description": description,
            "experiment_name": experiment_name,
            "continue_on_step_failure": continue_on_step_failure,
            "tags": tags,
            "properties": properties,
        }
        said = {**known, **{key: value for key, value in given.items() if value is not None}}
        said[_VALUES] = {
            **known.get(_VALUES, {}),
            **check_mapping(f"{_VALUES}=", pipeline_parameters),
        }
        for key in ("name", "experiment_name"):
            if not said.get(key):
                raise PipelineDefinitionError(f"PipelineDraft.create: {key}= is required.")
        created = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        empty = drafts.Draft(identifier, "", "", "", created=created)
        draft = _changed(empty, made_from[0], said)
        draft = replace(draft, content=_stored(workspace, draft, made_from))
        drafts.save(opened(workspace), draft)
        return PipelineDraft(workspace, draft)

    @staticmethod
    def clone_from_pipeline_run(
        workspace: Any, pipeline_run: PipelineRun, **options: Any
    ) -> PipelineDraft:
        """A draft of what a run was made from, with the run's values; as :meth:`create`."""
        return PipelineDraft.create(workspace, pipeline_run, **options)

    @staticmethod
    def clone_from_published_pipeline(
        workspace: Any, published_pipeline: PublishedPipeline, **options: Any
    ) -> PipelineDraft:
        """A draft of a published pipeline; as :meth:`create`."""
        return PipelineDraft.create(workspace, published_pipeline, **options)

    @staticmethod
    def clone_from_pipeline_draft(
        workspace: Any, pipeline_draft: PipelineDraft, **options: Any
    ) -> PipelineDraft:
        """Another draft of the same; as :meth:`create`."""
        return PipelineDraft.create(workspace, pipeline_draft, **options)

    @staticmethod
    def get(workspace: Any, id: str, **_: Any) -> PipelineDraft:  # noqa: A002 - v1's name
        """The draft of that id.

        Raises:
            UserErrorException: there is none.
        """
        from airflow_aml.workspace import drafts

        refuse_while_loading("PipelineDraft.get")
        workspace = workspace_of(workspace)
        return PipelineDraft(workspace, drafts.read(opened(workspace), id))

    @staticmethod
    def list(
        workspace: Any, tags: Optional[Mapping[str, str]] = None, **_: Any
    ) -> List[PipelineDraft]:
        """The drafts of a workspace, newest first; with ``tags`` those that have all of them."""
        from airflow_aml.workspace import drafts

        refuse_while_loading("PipelineDraft.list")
        workspace, wanted = workspace_of(workspace), dict(check_mapping("tags=", tags))
        found = [
            each
            for each in drafts.every(opened(workspace))
            if all(each.tags.get(key) == str(value) for key, value in wanted.items())
        ]
        found.sort(key=lambda each: (each.created, each.id), reverse=True)
        return [PipelineDraft(workspace, each) for each in found]

    @property
    def name(self) -> str:
        """Free text, which others may have too."""
        return self._draft.name

    @property
    def description(self) -> str:
        """Free text."""
        return self._draft.description

    @property
    def experiment_name(self) -> str:
        """The experiment of its runs."""
        return self._draft.experiment

    @property
    def pipeline_parameters(self) -> Dict[str, Any]:
        """The values of its runs; the pipeline's defaults hold for others."""
        return dict(self._draft.parameters)

    @property
    def continue_on_step_failure(self) -> Optional[bool]:
        """Whether its runs go on after a step has failed; None: as the pipeline says."""
        return self._draft.continue_on_step_failure

    @property
    def tags(self) -> Dict[str, str]:
        """Of the draft, and of its runs."""
        return dict(self._draft.tags)

    @property
    def properties(self) -> Dict[str, str]:
        """Free texts by name."""
        return dict(self._draft.properties)

    def update(
        self,
        name: Optional[str] = None,
        description: Optional[str] = None,
        experiment_name: Optional[str] = None,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        continue_on_step_failure: Optional[bool] = None,
        tags: Optional[Mapping[str, str]] = None,
        properties: Optional[Mapping[str, str]] = None,
    ) -> None:
        """Changes what is given, and stores the draft; the last of two that do so at once wins.

        Raises:
            PipelineDefinitionError: an unknown parameter, or a value of the wrong type.
            UserErrorException: it was deleted, or a text is none.
        """
        from airflow_aml.workspace import drafts

        given = {
            "name": name,
            "description": description,
            "experiment_name": experiment_name,
            _VALUES: pipeline_parameters,
            "continue_on_step_failure": continue_on_step_failure,
            "tags": tags,
            "properties": properties,
        }
        said = {key: value for key, value in given.items() if value is not None}
        current = drafts.read(self._home, self.id)
        self._draft = _changed(current, self._spec, said)
        drafts.save(self._home, self._draft)

    def submit_run(self) -> PipelineRun:
        """Starts a run of it as it is now, as :meth:`PublishedPipeline.submit` does.

        Raises:
            UserErrorException: it was deleted.
        """
        from airflow_aml.workspace import drafts

        draft = self._draft = drafts.read(self._home, self.id)
        options = {
            "continue_on_step_failure": draft.continue_on_step_failure,
            "tags": dict(draft.tags),
        }
        return run_record(self._record, draft.experiment, draft.parameters, options)

    def publish(self) -> PublishedPipeline:
        """Publishes it as it is now: its values are the defaults of the published pipeline."""
        from airflow_aml.workspace import drafts

        draft = self._draft = drafts.read(self._home, self.id)
        record = self._record
        return publish_frozen(
            self.workspace,
            _with_defaults(self._spec, draft.parameters, self._home),
            record.sources,
            record.folder,
            name=draft.name,
            description=draft.description or None,
            continue_on_step_failure=draft.continue_on_step_failure,
        )

    def delete(self) -> None:
        """Removes it; its runs, and what was published of it, stay.

        Raises:
            UserErrorException: it was deleted already.
        """
        from airflow_aml.workspace import drafts, published

        drafts.remove(self._home, self.id)
        published.set_enabled(self._home, self._draft.content, False)

    def get_graph(self) -> PipelineGraph:
        """Its steps and the data between them."""
        from airflow_aml.definition.specgraph import graph_of

        return graph_of(self._spec)

    def save(self, path: Optional[str] = None, **_: Any) -> None:
        """Writes it as YAML, with its values as defaults, as :meth:`PublishedPipeline.save` does.

        Args:
            path: the file, or a folder for ``<name>.yml``; the working directory by default.

        Raises:
            UserErrorException: there is something of that name.
            NotServedError: it has something that the format has no word for.
        """
        from airflow_aml.definition.pipelinesaving import save_pipeline

        record, home = self._record, self._home
        spec = _with_defaults(self._spec, self._draft.parameters, home)
        save_pipeline(spec, record.sources, record.folder, home, path, self.name)

    @property
    def _home(self) -> Home:
        return opened(self.workspace)

    @property
    def _record(self) -> Published:
        from airflow_aml.workspace import published

        return published.read(self._home, self._draft.content)

    @property
    def _spec(self) -> PipelineSpec:
        return PipelineSpec.from_dict(self._record.spec)

    def __repr__(self) -> str:
        return f"PipelineDraft(name={self.name!r}, id={self.id!r})"


_VALUES = "pipeline_parameters"

MadeFrom = Tuple[PipelineSpec, Mapping[str, str], str]
"""A spec, the snapshots of its source folders, and where its local paths start."""


def _made_from(source: Any) -> Tuple[MadeFrom, Dict[str, Any]]:
    """What a draft is made from, and what is known of it, by the names of ``create``."""
    said: Dict[str, Any]
    if isinstance(source, Pipeline):
        return (source.spec, stored_sources(source), source.folder), {}
    if isinstance(source, PublishedPipeline):
        said = {"name": source.name, "experiment_name": slug(source.name, fallback="pipeline")}
        return _parts(source.record), {**said, "description": source.description}
    if isinstance(source, PipelineRun):
        spec, sources, folder, values = source.made_from("made a draft")
        known = {"name": source.experiment_name, "experiment_name": source.experiment_name}
        return (spec, sources, folder), {**known, _VALUES: values}
    if isinstance(source, PipelineDraft):
        draft = source._draft  # noqa: SLF001 - of the same class
        said = {
            "name": draft.name,
            "description": draft.description,
            "experiment_name": draft.experiment,
            _VALUES: draft.parameters,
            "continue_on_step_failure": draft.continue_on_step_failure,
            "tags": draft.tags,
            "properties": draft.properties,
        }
        return _parts(source._record), said  # noqa: SLF001 - ditto
    raise UserErrorException(
        "PipelineDraft.create: pipeline= is a Pipeline, PublishedPipeline, PipelineRun or "
        f"PipelineDraft, not {source!r}."
    )


def _stored(workspace: Workspace, draft: Draft, made_from: MadeFrom) -> str:
    """Stores what a draft's runs go by, hidden from lists of published pipelines; its id."""
    from airflow_aml.workspace.drafts import PROPERTY

    spec, sources, folder = made_from
    content = publish_frozen(
        workspace,
        spec,
        sources,
        folder,
        name=draft.name,
        description=draft.description or None,
        properties={PROPERTY: draft.id},
    )
    return content.id


def _parts(record: Published) -> MadeFrom:
    return PipelineSpec.from_dict(record.spec), record.sources, record.folder


def _changed(draft: Draft, spec: PipelineSpec, said: Mapping[str, Any]) -> Draft:
    """The draft with what is said of it.

    Raises:
        PipelineDefinitionError: an unknown parameter, or a value of the wrong type.
        UserErrorException: something is of the wrong kind.
    """
    check_texts("PipelineDraft", name=said.get("name"), description=said.get("description"))
    changes: Dict[str, Any] = {
        key: said[key]
        for key in ("name", "description", "continue_on_step_failure")
        if said.get(key) is not None
    }
    if "experiment_name" in said:
        changes["experiment"] = checked_experiment(None, said["experiment_name"])
    for key in ("tags", "properties"):
        texts = check_mapping(f"{key}=", said.get(key))
        if said.get(key) is not None:
            changes[key] = {str(name): str(value) for name, value in texts.items()}
    if said.get(_VALUES) is not None:
        changes["parameters"] = _values(spec, check_mapping(f"{_VALUES}=", said[_VALUES]))
    return replace(draft, **changes)


def _values(spec: PipelineSpec, given: Mapping[str, Any]) -> Dict[str, Any]:
    from airflow_aml.definition.values import from_texts, unknown

    for name in unknown(spec.parameters, given):
        raise PipelineDefinitionError(f"Pipeline parameter with name {name} does not exist")
    values, wrong = from_texts(spec.parameters, given)
    if wrong:
        raise PipelineDefinitionError(" ".join(wrong))
    return values


def _with_defaults(spec: PipelineSpec, values: Mapping[str, Any], home: Home) -> PipelineSpec:
    """The pipeline with other defaults."""
    from airflow_aml.definition.dataparameters import bind, with_default

    defaults = {each.name: values.get(each.name, each.default) for each in spec.parameters}
    changed = tuple(with_default(each, defaults[each.name], home) for each in spec.parameters)
    return replace(bind(spec, defaults, home), parameters=changed)

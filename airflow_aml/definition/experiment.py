"""Experiment: the name that groups runs, and begins them (reference 1.1)."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Tuple

from airflow_aml.definition.names import check_mapping, warn_ignored
from airflow_aml.definition.workspace import Workspace
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.runtime.hidden import note_run

if TYPE_CHECKING:
    from airflow_aml.definition.runs.context import Run

_EXPERIMENT = re.compile(r"^[a-zA-Z0-9][\w-]{0,254}\Z")
_COMMON_OPTIONS = ("pipeline_parameters", "parent_run_id")
_PUBLISHED_OPTIONS: Tuple[str, ...] = (*_COMMON_OPTIONS, "continue_on_step_failure")
_PIPELINE_OPTIONS: Tuple[str, ...] = (*_PUBLISHED_OPTIONS, "regenerate_outputs")
_ENDPOINT_OPTIONS: Tuple[str, ...] = (*_COMMON_OPTIONS, "pipeline_version")
_SILENT_OPTIONS = ("pipeline_params", "credential_passthrough", "enable_email_notification")


class Experiment:
    """A name that groups runs; it is a tag of the run in Airflow, shared by any DAGs.

    Raises:
        UserErrorException: a name that v1 refuses.
    """

    def __init__(self, workspace: Any, name: str, **_: Any):
        if not isinstance(name, str) or not _EXPERIMENT.match(name):
            raise UserErrorException(
                "Experiment name must be between 1 and 255 characters long, start with a letter "
                f"or digit and hold only letters, digits, underscores and dashes; got {name!r}."
            )
        self.workspace = (
            Workspace(workspace_name=workspace) if isinstance(workspace, str) else workspace
        )
        self.name = name

    @classmethod
    def of_run(cls, workspace: Workspace, name: str) -> Experiment:
        """The experiment that a run belongs to; its name may be a DAG's id, which has dots."""
        experiment = cls(workspace, "run")
        experiment.name = name
        return experiment

    def submit(self, config: Any, tags: Optional[Mapping[str, str]] = None, **kwargs: Any) -> Any:
        """Runs a pipeline, what was published, or one script, under this experiment's name.

        While a file is being loaded by Airflow this *declares* the pipeline; elsewhere it runs it.
        Keywords are those of the ``submit`` of what is run; v1 ignores any other, and so does this,
        with a warning.

        Returns:
            A :class:`PipelineRun`; of a ScriptRunConfig a :class:`ScriptRun`.

        Raises:
            PipelineDefinitionError: an unknown parameter, or a value of the wrong type.
            UserErrorException: a published pipeline or an endpoint is disabled.
            NotServedError: ``config`` is none of these.
        """
        from airflow_aml.definition.endpoint import PipelineEndpoint
        from airflow_aml.definition.pipeline import Pipeline
        from airflow_aml.definition.published import PublishedPipeline
        from airflow_aml.definition.runs.declared import DeclaredPublishedPipeline
        from airflow_aml.definition.scriptrunconfig import ScriptRunConfig

        if isinstance(config, ScriptRunConfig):
            warn_ignored("Experiment.submit of a ScriptRunConfig", kwargs)
            from airflow_aml.definition.runs.scriptrun import ScriptRun

            alone = config.pipeline(self.workspace)
            return ScriptRun.begun(alone.submit(self.name, tags=tags), alone.spec.nodes[0].id)
        known = _PUBLISHED_OPTIONS
        if isinstance(config, Pipeline):
            known, submit = _PIPELINE_OPTIONS, partial(config.submit, self.name, tags=tags)
        elif isinstance(config, (PublishedPipeline, DeclaredPublishedPipeline)):
            submit = partial(config.submit, self.workspace, self.name)
        elif isinstance(config, PipelineEndpoint):
            known, submit = _ENDPOINT_OPTIONS, partial(config.submit, self.name)
        else:
            raise NotServedError(
                "Experiment.submit takes a Pipeline, a PublishedPipeline, a PipelineEndpoint or a "
                f"ScriptRunConfig, not a {type(config).__name__}."
            )
        warn_ignored("Experiment.submit", set(kwargs).difference(known, _SILENT_OPTIONS))
        options = {key: kwargs[key] for key in known if key in kwargs}
        options.setdefault("pipeline_parameters", kwargs.get("pipeline_params"))
        afterwards = check_mapping("tags=", tags)  # before anything runs
        run = submit(**options)
        if not isinstance(config, Pipeline):
            run.set_tags(afterwards)
        return run

    def start_logging(
        self,
        outputs: Any = None,
        snapshot_directory: Any = ".",
        display_name: Optional[str] = None,
        **others: Any,
    ) -> Any:
        """Begins a run without a pipeline: this program logs to it, and ends it.

        No snapshot is taken, whatever ``snapshot_directory`` says. While Airflow loads a file there
        is no run: what is logged is only printed.
        """
        warn_ignored("start_logging", others)
        from airflow_aml.definition.engine import declaring_engine

        if declaring_engine() is not None:
            from airflow_aml.definition.runs.offline import _OfflineRun

            return _OfflineRun()
        from airflow_aml.definition.runs.interactive import InteractiveRun

        return InteractiveRun(self, display_name)

    def get_runs(
        self,
        type: Optional[str] = None,  # noqa: A002 - v1's name
        tags: Any = None,
        properties: Optional[Mapping[str, str]] = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """The experiment's runs, newest first.

        Args:
            tags: a tag's name, or names and values that a run must have.
            include_children: the steps' runs, too, and those that their scripts have begun.
        """
        from airflow_aml.definition.homes import home_of
        from airflow_aml.definition.runs.finding import whole_run
        from airflow_aml.workspace.runs import heads

        note_run("*")
        for head in heads(home_of(self.workspace), to_come=True):
            if head.experiment == self.name:
                run = whole_run(self, head)
                if run.matches(type, tags, properties):
                    yield run
                if include_children:
                    yield from run.get_children(True, tags, properties, type)

    @property
    def id(self) -> str:
        """Made from the workspace's id and the name, so it is always the same."""
        from uuid import UUID, uuid5

        from airflow_aml.definition.homes import home_of

        return str(uuid5(UUID(home_of(self.workspace).uuid), f"experiment {self.name}"))

    @staticmethod
    def list(
        workspace: Any, experiment_name: Optional[str] = None, **others: Any
    ) -> List[Experiment]:
        """The experiments that the workspace has runs of; the one whose run is newest comes first.

        Args:
            experiment_name: only the one of that name.
        """
        warn_ignored("Experiment.list", others)
        from airflow_aml.definition.homes import home_of
        from airflow_aml.workspace.runs import heads

        note_run("*")
        names = dict.fromkeys(head.experiment for head in heads(home_of(workspace), to_come=True))
        wanted = [name for name in names if experiment_name in (None, name)]
        return [Experiment.of_run(workspace, name) for name in wanted]

    @staticmethod
    def delete(workspace: Any, experiment_id: str) -> None:
        """Is not served.

        Raises:
            NotServedError: always.
        """
        raise NotServedError(
            "Experiment.delete is not served.", hint="airflow-aml gc removes what is old."
        )

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_OF_EXPERIMENTS:
            raise NotServedError(f"Experiment.{name} is not served: an experiment is only a name.")
        raise AttributeError(f"'Experiment' object has no attribute {name!r}")

    def _repr_html_(self) -> str:
        from airflow_aml.definition.runs.notebook import experiment_html

        return experiment_html(self)

    def __repr__(self) -> str:
        return f"Experiment(name={self.name!r})"


_NOT_OF_EXPERIMENTS = (
    "archive",
    "archived_time",
    "reactivate",
    "refresh",
    "remove_tags",
    "set_tags",
    "tag",
    "tags",
)

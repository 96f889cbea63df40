"""The endpoint of a file that is only being loaded: it lets the file go on."""

from __future__ import annotations

import warnings
from typing import Any, Mapping, Optional

from airflow_aml.definition.endpoint import PipelineEndpoint
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.runs.declared import PLACEHOLDER, DeclaredPublishedPipeline
from airflow_aml.definition.runs.pipelinerun import PipelineRun
from airflow_aml.errors import PipelineDefinitionError, RunEnvironmentException

_READING = frozenset(
    {
        "default_version",
        "get_default_version",
        "get_pipeline",
        "list_pipelines",
        "list_versions",
        "pipeline_version_list",
        "swaggerurl",
    }
)


class DeclaredEndpoint(PipelineEndpoint):
    """What ``get`` and ``publish`` return while a file is only being loaded.

    The pipelines that it is given are DAGs by their publication. The endpoint in the workspace is
    changed by programs that run, which a warning says.

    Attributes:
        id: the name, or the id, that the file has given, so that schedules find the endpoint.
    """

    def __init__(self, workspace: Any, name: str, description: str = ""):
        self.workspace = workspace
        self.id = name
        self.description = description
        self._name = name
        self._published: Optional[DeclaredPublishedPipeline] = None

    def __getattribute__(self, name: str) -> Any:
        if name in _READING:
            raise self._refusal(name)
        return super().__getattribute__(name)

    @property
    def name(self) -> str:
        """As the file has it."""
        return self._name

    @property
    def status(self) -> str:
        """``Active``."""
        return "Active"

    @property
    def endpoint(self) -> str:
        """An address that cannot be called."""
        return f"{PLACEHOLDER}endpoints/{self.id}"

    def add(self, pipeline: Any) -> str:
        """Declares a version.

        Raises:
            PipelineDefinitionError: it is no pipeline.
        """
        if isinstance(pipeline, Pipeline):
            pipeline = pipeline.publish(name=self._name)
        if not isinstance(pipeline, DeclaredPublishedPipeline):
            raise PipelineDefinitionError(
                "pipeline should be either type Pipeline or PublishedPipeline, "
                f"not {type(pipeline).__name__}."
            )
        self._published = pipeline
        self._is_changed()
        return f"{PLACEHOLDER}version"

    def set_default(self, pipeline: Any) -> None:
        """Warns."""
        self._is_changed()

    def set_default_version(self, version: str) -> None:
        """Warns."""
        self._is_changed()

    def add_default(self, pipeline: Any) -> str:
        """Declares a version."""
        return self.add(pipeline)

    def set_name(self, name: str) -> None:
        """Warns."""
        self._name = name
        self._is_changed()

    def enable(self) -> None:
        """Warns."""
        self._is_changed()

    def disable(self) -> None:
        """Warns."""
        self._is_changed()

    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        *_: Any,
        **__: Any,
    ) -> PipelineRun:
        """Declares a run of the version that the file has added.

        Raises:
            RunEnvironmentException: it has added none: nothing is looked up.
        """
        if self._published is None:
            raise self._refusal("submit")
        return self._published.submit(self.workspace, experiment_name)

    def _is_changed(self) -> None:
        warnings.warn(
            f"the endpoint {self._name!r} stays as it is: this file is only being loaded. "
            "`airflow-aml exec` runs it, and changes the endpoint.",
            stacklevel=3,
        )

    def _refusal(self, name: str) -> RunEnvironmentException:
        return RunEnvironmentException(
            f"this file asks {name!r} of the endpoint {self._name!r}, which is not looked up while "
            "a file is loaded.",
            hint="Do it in a program of its own.",
        )

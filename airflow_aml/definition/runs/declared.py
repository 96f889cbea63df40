"""The run, and the published pipeline, of a file that only declares them."""

from __future__ import annotations

import warnings
from typing import Any, Callable, Optional
from uuid import NAMESPACE_URL, uuid5

from airflow_aml.definition.experiment import Experiment
from airflow_aml.definition.runs.pipelinerun import READING, PipelineRun
from airflow_aml.definition.workspace import Workspace
from airflow_aml.errors import RunEnvironmentException
from airflow_aml.workspace.journal import Note

PLACEHOLDER = "declared://"
"""How the addresses begin that a file gets of what it has only declared: no client calls them."""


class DeclaredRun(PipelineRun):
    """What ``submit`` returns while a file is only being loaded: there is no run yet."""

    def __init__(
        self, experiment_name: str, publishes: Callable[[DeclaredPublishedPipeline], None]
    ):
        super().__init__(Experiment.of_run(Workspace(), experiment_name), "", _is_known=True)
        self._publishes = publishes

    def get_status(self) -> str:
        """Always ``NotStarted``."""
        return "NotStarted"

    def wait_for_completion(
        self,
        show_output: bool = True,
        timeout_seconds: float = 0,
        raise_on_error: bool = True,
    ) -> str:
        """Returns at once."""
        return "NotStarted"

    def publish_pipeline(
        self,
        name: str,
        description: Optional[str] = None,
        version: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
    ) -> Any:
        """A placeholder: the pipeline is a DAG already, by its submit."""
        published = DeclaredPublishedPipeline(name, description, version, self._publishes)
        self._publishes(published)
        return published

    def __getattribute__(self, name: str) -> Any:
        if name == "publish_pipeline":
            return object.__getattribute__(self, name)
        if name in READING:
            raise RunEnvironmentException(
                f"this file asks {name!r} of a run that it has only declared: while a file is "
                "loaded nothing has run yet.",
                hint="Move what follows the submit into a program of its own.",
            )
        return super().__getattribute__(name)

    def _note(self, note: Note) -> None:
        """Drops what the file says of a run that is not there, such as tags."""


class DeclaredPublishedPipeline:
    """What ``publish`` returns while a file is only being loaded.

    Attributes:
        id: a placeholder, the same in every parse.
        endpoint: an address that cannot be called.
    """

    def __init__(
        self,
        name: Optional[str],
        description: Optional[str],
        version: Optional[str],
        publishes: Callable[[DeclaredPublishedPipeline], None],
    ):
        self.name = name or ""
        self.description = description or ""
        self.version = version
        self.id = str(uuid5(NAMESPACE_URL, f"{PLACEHOLDER}{self.name}"))
        self.endpoint = f"{PLACEHOLDER}pipelines/{self.id}"
        self.status = "Active"
        self._publishes = publishes

    def submit(self, workspace: Any, experiment_name: str, *_: Any, **__: Any) -> PipelineRun:
        """A placeholder: the pipeline is a DAG already, by its publication.

        What is given to this run alone is not for all runs of the DAG.

        Raises:
            UserErrorException: the experiment cannot have that name.
        """
        return DeclaredRun(Experiment(workspace, experiment_name).name, self._publishes)

    def enable(self) -> None:
        """Is for programs that run, which a warning says."""
        self._is_changed("enable")

    def disable(self) -> None:
        """Is for programs that run, which a warning says."""
        self._is_changed("disable")

    def _is_changed(self, call: str) -> None:
        warnings.warn(
            f"{call}() of {self.name!r} has no effect: this file is only being loaded, and the "
            "pipeline is its DAG. Airflow turns DAGs on and off.",
            stacklevel=3,
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise RunEnvironmentException(
            f"this file asks {name!r} of a published pipeline that it has only declared.",
            hint="Move what follows the publish into a program of its own.",
        )

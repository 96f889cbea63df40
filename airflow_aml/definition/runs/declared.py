"""The run of a pipeline that a file only declares."""

from __future__ import annotations

from typing import Any

from airflow_aml.definition.runs.pipelinerun import READING, PipelineRun
from airflow_aml.definition.workspace import Experiment, Workspace
from airflow_aml.errors import RunEnvironmentException
from airflow_aml.workspace.journal import Note


class DeclaredRun(PipelineRun):
    """What ``submit`` returns while a file is only being loaded: there is no run yet."""

    def __init__(self, experiment_name: str):
        super().__init__(Experiment.of_run(Workspace(), experiment_name), "")

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

    def __getattribute__(self, name: str) -> Any:
        if name in READING:
            raise RunEnvironmentException(
                f"this file reads {name!r} of a run that it has only declared: while Airflow loads "
                "a file nothing has run yet.",
                hint="Move what follows the submit into a program of its own.",
            )
        return super().__getattribute__(name)

    def _note(self, note: Note) -> None:
        """Drops what the file says of a run that is not there, such as tags."""

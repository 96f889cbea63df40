"""Steps as child processes of the Airflow worker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException
from airflow_aml.airflow.steps.mixin import AmlStepMixin, shown_command
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.runtime.job import StepJob

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow_aml.runtime.process import Child


class RuntimeProcessOperator(BaseOperator):
    """Runs the step runtime as a child process; its lines appear in the task's log as they come."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._argv: list[str] = []
        self._attempt = ""
        self._kill_after = 10.0
        self._child: Child | None = None

    def execute(self, context: Context) -> None:
        """Runs the child to its end.

        Raises:
            AirflowException: it ended with another code than 0.
        """
        from airflow_aml.runtime.process import Child

        self._child = Child(
            self._argv,
            lambda line: self.log.info("%s", line),
            attempt=self._attempt,
            kill_after=self._kill_after,
        )
        try:
            code = self._child.run()
        except BaseException:  # a time-out is raised into the middle of the wait
            self._child.stop()
            raise
        if code:
            raise AirflowException(f"the step's runtime ended with code {code}")

    def on_kill(self) -> None:
        """Ends the step's whole process tree."""
        if self._child is not None:
            self._child.stop()


class LocalStepOperator(AmlStepMixin, RuntimeProcessOperator):
    """One step of a pipeline, run on the worker itself.

    Args:
        node: the step.
        workspace: the name of the pipeline's workspace.
        folder: absolute; local input paths of the definition start here.
    """

    template_fields = ("command",)
    template_fields_renderers = {"command": "bash"}
    ui_color = "#d7e9ff"

    def __init__(self, *, node: NodeSpec, workspace: str = "", folder: str = ".", **kwargs: Any):
        super().__init__(**kwargs)
        self.node = node
        self.workspace = workspace
        self.folder = folder
        self.command = shown_command(node)

    def configure(self, job: StepJob, job_file: Path) -> None:
        """Makes the child process run the job."""
        self._argv = [sys.executable, "-m", "airflow_aml.runtime", "--watch-stdin", str(job_file)]
        self._attempt = job.attempt
        self._kill_after = job.kill_after

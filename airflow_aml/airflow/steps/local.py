"""Steps as child processes of the Airflow worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from airflow_aml.airflow.steps.mixin import AmlStepMixin, shown_command
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.runtime.job import StepJob

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_aml.runtime.child import Child
    from airflow_aml.runtime.forked import ForkedRuntime


class RuntimeProcessOperator(BaseOperator):
    """Runs the step runtime as a child process; its lines appear in the task's log as they come."""

    child: Child | None = None

    def execute(self, context: Context) -> None:
        """Runs the child to its end.

        Raises:
            AirflowException: it ended with another code than 0.
        """
        assert self.child is not None
        code = self.child.run(lambda line: self.log.info("%s", line))
        if code:
            raise AirflowException(f"the step's runtime ended with code {code}")

    def on_kill(self) -> None:
        """Ends the step's whole process tree."""
        if self.child is not None:
            self.child.stop()


class LocalStepOperator(AmlStepMixin, RuntimeProcessOperator):
    """One step of a pipeline, run on the worker itself.

    Args:
        node: the step.
        workspace: the name of the pipeline's workspace.
        folder: absolute; local input paths of the definition start here.
    """

    template_fields: Sequence[str] = ("command",)
    template_fields_renderers = {"command": "bash"}
    ui_color = "#d7e9ff"
    custom_operator_name = "PythonScriptStep"
    forked: ForkedRuntime | None = None

    def __init__(self, *, node: NodeSpec, workspace: str = "", folder: str = ".", **kwargs: Any):
        super().__init__(**kwargs)
        self.node = node
        self.workspace = workspace
        self.folder = folder
        self.command = shown_command(node)

    def render_template_fields(
        self, context: Context, jinja_env: Environment | None = None
    ) -> None:
        """Resolves the step's command line, so that Airflow shows what really runs."""
        from airflow_aml.runtime.forked import fork_runtime

        # It gets ready while this process reads the plan and talks to the API server.
        self.forked = fork_runtime()
        super().render_template_fields(context, jinja_env)

    def configure(self, job: StepJob) -> None:
        """Makes the child process run the job."""
        from airflow_aml.runtime.child import child_of

        self.child, self.forked = child_of(job, forked=self.forked), None

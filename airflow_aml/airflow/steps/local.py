"""Steps on the Airflow worker itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from airflow_aml.airflow.steps.mixin import AmlStepMixin
from airflow_aml.airflow.steps.shown import shown_command
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.runtime.job import StepJob, StepReport

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.runtime.child import Child
    from airflow_aml.runtime.inline import InlineRuntime


class RuntimeOperator(BaseOperator):
    """Runs the step runtime on the worker; its lines appear in the task's log as they come.

    It runs in the task's own process where the system allows that, else in one of its own.
    """

    inline: InlineRuntime | None = None
    child: Child | None = None
    report: StepReport | None = None

    def execute(self, context: Context) -> None:
        """Runs the step to its end.

        Raises:
            AirflowException: a runtime in a process of its own was lost.
        """
        if self.inline is not None:
            self.report = self.inline.run()
            return
        assert self.child is not None
        code = self.child.run(self.say)
        if code:
            raise AirflowException(f"the step's runtime ended with code {code}")

    def say(self, line: str) -> None:
        """One line of the script's."""
        self.log.info("%s", line)

    def on_kill(self) -> None:
        """Ends the step's whole process tree."""
        if self.inline is not None:
            self.inline.stop("Airflow ended its task")
        if self.child is not None:
            self.child.stop()


def has_supervisor() -> bool:
    """Whether Airflow's supervisor of this task is this process' parent.

    It is not where a whole run goes on in one process, which may outlive whoever started it.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    return not isinstance(task_runner.SUPERVISOR_COMMS, InProcessSupervisorComms)


class LocalStepOperator(AmlStepMixin, RuntimeOperator):
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

    def __init__(self, *, node: NodeSpec, workspace: str = "", folder: str = ".", **kwargs: Any):
        super().__init__(**kwargs)
        self.node = node
        self.workspace = workspace
        self.folder = folder
        self.command = shown_command(node)

    def configure(self, job: StepJob) -> None:
        """Gets the runtime ready for the job."""
        from airflow_aml.runtime.inline import InlineRuntime, can_run_inline

        if can_run_inline():
            self.inline = InlineRuntime(
                job, self.say, self.handed_stores(), watch_parent=has_supervisor()
            )
        else:
            from airflow_aml.runtime.child import child_of

            self.child = child_of(job, stores=self.handed_stores())

    def read_report(self, job: StepJob) -> StepReport | None:
        """The report of the runtime, which here may have been in this process."""
        return self.report or super().read_report(job)

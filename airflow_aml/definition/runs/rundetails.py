"""``azureml.widgets.RunDetails``: a run that can be watched, in a notebook or in a terminal."""

from __future__ import annotations

import sys
from typing import Any, Dict

from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.offline import _OfflineRun
from airflow_aml.errors import UserErrorException

__all__ = ["RunDetails"]


class RunDetails:
    """Shows a run: its status, its steps and why they ran, what reuse has saved, its graph.

    Args:
        run_instance: a run of any kind; it may have ended long ago.

    Raises:
        UserErrorException: it is no run.
    """

    def __init__(self, run_instance: Any):
        if not isinstance(run_instance, (Run, _OfflineRun)):
            raise UserErrorException(
                f"RunDetails takes a run, not a {type(run_instance).__name__}."
            )
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Shows the run, and returns at once.

        In a notebook what is shown follows the run until its end. Anywhere else the run is told as
        it is now; ``wait_for_completion`` follows it. Arguments are v1's and have no effect.
        """
        run = self._run
        if isinstance(run, _OfflineRun) or not run.id:  # nothing runs: a file is being loaded
            return
        from airflow_aml.definition.runs.notebook import kernel_shell

        if kernel_shell() is None:
            from airflow_aml.definition.runs.rundetails_html import text_of
            from airflow_aml.definition.runs.rundetails_view import Watch

            sys.stdout.write(text_of(Watch(run).look()))
            sys.stdout.flush()
            return
        from airflow_aml.definition.runs.rundetails_follow import follower_of

        follower_of(run).show()

    def get_widget_data(self, widget_settings: Any = None) -> Dict[str, Any]:
        """What is shown, as a document."""
        if isinstance(self._run, _OfflineRun) or not self._run.id:
            return {}
        from airflow_aml.definition.runs.rundetails_view import Watch

        view = Watch(self._run).look()
        return {
            "status": view.status,
            "workbench_run_details_uri": view.page,
            "run_id": view.id,
            "run_properties": {
                "run_id": view.id,
                "type": view.type,
                "experiment": view.experiment,
                "status": view.status,
                "parameters": view.parameters,
            },
            "run_metrics": view.metrics,
            "child_runs": [_child(step) for step in view.steps],
            "graph": {
                "nodes": {step.progress.task_id: step.progress.name for step in view.steps},
                "edges": [
                    {"from": before, "to": step.progress.task_id}
                    for step in view.steps
                    for before in step.upstream
                ],
            },
            "error": view.trouble,
        }

    def __repr__(self) -> str:
        return f"RunDetails({self._run!r})"


def _child(step: Any) -> Dict[str, Any]:
    progress = step.progress
    return {
        "name": progress.name,
        "task_id": progress.task_id,
        "status": progress.status,
        "seconds": progress.seconds,
        "saved_seconds": progress.saved_seconds,
        "reason": progress.reason,
        "metrics": step.metrics,
    }

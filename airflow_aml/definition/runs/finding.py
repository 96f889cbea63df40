"""``Run.get``: a run of any kind by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import layout
from airflow_aml.workspace.runs import heads, read_head
from airflow_aml.workspace.submitted import read_submitted

if TYPE_CHECKING:
    from airflow_aml.definition.runs.context import Run


def find(workspace: Any, run_id: str) -> Run:
    """The pipeline's or step's run of that id, or one below a step's.

    Raises:
        UserErrorException: the workspace has no such run.
    """
    from airflow_aml.definition.homes import home_of
    from airflow_aml.definition.runs.pipelinerun import PipelineRun

    home = home_of(workspace)
    if "/" not in run_id:
        if read_head(home, run_id) or read_submitted(home, run_id):
            return PipelineRun.get(workspace, run_id)
        for head in heads(home):
            ids = {layout.step_run_id(head.id, task_id): task_id for task_id in head.steps}
            if run_id in ids:
                steps = PipelineRun.get(workspace, head.id).get_steps()
                return next(step for step in steps if step.id == run_id)
        for head in heads(home):  # last, as all journals are read for it
            for run in PipelineRun.get(workspace, head.id).get_children(recursive=True):
                if run.id == run_id:
                    return run
    raise UserErrorException(
        f"the workspace has no run {run_id!r}.", hint="`airflow-aml runs` lists its runs."
    )

"""Links of a step's task: to the result that it reuses, to its own record, and to MLflow."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class _Link(BaseOperatorLink):
    """A link that is made from what Airflow's database has anyway when somebody looks.

    So a run with hundreds of steps stores nothing more for it. An empty one is not shown.
    """

    @property
    def operators(self) -> list[type]:  # type: ignore[override]
        """The operators that have it; only who shows links needs their classes."""
        from airflow_aml.airflow.steps.local import LocalStepOperator
        from airflow_aml.airflow.steps.script import PythonScriptStepOperator

        return [LocalStepOperator, PythonScriptStepOperator]


class _StepLink(_Link):
    """A link that a step's ``return_value`` tells."""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty for a step that has none."""
        value = _return_value(ti_key)
        return self.address(value) if isinstance(value, dict) else ""

    @abstractmethod
    def address(self, value: dict[str, Any]) -> str:
        """The address, from the step's ``return_value``."""


class ReusedResultLink(_StepLink):
    """Leads to the task instance whose outputs a reused step stands for."""

    name = "Reused result"

    def address(self, value: dict[str, Any]) -> str:
        """The page of that task instance."""
        source = value.get("source_run")
        if not source:
            return ""
        dag_id, run_id, task_id = (quote(source[key], safe="") for key in _PARTS)
        return f"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"


class MlflowLink(_StepLink):
    """Leads to the step's run in MLflow."""

    name = "MLflow run"

    def address(self, value: dict[str, Any]) -> str:
        """The page of that run."""
        return str(value.get("mlflow") or "")


class RunFolderLink(_Link):
    """Leads to the folder of the step's record in the workspace, where a site serves that.

    A step that failed or is at work has one, too. One that was reused has none of its own, and so
    has one of a hand-written DAG, of whose run nothing in Airflow's database tells the id.
    """

    name = "Run folder"
    below = ""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The address; empty where the workspace is not served, or nothing was recorded."""
        from airflow_aml.airflow.settings import workspace_page
        from airflow_aml.definition.compile import HEAD_TASK

        page = workspace_page()
        if not page or not _has_begun(ti_key):
            return ""
        run = _return_value(ti_key._replace(task_id=HEAD_TASK, map_index=-1))
        if not isinstance(run, dict) or "pipeline_run_id" not in run or not _is_default(run):
            return ""
        value = _return_value(ti_key)
        if isinstance(value, dict) and value.get("status") == "Reused":
            return ""
        run_id = run["pipeline_run_id"]
        step_run_id = layout.step_run_id(run_id, ti_key.task_id, ti_key.map_index)
        return f"{page}/{layout.step(run_id, step_run_id)}/{self.below}"


class RunFilesLink(RunFolderLink):
    """Leads to its files: logs, images, what its script has left in ``outputs``."""

    name = "Run files"
    below = "files/"


_RETURN_VALUE = "return_value"
_PARTS = ("dag_id", "run_id", "task_id")


def _return_value(ti_key: TaskInstanceKey) -> Any:
    # Links are asked for in the API server, which has the database.
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.execute(
            XComModel.get_many(
                key=_RETURN_VALUE,
                run_id=ti_key.run_id,
                dag_ids=ti_key.dag_id,
                task_ids=ti_key.task_id,
                map_indexes=ti_key.map_index,
            ).with_only_columns(XComModel.value)
        ).first()
    if not found or found[0] is None:
        return None
    return json.loads(found[0]) if isinstance(found[0], str) else found[0]


def _is_default(run: dict[str, Any]) -> bool:
    """Whether the run's workspace is the one whose page is configured."""
    from airflow_aml.airflow.settings import workspaces

    return run.get("workspace") not in workspaces()


def _has_begun(ti_key: TaskInstanceKey) -> bool:
    """Whether the task was started, and not only skipped."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(TaskInstance.start_date, TaskInstance.state).where(
                TaskInstance.dag_id == ti_key.dag_id,
                TaskInstance.run_id == ti_key.run_id,
                TaskInstance.task_id == ti_key.task_id,
                TaskInstance.map_index == ti_key.map_index,
            )
        ).first()
    return found is not None and found[0] is not None and found[1] != "skipped"

"""Links of a step's task: to the task that made a result that is reused, and to MLflow."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class _StepLink(BaseOperatorLink):
    """A link that is made from a step's ``return_value`` when somebody looks.

    So a run with hundreds of steps stores nothing more for it.
    """

    @property
    def operators(self) -> list[type]:  # type: ignore[override]
        """The operators that have it; only who shows links needs their classes."""
        from airflow_aml.airflow.steps.local import LocalStepOperator
        from airflow_aml.airflow.steps.script import PythonScriptStepOperator

        return [LocalStepOperator, PythonScriptStepOperator]

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

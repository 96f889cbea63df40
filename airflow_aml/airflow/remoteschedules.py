"""Whether the DAGs of schedules are on, in the Airflow that a program works with."""

from __future__ import annotations

from airflow_aml.airflow.rest import AirflowAnswer, rest
from airflow_aml.errors import UserErrorException

_NOT_FOUND = 404


def is_on(dag_id: str) -> bool:
    """Whether Airflow has the DAG and starts its runs.

    Raises:
        AzureMLException: Airflow cannot be reached, or refuses.
    """
    try:
        return not rest().call("GET", "dags", dag_id)["is_paused"]
    except AirflowAnswer as answer:
        if answer.status != _NOT_FOUND:
            raise
        return False


def switch(dag_id: str, on: bool) -> None:
    """Lets Airflow start the DAG's runs, or no more of them.

    Raises:
        UserErrorException: Airflow has no such DAG.
        AzureMLException: Airflow cannot be reached, or refuses.
    """
    try:
        rest().call("PATCH", "dags", dag_id, body={"is_paused": not on})
    except AirflowAnswer as answer:
        if answer.status != _NOT_FOUND:
            raise
        raise UserErrorException(
            f"Airflow has no DAG {dag_id!r}.", hint="Is the schedule's file still there?"
        ) from answer

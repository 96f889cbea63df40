"""Whether the DAGs of schedules are on, in the Airflow that a program works with."""

from __future__ import annotations

import time

from airflow_aml.airflow.rest import AirflowAnswer, rest
from airflow_aml.errors import UserErrorException

_NOT_FOUND = 404
_POLL_SECONDS = 1.0


def is_on(dag_id: str) -> bool:
    """Whether Airflow has the DAG and starts its runs.

    Raises:
        AzureMLException: Airflow cannot be reached, or refuses.
    """
    return _is_paused(dag_id) is False


def wait_for(dag_id: str, seconds: float) -> bool:
    """Whether Airflow has the DAG within that time.

    Raises:
        AzureMLException: Airflow cannot be reached, or refuses.
    """
    until = time.monotonic() + seconds
    while _is_paused(dag_id) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))
    return True


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


def _is_paused(dag_id: str) -> bool | None:
    """None: Airflow has no such DAG."""
    try:
        return bool(rest().call("GET", "dags", dag_id)["is_paused"])
    except AirflowAnswer as answer:
        if answer.status != _NOT_FOUND:
            raise
        return None

"""What a step tells the workspace of its end."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.listing import keep_if_last
from airflow_aml.workspace.runs import RUN_VERSION, UNKNOWN
from airflow_aml.workspace.summaries import changing

_DAG_VARIABLE, _RUN_VARIABLE = "AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_DAG_RUN_ID"
"""Airflow's names of the run that a task's process is of."""


def write_report(
    home: Home, pipeline_run_id: str, step_run_id: str, task_id: str, values: Mapping[str, Any]
) -> None:
    """Keeps how a step that was started has ended.

    Args:
        values: its XComs by key: ``return_value`` and the outputs.
    """
    document = {
        "version": RUN_VERSION,
        "task_id": task_id,
        "dag_id": os.environ.get(_DAG_VARIABLE, UNKNOWN),
        "run_id": os.environ.get(_RUN_VARIABLE, UNKNOWN),
        "ended": _now(),
        "values": dict(values),
    }
    path = f"{layout.step(pipeline_run_id, step_run_id)}/report.json"
    with changing(home, pipeline_run_id):
        home.store.write(path, json.dumps(document).encode(), durable=False)
    if home.is_local:  # elsewhere each look is a request: who lists runs asks many at once
        keep_if_last(home, pipeline_run_id)


def mark_failed(
    home: Home, pipeline_run_id: str, task_id: str, why: str, seconds: float = 0.0
) -> None:
    """Keeps that a step has failed, for steps to come and for who lists runs.

    Args:
        seconds: that it took; 0 where nobody has counted them.
    """
    document = {"why": why, "seconds": round(seconds, 3), "ended": _now()}
    with changing(home, pipeline_run_id):
        home.store.write(layout.failed(pipeline_run_id) + task_id, json.dumps(document).encode())


def unmark_failed(home: Home, pipeline_run_id: str, task_id: str) -> None:
    """Takes that back: the step is tried again."""
    with changing(home, pipeline_run_id):
        home.store.delete([layout.failed(pipeline_run_id) + task_id])


def _now() -> str:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")

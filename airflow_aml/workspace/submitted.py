"""What whoever starts or ends a run notes of it in the workspace: its name, and that it was ended.

::

    runs/<pipeline-run-id>/submitted.json   Airflow's names of a run that has yet to plan itself
    runs/<pipeline-run-id>/canceled         somebody has ended the run: when
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Optional

from airflow_aml.codec import decode, encode
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.summaries import changing


@dataclass(frozen=True)
class Submitted:
    """Airflow's names of a run, and its experiment.

    Attributes:
        script: of a run of one script, the task that runs it.
        created: when it was submitted, UTC, ISO 8601.
    """

    dag_id: str
    run_id: str
    experiment: str
    script: str = ""
    created: str = ""


def write_submitted(home: Home, pipeline_run_id: str, submitted: Submitted) -> None:
    """Notes that the run was started."""
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    submitted = replace(submitted, created=submitted.created or now)
    home.store.write(_submitted(pipeline_run_id), json.dumps(encode(submitted)).encode())


def read_submitted(home: Home, pipeline_run_id: str) -> Optional[Submitted]:
    """What was noted when the run was started; None if nothing was."""
    try:
        return decode(Submitted, json.loads(home.store.read(_submitted(pipeline_run_id))))
    except (FileNotFoundError, NotADirectoryError):
        return None


def mark_script(home: Home, pipeline_run_id: str, task_id: str) -> None:
    """Notes that a run that was started is that of one script."""
    submitted = read_submitted(home, pipeline_run_id)
    if submitted is not None:
        write_submitted(home, pipeline_run_id, replace(submitted, script=task_id))


def mark_canceled(home: Home, pipeline_run_id: str, canceled: bool = True) -> None:
    """Notes that somebody ends the run, or that it goes on nevertheless."""
    from datetime import datetime, timezone

    with changing(home, pipeline_run_id):
        if canceled:
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            home.store.write(_canceled(pipeline_run_id), now.encode())
        else:
            home.store.delete([_canceled(pipeline_run_id)])


def is_canceled(home: Home, pipeline_run_id: str) -> bool:
    """Whether somebody has ended the run."""
    return _cancellation(home, pipeline_run_id) is not None


def canceled_at(home: Home, pipeline_run_id: str) -> str:
    """When somebody has ended the run, UTC, ISO 8601; empty if nobody has, or it is not known."""
    return _cancellation(home, pipeline_run_id) or ""


def _cancellation(home: Home, pipeline_run_id: str) -> Optional[str]:
    try:
        return home.store.read(_canceled(pipeline_run_id)).decode()
    except FileNotFoundError:
        return None


def _submitted(pipeline_run_id: str) -> str:
    return f"{layout.run(pipeline_run_id)}/submitted.json"


def _canceled(pipeline_run_id: str) -> str:
    return f"{layout.run(pipeline_run_id)}/canceled"

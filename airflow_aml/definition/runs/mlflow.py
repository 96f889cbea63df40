"""A run of ``start_logging()`` in MLflow, where the program has a tracking server.

It is sent by a process of its own when it has ended: a program that logs by ``Run`` is to load
neither MLflow nor Airflow, and MLflow's client does not work while Python ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Dict

from airflow_aml.workspace.configuration import setting

_SENDER = "airflow_aml.airflow.mlflow.program"
_PATIENCE = 300


def tracking_uri() -> str:
    """Where this program's runs are shown in MLflow; empty for nowhere."""
    return setting(os.environ, "mlflow_tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI", "")


def send_run(told: Dict[str, Any]) -> None:
    """Sends a run that has ended; that it cannot be is one line on stderr."""
    command = [sys.executable, "-m", _SENDER]
    try:
        done = subprocess.run(
            command,
            input=json.dumps({**told, "program": sys.argv[0] if sys.argv else ""}).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"airflow_aml: run {told['run_id']} is not sent to MLflow: {error}\n")
        return
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        sys.stderr.write(f"airflow_aml: {why}\n")

"""A run of ``start_logging()`` in MLflow: sent when it has ended, by ``python -m`` of this.

The program whose run it was tells on stdin what to send, and loads neither MLflow nor Airflow
itself. Where the run cannot be sent, the last line on stderr says why, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from airflow_aml.airflow.mlflow.recording import ship_program
from airflow_aml.airflow.mlflow.runs import OURS, Shown, experiment_of, sentence
from airflow_aml.airflow.mlflow.server import SHORT, client, patience


def send(told: Mapping[str, Any]) -> None:
    """Makes the run in MLflow, with all that its record has.

    Raises:
        Exception: what MLflow's client raises.
    """
    tags = {
        OURS: told["run_id"],
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": told["program"],
    }
    with patience(SHORT):
        server = client(told["uri"])
        experiment = experiment_of(server, told["experiment"])
        made = server.create_run(
            experiment, start_time=told["begun"], tags=tags, run_name=told["name"]
        )
    shown = Shown(told["uri"], experiment, made.info.run_id)
    try:
        ship_program(server, shown, told["folder"], told["run_id"])
    finally:
        with patience(SHORT):
            server.set_terminated(shown.run_id, told["status"], told["ended"])


def main() -> int:
    """Sends what stdin tells; the exit code."""
    told = json.load(sys.stdin)
    try:
        send(told)
    except Exception as error:  # noqa: BLE001 - MLflow is an addition, whatever is wrong with it
        what = f"run {told['run_id']} is not shown there in full"
        sys.stderr.write(f"\n{sentence(told['uri'], what, error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

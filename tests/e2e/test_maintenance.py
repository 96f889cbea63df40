"""The template that removes old things once a week, run by a real Airflow."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

from airflow_aml.workspace.home import default_url, path_of_uri
from scripts.local_airflow import LocalAirflow

DAG = "aml_maintenance"


def maintain(airflow: LocalAirflow) -> tuple[dict[str, int], str]:
    """One run of it: what it returned, and its log."""
    run_id = airflow.rest.trigger(DAG)
    assert airflow.rest.wait(DAG, run_id)["state"] == "success"
    done = dict(airflow.rest.xcoms(DAG, run_id, "collect_garbage")["return_value"])
    return done, airflow.rest.task_log(DAG, run_id, "collect_garbage")


def test_what_is_old_goes_and_what_is_in_use_stays(
    airflow: LocalAirflow, diabetes_dag: str
) -> None:
    """After a run nothing of it goes; what a lost worker left weeks ago does, and is counted."""
    run_id = airflow.rest.trigger(diabetes_dag)
    assert airflow.rest.wait(diabetes_dag, run_id)["state"] == "success"
    home = Path(path_of_uri(default_url(airflow.environment)))
    kept = {path: path.stat().st_size for path in (home / "data").rglob("*") if path.is_file()}
    assert kept
    lost = home / "staging" / f"{uuid4()}-1-0a0a0a0a" / "model" / "weights.bin"
    lost.parent.mkdir(parents=True)
    lost.write_bytes(b"w" * 1000)
    weeks_ago = time.time() - 40 * 86400
    for path in (lost, lost.parent, lost.parent.parent):
        os.utime(path, (weeks_ago, weeks_ago))
    airflow.rest.wait_for_dag(DAG)

    done, log = maintain(airflow)
    again, said = maintain(airflow)
    if again == {"removed": 1, "bytes": 0}:  # a lease of a run that another test has killed ran out
        again, said = maintain(airflow)

    assert done["removed"] >= 1  # the leases of the steps that have ended go too
    assert done["bytes"] >= 1000
    assert f"{done['bytes']} bytes freed" in log
    assert not lost.exists()
    assert all(path.stat().st_size == size for path, size in kept.items())
    assert again == {"removed": 0, "bytes": 0}
    assert "nothing to do" in said

"""A pipeline that a program publishes runs in a real Airflow, started over REST as on Azure ML."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from airflow_aml.airflow.published import refresh
from airflow_aml.workspace.home import open_home
from scripts.local_airflow import LocalAirflow

PROGRAM = """
from airflow_aml import *
rate = PipelineParameter("rate", 0.1)
step = PythonScriptStep("say.py", name="say", source_directory="src", arguments=[rate])
published = Pipeline(Workspace(), [step]).publish(name="REST")
print(published.dag_id, published.endpoint)
"""


def test_a_published_pipeline_is_submitted_over_rest(airflow: LocalAirflow, tmp_path: Path) -> None:
    """The step sees the value that was posted, though the program's folder has gone."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "say.py").write_text("import sys\nprint('the rate is', sys.argv[1])\n")
    (tmp_path / "publish.py").write_text(PROGRAM)
    environment = {
        **os.environ,
        "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
        "AIRFLOW_AML_API_URL": airflow.url,
    }
    command = [sys.executable, "publish.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    dag_id, endpoint = done.stdout.split()
    (source / "say.py").unlink()
    refresh(open_home(str(airflow.home.workspace)), airflow.dags_folder / "published")
    airflow.rest.wait_for_dag(dag_id)

    login = {"username": airflow.user, "password": airflow.password}
    token = httpx.post(f"{airflow.url}/auth/token", json=login).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    body = {"ExperimentName": "My_Pipeline", "ParameterAssignments": {"rate": 0.25}}
    assert httpx.post(endpoint, json=body).status_code == 401
    run_id = httpx.post(endpoint, json=body, headers=headers, timeout=60).json()["Id"]

    status, deadline = "", time.monotonic() + 300
    while status not in ("Finished", "Failed") and time.monotonic() < deadline:
        time.sleep(0.5)
        address = f"{endpoint.rpartition('/PipelineSubmit/')[0]}/{run_id}"
        status = httpx.get(address, headers=headers, timeout=60).json()["Status"]["StatusCode"]
    assert status == "Finished"
    logs = Path(airflow.home.workspace, "runs", run_id).rglob("*.txt")
    assert any("the rate is 0.25" in each.read_text() for each in logs)

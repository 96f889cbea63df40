"""A pipeline that a program publishes runs in a real Airflow, started over REST as on Azure ML."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from scripts.local_airflow import LocalAirflow


def said(airflow: LocalAirflow, run_id: str) -> str:
    """What the run's steps printed."""
    logs = Path(airflow.home.workspace, "runs", run_id).rglob("*.txt")
    return "\n".join(each.read_text() for each in logs)


def test_a_published_pipeline_is_submitted_over_rest(
    airflow: LocalAirflow, program: Path, environment: dict[str, str], endpoint: str
) -> None:
    """The template's client in Python: the step sees the value, though its folder has gone."""
    assert httpx.post(endpoint, json={"ExperimentName": "e"}).status_code == 401
    client = [sys.executable, str(program / "client" / "submit.py"), endpoint]

    done = subprocess.run(
        [*client, "rate=0.25"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = subprocess.run(
        [*client, "rate=fast"], env=environment, capture_output=True, text=True, check=False
    )

    first, last = done.stdout.splitlines()
    assert last == "Finished"
    assert "the rate is 0.25" in said(airflow, first.split()[-1])
    assert (wrong.returncode, "parameter rate is float" in wrong.stderr) == (1, True)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_client_with_curl_starts_a_run_that_is_canceled(
    airflow: LocalAirflow, program: Path, environment: dict[str, str], endpoint: str
) -> None:
    """It prints the run; v1's DELETE ends it, or tells how it has ended."""
    client = str(program / "client" / "submit.sh")

    done = subprocess.run(
        [client, endpoint, "0.5"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(done.stdout)
    login = {"username": airflow.user, "password": airflow.password}
    token = httpx.post(f"{airflow.url}/auth/token", json=login).json()["access_token"]
    base = endpoint.rpartition("/PipelineSubmit/")[0]
    ended = httpx.delete(
        f"{base}/{run['Id']}/Execution", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )
    assert ended.json()["Status"]["StatusCode"] in ("Canceled", "Finished")

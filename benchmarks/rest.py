"""A run started over v1's REST API, against Airflow's own call for the same DAG.

One published pipeline in one Airflow, paused, so that nothing else goes on. The two calls take
turns, there and back in each round, over one connection each; both send the same values.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import httpx

from benchmarks.report import Claim, Report
from scripts import templates
from scripts.local_airflow import LocalAirflow

HOME = templates.PROJECT / ".airflow" / "bench-rest"
ROUNDS = 15
CALLS = 10
LIMIT = 1.5

PROGRAM = """
from airflow_aml import *
rate = PipelineParameter("rate", 0.1)
step = PythonScriptStep("say.py", name="say", source_directory="src", arguments=[rate])
published = Pipeline(Workspace(), [step]).publish(name="Bench")
print(published.dag_id, published.endpoint)
"""


def run() -> Report:
    """Starts an Airflow of its own, measures, and stops it."""
    if HOME.exists():
        shutil.rmtree(HOME)
    with LocalAirflow(HOME, extra_settings=templates.AML_SETTINGS) as airflow:
        dag_id, endpoint = _published(airflow)
        login = {"username": airflow.user, "password": airflow.password}
        token = httpx.post(f"{airflow.url}/auth/token", json=login).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        own = f"{airflow.url}/api/v2/dags/{dag_id}"
        with httpx.Client(headers=headers, timeout=60) as client:
            client.patch(own, json={"is_paused": True}).raise_for_status()
            calls = {
                "ours": lambda: client.post(
                    endpoint,
                    json={"ExperimentName": "bench", "ParameterAssignments": {"rate": 0.2}},
                ),
                "airflow": lambda: client.post(
                    f"{own}/dagRuns", json={"logical_date": None, "conf": {"rate": 0.2}}
                ),
            }
            for call in calls.values():
                _seconds(call)  # warm up
            rounds = [_round(calls, back=number % 2 == 1) for number in range(ROUNDS)]
    return _report(rounds)


def _published(airflow: LocalAirflow) -> tuple[str, str]:
    from airflow_aml.airflow.published import refresh
    from airflow_aml.workspace.home import open_home

    source = HOME / "program" / "src"
    source.mkdir(parents=True)
    (source / "say.py").write_text("print('said')\n")
    workspace = str(airflow.home.workspace)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=source.parent,
        env={
            **os.environ,
            "AIRFLOW__AML__WORKSPACE": workspace,
            "AIRFLOW_AML_API_URL": airflow.url,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    dag_id, endpoint = done.stdout.split()
    refresh(open_home(workspace), airflow.dags_folder / "published")
    airflow.rest.wait_for_dag(dag_id)
    return dag_id, endpoint


def _round(calls: dict[str, Callable[[], httpx.Response]], *, back: bool) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names = [*reversed(calls)] if back else [*calls]
    for _ in range(CALLS):
        for name in names:
            taken[name].append(_seconds(calls[name]))
    return {name: median(each) for name, each in taken.items()}


def _seconds(call: Callable[[], httpx.Response]) -> float:
    begun = time.perf_counter()
    call().raise_for_status()
    return time.perf_counter() - begun


def _report(rounds: list[dict[str, float]]) -> Report:
    ours, own = (median(each[name] for each in rounds) * 1e3 for name in ("ours", "airflow"))
    ratio = median(each["ours"] / each["airflow"] for each in rounds)
    return Report(
        ("call", "median, ms"),
        [
            ("`POST .../PipelineSubmit/{id}`", f"{ours:.1f}"),
            ("`POST /api/v2/dags/{dag_id}/dagRuns`", f"{own:.1f}"),
            ("ratio", f"**{ratio:.2f}**"),
        ],
        [Claim("a submit, to Airflow's own call", LIMIT, ratio)],
    )

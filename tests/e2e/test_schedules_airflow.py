"""A schedule in a real Airflow: its scheduler starts the runs, and programs turn it off and on."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scripts import check_docs, templates
from scripts.local_airflow import LocalAirflow

DAG = "sales_stock"
FOLDER = Path(__file__).parent / "schedules"
PROGRAM = """
from airflow_aml import Schedule, Workspace

known = Schedule.list(Workspace(), active_only=False)
(schedule,) = [each for each in known if each.name == "sales"]
last = schedule.get_last_pipeline_run()
print(schedule.status, last.get_status(), last.id, len(schedule.get_pipeline_runs()))
"""


@pytest.fixture(scope="module")
def run(airflow: LocalAirflow) -> dict[str, Any]:
    """The run that Airflow starts by itself of a file that is dropped into its folder."""
    shutil.copytree(FOLDER, airflow.dags_folder / "sales", dirs_exist_ok=True)

    def started() -> dict[str, Any] | None:
        return next(iter(airflow.rest.dag_runs(DAG)), None)

    airflow.rest.wait_for_dag(DAG)
    found = airflow.rest.wait_until("a scheduled run", started)
    return dict(airflow.rest.wait(DAG, found["dag_run_id"]))


def outside(airflow: LocalAirflow, *command: str) -> str:
    """What a program outside Airflow prints, beside Airflow's DAGs folder."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
        "AIRFLOW_AML_API_URL": airflow.url,
        "AIRFLOW_AML_API_USER": airflow.user,
        "AIRFLOW_AML_API_PASSWORD": airflow.password,
    }
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=airflow.dags_folder.parent,
        timeout=120,
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def terminal(airflow: LocalAirflow, *words: str) -> Any:
    """What `airflow-aml schedule` answers."""
    return json.loads(outside(airflow, "airflow-aml", "schedule", *words, "--json"))


def test_airflow_starts_the_run_by_itself(airflow: LocalAirflow, run: dict[str, Any]) -> None:
    """Without a start the first run is at once, with the values that the schedule gives it."""
    when = datetime.fromisoformat(run["logical_date"])
    log = airflow.rest.task_log(DAG, run["dag_run_id"], "count")

    assert (run["state"], run["run_type"]) == ("success", "scheduled")
    assert f"counted for {when:%Y-%m-%d %H:%M}" in log


def test_airflow_shows_the_schedule_in_words(airflow: LocalAirflow, run: dict[str, Any]) -> None:
    """Airflow's page of the DAG says how often it runs, and when next."""
    details = airflow.rest.dag_details(DAG)
    dag = next(each for each in airflow.rest.dags() if each["dag_id"] == DAG)
    last, coming = (
        datetime.fromisoformat(text)
        for text in (run["logical_date"], dag["next_dagrun_logical_date"])
    )

    assert details["timetable_summary"] == "Every 90 minutes"
    assert details["timetable_description"] == "Every 90 minutes"
    assert (coming - last).total_seconds() == 90 * 60


def test_a_program_finds_it_and_turns_it_off_and_on(
    airflow: LocalAirflow, run: dict[str, Any]
) -> None:
    """The workspace knows the schedule and its runs; disabling it pauses the DAG."""
    listed = terminal(airflow, "list")["schedules"]
    (known,) = [each for each in listed if each["name"] == "sales"]
    assert (known["name"], known["dag_id"], known["status"]) == ("sales", DAG, "Active")

    assert terminal(airflow, "disable", "sales")["status"] == "Disabled"
    assert airflow.rest.dag_details(DAG)["is_paused"]
    identity = airflow.rest.xcoms(DAG, run["dag_run_id"], "reuse")["return_value"]
    told = outside(airflow, sys.executable, "-c", PROGRAM)
    assert told == f"Disabled Finished {identity['pipeline_run_id']} 1"

    assert terminal(airflow, "enable", known["id"])["status"] == "Active"
    assert not airflow.rest.dag_details(DAG)["is_paused"]


def test_the_commands_of_the_page(airflow: LocalAirflow, run: dict[str, Any]) -> None:
    """Each command of docs/schedules.md works as it stands, and leaves the schedule on."""
    page = templates.PROJECT / "docs" / "schedules.md"
    lines = [
        line
        for part in check_docs.parts(page)
        if isinstance(part, check_docs.Block) and part.language == "sh"
        for line in part.text.splitlines()
    ]

    told = [outside(airflow, *shlex.split(line)) for line in lines]

    assert len(told) == 4
    assert "Every 90 minutes" in told[0]
    assert "Active    sales  (DAG sales_stock" in told[1]
    assert told[2:] == ["sales is Disabled", "sales is Active"]

"""A schedule of an endpoint in a real Airflow: it submits the version that is the default then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from airflow_aml.airflow.published import refresh
from airflow_aml.workspace.home import open_home
from scripts.local_airflow import LocalAirflow

DAG = "endpoint_schedule"
PROGRAM = """
from airflow_aml import *
rate = PipelineParameter("rate", 0.1)
step = PythonScriptStep("say.py", name="say", source_directory="src", arguments=[rate])
pipeline, workspace = Pipeline(Workspace(), [step]), Workspace()
endpoint = PipelineEndpoint.publish(workspace, "scheduled", "", pipeline.publish("scheduled0"))
second = pipeline.publish("scheduled1")
endpoint.add_default(second)
print(second.dag_id)
"""
SCHEDULE = """
# Airflow lists this file's schedule of a Pipeline as a DAG.
from airflow_aml import Schedule, ScheduleRecurrence, Workspace

Schedule.create_for_pipeline_endpoint(
    Workspace(), "nightly", "scheduled", "scores", ScheduleRecurrence("Hour", 12),
    pipeline_parameters={"rate": "0.75"},
)
"""
LOOK = """
from airflow_aml import Schedule, Workspace
(schedule,) = Schedule.list(Workspace(), pipeline_endpoint_id="scheduled")
(run,) = schedule.get_pipeline_runs()
print(run.get_status(), run.experiment.name)
"""


def outside(airflow: LocalAirflow, folder: Path, program: str) -> str:
    """What a program prints that works with the workspace and Airflow."""
    environment = {
        **os.environ,
        "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
        "AIRFLOW_AML_API_URL": airflow.url,
        "AIRFLOW_AML_API_USER": airflow.user,
        "AIRFLOW_AML_API_PASSWORD": airflow.password,
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def test_a_schedule_submits_the_default_version(airflow: LocalAirflow, tmp_path: Path) -> None:
    """The second version runs, as it is the default one, with the schedule's values."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "say.py").write_text("import sys\nprint('the rate is', sys.argv[1])\n")
    dag_id = outside(airflow, tmp_path, PROGRAM)
    refresh(open_home(str(airflow.home.workspace)), airflow.dags_folder / "published")
    airflow.rest.wait_for_dag(dag_id)
    folder = airflow.dags_folder / "endpoint"
    folder.mkdir()
    (folder / "schedule.py").write_text(SCHEDULE)

    (submitted,) = airflow.rest.wait_until(
        "the schedule's run", lambda: airflow.rest.dag_runs(dag_id), timeout=300
    )
    run = airflow.rest.wait(dag_id, submitted["dag_run_id"])
    (own,) = airflow.rest.dag_runs(DAG)
    airflow.rest.wait(DAG, own["dag_run_id"])

    assert run["state"] == "success"
    assert "the rate is 0.75" in airflow.rest.task_log(dag_id, run["dag_run_id"], "say")
    assert airflow.rest.xcoms(DAG, own["dag_run_id"], "submit")["return_value"]["version"] == "1"
    assert outside(airflow, tmp_path, LOOK) == "Finished scores"

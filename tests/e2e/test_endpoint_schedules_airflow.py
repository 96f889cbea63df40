"""A schedule of an endpoint in a real Airflow: it submits the version that is the default then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml.airflow.published import refresh
from airflow_aml.workspace.home import open_home
from scripts.local_airflow import LocalAirflow
from tests.e2e.test_watched_airflow import watching

DAG = "endpoint_schedule"
SCRIPT = "import sys\nprint('the rate is', sys.argv[1], 'of', sys.argv[2])\n"
PROGRAM = """
from airflow_aml import *
rate = PipelineParameter("rate", 0.1)
path = PipelineParameter("path", "no file")
step = PythonScriptStep("say.py", name="say", source_directory="src", arguments=[rate, path])
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
BY_ITSELF = """
from airflow_aml import *
schedule = Schedule.create_for_pipeline_endpoint(
    Workspace(), "by a program", "scheduled", "others", ScheduleRecurrence("Hour", 12),
    pipeline_parameters={"rate": 0.5}, wait_for_provisioning=True,
)
print(schedule.id, schedule.dag_id)
"""
DISABLED = """
import sys
from airflow_aml import *
schedule = Schedule.get(Workspace(), sys.argv[1])
schedule.disable()
print(schedule.get_last_pipeline_run().wait_for_completion(show_output=False))
"""
LANDED = """
# Airflow lists this file's schedules of a Pipeline as DAGs.
from airflow_aml import Schedule, Workspace

more = {
    "pipeline_endpoint_id": "scheduled",
    "datastore": Workspace().get_default_datastore(),
    "path_on_datastore": "endpoint-in",
    "polling_interval": 1 / 30,
    "data_path_parameter_name": "path",
}
Schedule.create_for_pipeline_endpoint(Workspace(), "all", experiment_name="all", **more)
Schedule.create_for_pipeline_endpoint(
    Workspace(), "each", experiment_name="each", per_file=True, **more
)
"""
LOOK = """
from airflow_aml import Schedule, Workspace
schedules = Schedule.list(Workspace(), pipeline_endpoint_id="scheduled")
(schedule,) = [each for each in schedules if each.name == "nightly"]
(run,) = schedule.get_pipeline_runs()
print(run.get_status(), run.experiment.name)
"""


def outside(airflow: LocalAirflow, folder: Path, program: str, *arguments: str) -> str:
    """What a program prints that works with the workspace and Airflow."""
    environment = {
        **os.environ,
        "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
        "AIRFLOW_AML_API_URL": airflow.url,
        "AIRFLOW_AML_API_USER": airflow.user,
        "AIRFLOW_AML_API_PASSWORD": airflow.password,
    }
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


@pytest.fixture(scope="module")
def published(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The DAG of the endpoint's default version."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "src").mkdir()
    (folder / "src" / "say.py").write_text(SCRIPT)
    dag_id = outside(airflow, folder, PROGRAM)
    refresh(open_home(str(airflow.home.workspace)), airflow.dags_folder / "published")
    airflow.rest.wait_for_dag(dag_id)
    return dag_id


def test_a_schedule_submits_the_default_version(
    airflow: LocalAirflow, published: str, tmp_path: Path
) -> None:
    """The second version runs, as it is the default one, with the schedule's values."""
    dag_id = published
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


def test_a_program_schedules_the_endpoint(
    airflow: LocalAirflow, published: str, tmp_path: Path
) -> None:
    """Without a file in the DAGs folder; the run that it starts is the schedule's last one."""
    before = {each["dag_run_id"] for each in airflow.rest.dag_runs(published)}
    schedule_id, dag_id = outside(airflow, tmp_path, BY_ITSELF).split()
    assert airflow.rest.dag_details(dag_id)["is_paused"] is False  # it was waited for

    def submitted() -> list[str]:
        found = {each["dag_run_id"] for each in airflow.rest.dag_runs(published)}
        return [*(found - before)]

    (run_id,) = airflow.rest.wait_until("the schedule's run", submitted, timeout=300)
    run = airflow.rest.wait(published, run_id)

    assert (run["state"], run["conf"]["rate"]) == ("success", 0.5)
    assert "the rate is 0.5" in airflow.rest.task_log(published, run_id, "say")
    assert outside(airflow, tmp_path, DISABLED, schedule_id) == "Finished"


def test_files_submit_the_default_version(airflow: LocalAirflow, published: str) -> None:
    """Two files are one run of the published pipeline for one schedule, two for the other."""
    before = {each["dag_run_id"] for each in airflow.rest.dag_runs(published)}
    folder = airflow.dags_folder / "landed"
    folder.mkdir()
    (folder / "landed.py").write_text(LANDED)
    drop = watching(airflow, "endpoint-in")
    for name in ("x/a.csv", "x/b.csv"):
        drop(name)

    def submitted() -> list[str] | None:
        found = airflow.rest.dag_runs(published)
        new = [each["dag_run_id"] for each in found if each["dag_run_id"] not in before]
        over = {each["state"] for each in found} <= {"success", "failed"}
        return new if over and len(new) >= 3 else None

    new = airflow.rest.wait_until("three runs", submitted, timeout=300)
    logs = [airflow.rest.task_log(published, run_id, "say") for run_id in new]
    said = sorted(log.partition("the rate is 0.1 of ")[2].split("\n")[0] for log in logs)
    shutil.rmtree(folder)

    assert said == ["endpoint-in/x", "endpoint-in/x/a.csv", "endpoint-in/x/b.csv"]

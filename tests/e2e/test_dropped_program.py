"""An unchanged v1 program in the DAGs folder of a real Airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from airflow_aml.definition.published import dag_id_of
from airflow_aml.workspace import published
from airflow_aml.workspace.home import open_home
from airflow_aml.workspace.schedules import kept_schedules
from scripts.local_airflow import LocalAirflow

PROGRAMS = Path(__file__).parent.parent / "programs"
SHAPES = PROGRAMS / "shapes"


PUBLISHES_RUNS = """\
import sys

import requests
from azureml.core import Workspace
from azureml.core.authentication import InteractiveLoginAuthentication
from azureml.pipeline.core import PipelineRun

ws = Workspace.from_config()
aad_token = InteractiveLoginAuthentication().get_authentication_header()
runs = [PipelineRun.get(ws, run_id) for run_id in sys.argv[1:]]
published = [run.publish_pipeline(name="Sample", description="As it ran") for run in runs]
for published_pipeline1 in published:
    response = requests.post(
        published_pipeline1.endpoint,
        headers=aad_token,
        json={"ExperimentName": "Samples", "ParameterAssignments": {"pipeline_arg": "posted"}},
    )
    print(published_pipeline1.id, response.status_code)
"""


def test_a_v1_program_is_a_dag_and_runs(airflow: LocalAirflow) -> None:
    """Dropped as it stands, it shows up, its steps run, and a broken neighbour is one error."""
    folder = airflow.dags_folder / "v1"
    folder.mkdir()
    shutil.copytree(SHAPES / "src", folder / "src")
    shutil.copy(SHAPES / "exits.py", folder)
    (folder / "broken.py").write_text("from azureml.pipeline.core import Pipeline\nx = = 1\n")

    airflow.rest.wait_for_dag("v1_exits")
    run = airflow.rest.wait("v1_exits", airflow.rest.trigger("v1_exits", {}))

    assert run["state"] == "success"
    errors = [str(each["stack_trace"]) for each in airflow.rest.import_errors()]
    assert [text for text in errors if "broken.py:2: SyntaxError: invalid syntax" in text]
    (folder / "broken.py").unlink()
    airflow.rest.wait_until("the import error to go", lambda: not airflow.rest.import_errors())


def execute(
    folder: Path, airflow: LocalAirflow, *words: str, program: str = "program.py"
) -> subprocess.CompletedProcess[str]:
    """Runs a folder's program from the terminal, with that Airflow."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("airflow-aml")), "exec", program, *words],
        cwd=folder,
        env={
            **os.environ,
            "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
            "AIRFLOW_AML_API_URL": airflow.url,
            "AIRFLOW_AML_API_USER": airflow.user,
            "AIRFLOW_AML_API_PASSWORD": airflow.password,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_first_samples_run_and_are_published(airflow: LocalAirflow, tmp_path: Path) -> None:
    """Dropped as they stand they run; each run is published, and what is posted reaches a step."""
    folder = airflow.dags_folder / "samples"
    for name in ("seed_000", "seed_001", "seed_002"):
        shutil.copytree(PROGRAMS / name, folder / name)
    sees = {
        "samples_seed_000_program": None,
        "samples_seed_001_program": None,
        "samples_seed_002_program": "compare",
        "samples_seed_002_more": "train",
    }
    for dag_id in sees:
        airflow.rest.wait_for_dag(dag_id)
    confs = {dag_id: {"pipeline_arg": "chosen"} if step else {} for dag_id, step in sees.items()}
    runs = {dag_id: airflow.rest.trigger(dag_id, conf) for dag_id, conf in confs.items()}
    states = {dag_id: airflow.rest.wait(dag_id, run)["state"] for dag_id, run in runs.items()}
    assert states == dict.fromkeys(sees, "success")
    heads = [airflow.rest.xcoms(*each, "reuse")["return_value"] for each in runs.items()]
    (tmp_path / "program.py").write_text(PUBLISHES_RUNS)

    done = execute(tmp_path, airflow, *[head["pipeline_run_id"] for head in heads])

    assert done.returncode == 0, done.stderr
    posted = dict(line.split() for line in done.stdout.splitlines())
    assert [*posted.values()] == ["200"] * len(sees)
    home = open_home(str(airflow.home.workspace))
    for identity, step in zip(posted, sees.values(), strict=True):
        dag_id = dag_id_of(published.read(home, identity))
        (run,) = airflow.rest.dag_runs(dag_id)
        assert airflow.rest.wait(dag_id, run["dag_run_id"])["state"] == "success"
        if step:
            assert "with posted" in airflow.rest.task_log(dag_id, run["dag_run_id"], step)


def test_the_guides_program_runs_by_exec_and_calls_its_endpoint(airflow: LocalAirflow) -> None:
    """It submits, waits, publishes, posts to addresses, submits to an endpoint, and disables."""
    folder = airflow.dags_folder / "guide"
    refused = shutil.ignore_patterns("databricks.py", "data_lake_analytics.py")
    shutil.copytree(PROGRAMS / "seed_003", folder, ignore=refused)
    airflow.rest.wait_for_dag("guide_program")

    done = execute(folder, airflow)

    assert done.returncode == 0, done.stderr
    assert "PipelineRun(id=" in done.stdout.splitlines()[-1]
    home = open_home(str(airflow.home.workspace))
    known = (published.read(home, identity) for identity in published.states(home))
    (record,) = (each for each in known if each.name == "My_Published_Pipeline")
    dag_id = dag_id_of(record)
    runs = airflow.rest.dag_runs(dag_id)
    values = {each["dag_run_id"]: each["conf"].get("pipeline_arg") for each in runs}
    (posted,) = (run_id for run_id, value in values.items() if value == 20)
    warned = {each["dag_run_id"]: each["conf"]["_aml"].get("warnings") for each in runs}
    assert len(runs) == 4  # two were posted, and two submitted to the endpoint
    assert airflow.rest.wait(dag_id, posted, timeout=300)["state"] == "success"
    written = [each.read_text() for each in home.root.rglob("compared.txt")]
    assert any(text.endswith("limit 20") for text in written), written
    (other,) = (run_id for run_id, each in warned.items() if each)
    assert airflow.rest.wait(dag_id, other, timeout=300)["state"] == "success"
    log = airflow.rest.task_log(dag_id, other, "reuse")
    assert "ParameterAssignments: '1' is not known to this pipeline, and ignored." in log


def test_a_program_waits_publishes_and_schedules_by_exec(airflow: LocalAirflow) -> None:
    """Its run ends in Airflow, the address that it prints is there, and the schedule runs."""
    folder = airflow.dags_folder / "short"
    shutil.copytree(PROGRAMS / "seed_004", folder)
    airflow.rest.wait_for_dag("short_program.training")

    done = execute(folder, airflow)

    assert done.returncode == 0, done.stderr
    assert "PipelineRun Status: Finished" in done.stdout
    address, posted = done.stdout.splitlines()[-2:]
    assert address.startswith(f"{airflow.url}/aml/pipelines/v1.0/")
    assert len(posted.removeprefix("run ")) == 36
    kept = {each["name"]: each for each in kept_schedules(open_home(str(airflow.home.workspace)))}
    schedule, reactive = kept["Daily Training"], kept["Reactive Training"]
    airflow.rest.wait_for_dag(reactive["dag_id"])
    airflow.rest.wait_for_dag(schedule["dag_id"])
    runs = airflow.rest.wait_until(
        "its first run", lambda: airflow.rest.dag_runs(schedule["dag_id"])
    )
    assert airflow.rest.wait(schedule["dag_id"], runs[0]["dag_run_id"])["state"] == "success"


def test_a_program_posts_to_the_address_of_what_it_has_published(airflow: LocalAirflow) -> None:
    """The answer has the run's id, and the run, which has the value that was posted, succeeds."""
    folder = airflow.dags_folder / "posts"
    folder.mkdir()
    shutil.copytree(SHAPES / "src", folder / "src")
    shutil.copy(SHAPES / "publishes.py", folder)

    done = execute(folder, airflow, program="publishes.py")

    assert done.returncode == 0, done.stderr
    setting, run_id = done.stdout.splitlines()[-2:]
    dag_id = f"Say_hello-{setting.partition(']')[2][:8]}"
    (run,) = airflow.rest.wait_until("its run", lambda: airflow.rest.dag_runs(dag_id))
    assert len(run_id) == 36
    assert run["conf"]["word"] == "again"
    assert airflow.rest.wait(dag_id, run["dag_run_id"])["state"] == "success"

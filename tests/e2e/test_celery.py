"""Two Celery workers on PostgreSQL and Redis, a workspace in Azurite: the demo, and a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery

from airflow_aml.workspace import manifests
from airflow_aml.workspace.stores import open_store
from scripts import templates
from scripts.demo import STEPS, find_dag, task_id_of
from scripts.local_airflow import LocalAirflow
from scripts.postgresql import PostgreSql
from scripts.redis_server import Redis
from scripts.test_servers import NotInstalledError, Server, azurite, make_container
from tests.e2e import killing

pytestmark = pytest.mark.soak

WORKERS = {"worker-1": "default", "worker-2": "default,trainers"}
SETTINGS = {
    **templates.AML_SETTINGS,
    "aml.workspace": "abfs://my_azure@work/aml",
    # The demo's steps name this compute.
    "aml.computes": json.dumps(
        {"cpu-cluster": {"queue": "trainers", "pool": "trainers", "max_nodes": 2}}
    ),
    "core.executor": "CeleryExecutor",
    "celery.worker_concurrency": "2",
    # How soon a task counts as lost whose worker was killed; the default is 300 s.
    "scheduler.task_instance_heartbeat_timeout": "12",
    "scheduler.task_instance_heartbeat_timeout_detection_interval": "2",
}
PATIENCE = 240


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Any]]:
    """What a team's Airflow stands on, all of it started here."""
    with ExitStack() as stack:
        try:
            database = stack.enter_context(PostgreSql())
            broker = stack.enter_context(Redis())
            store = stack.enter_context(azurite())
        except NotInstalledError as reason:
            pytest.skip(str(reason))
        make_container(store, "work")
        yield {"database": database, "broker": broker, "store": store}


@pytest.fixture(scope="module")
def store(servers: dict[str, Any]) -> Server:
    """The object store."""
    found: Server = servers["store"]
    return found


@pytest.fixture(scope="module")
def airflow(
    servers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """A running Airflow with two workers and the demo."""
    folder = tmp_path_factory.mktemp("airflow-on-celery")
    settings = {
        **SETTINGS,
        "aml.scratch": str(folder / "scratch"),
        **servers["database"].airflow_settings,
        "celery.broker_url": servers["broker"].address,
        "celery.result_backend": f"db+{servers['database'].address}",
    }
    templates.copy("diabetes", folder / "dags", replace=True)
    with LocalAirflow(folder, extra_settings=settings, workers=WORKERS) as running:
        file = tmp_path_factory.mktemp("connections") / "connections.json"
        wasb = {"conn_type": "wasb", "extra": servers["store"].options}
        file.write_text(json.dumps({"my_azure": wasb}))
        done = running.run("connections", "import", str(file))
        assert done.returncode == 0, done.stderr
        yield running


def ran(airflow: LocalAirflow, dag_id: str, conf: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Runs a DAG to its good end; the XComs of each task."""
    run_id = airflow.rest.trigger(dag_id, conf)
    return ended(airflow, dag_id, run_id)


def ended(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
    """Waits for a run's good end; the XComs of each task."""
    state = airflow.rest.wait(dag_id, run_id, timeout=PATIENCE)["state"]
    tasks = [each["task_id"] for each in airflow.rest.task_instances(dag_id, run_id)]
    assert state == "success", [airflow.rest.task_log(dag_id, run_id, each) for each in tasks]
    return {each: airflow.rest.xcoms(dag_id, run_id, each) for each in tasks}


def test_the_demo_runs_on_the_worker_that_serves_its_queue(
    airflow: LocalAirflow, store: Server
) -> None:
    """A compute's queue decides where its steps run; a second run reuses them from the store.

    The compute's pool is there: without it the steps would never start.
    """
    dag_id = find_dag(airflow, airflow.dags_folder / "diabetes" / "pipeline.py")
    tasks = [task_id_of(airflow, dag_id, name) for name in STEPS]

    first = ran(airflow, dag_id, {})
    again = ran(airflow, dag_id, {})

    assert [first[task]["return_value"]["status"] for task in tasks] == ["Finished"] * 3
    assert [again[task]["return_value"]["status"] for task in tasks] == ["Reused"] * 3
    uri = first[tasks[-1]]["metrics"]["uri"]
    assert uri.startswith("abfs://work/aml/data/")
    metrics = json.loads(open_store(uri, store.options).read("metrics.json"))
    assert 0 < metrics["r2"] < 1
    assert airflow.rest.get("/api/v2/pools/trainers").json()["slots"] == 2
    logs = {name: airflow.home.process_log(name).read_text() for name in WORKERS}
    for task in tasks:
        assert f"task_id='{task}'" not in logs["worker-1"]
        assert f"task_id='{task}'" in logs["worker-2"]


def test_a_worker_that_is_killed_in_the_middle_of_a_step_is_made_good_by_the_other(
    airflow: LocalAirflow, servers: dict[str, Any], store: Server, tmp_path: Path
) -> None:
    """Airflow tries the step again elsewhere; nothing of what was half written is used."""
    Celery(broker=servers["broker"].address).control.add_consumer(
        "trainers", destination=["celery@worker-1"]
    )
    dag_id = find_dag(airflow, airflow.dags_folder / "diabetes" / "pipeline.py")
    prepare, train, evaluate = (task_id_of(airflow, dag_id, name) for name in STEPS)
    conf = {"regularization": 0.5}
    run_id = airflow.rest.trigger(dag_id, conf)
    script = killing.until("the script", training, PATIENCE)
    script.suspend()
    half = Path(option(script, "--model"), "model.joblib")
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half of a model")

    airflow.lose(airflow.started_by(script.pid))

    assert not killing.alive(script.pid)
    first = ended(airflow, dag_id, run_id)
    tries = {
        task: airflow.rest.task_instance(dag_id, run_id, task)["try_number"]
        for task in (train, evaluate)
    }
    assert tries == {train: 2, evaluate: 1}
    data, model = first[prepare]["prepared_data"], first[train]["model"]
    digest_in(store, data["uri"], tmp_path / "data")
    words = ["--data", tmp_path / "data", "--regularization", "0.5", "--model", tmp_path / "alone"]
    program = airflow.dags_folder / "diabetes" / "train" / "train.py"
    subprocess.run([sys.executable, program, *words], check=True)
    whole = str(manifests.build(tmp_path / "alone").digest)
    assert model["digest"] == whole == digest_in(store, model["uri"], tmp_path / "model")
    again = ran(airflow, dag_id, conf)
    statuses = [again[task]["return_value"]["status"] for task in (prepare, train, evaluate)]
    assert statuses == ["Reused"] * 3


def training() -> psutil.Process | None:
    """The demo's script that trains, where it runs just now."""
    for each in psutil.process_iter(["cmdline"]):
        if "train.py" in (each.info["cmdline"] or ()):
            return each
    time.sleep(0.05)
    return None


def option(script: psutil.Process, name: str) -> str:
    """What a script was given for an option."""
    words = script.cmdline()
    return str(words[words.index(name) + 1])


def digest_in(store: Server, uri: str, folder: Path) -> str:
    """The digest of the files that are really in the store."""
    place = open_store(uri, store.options)
    for each in place.find():
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(place.read(each.path))
    return str(manifests.build(folder).digest)

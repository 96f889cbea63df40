"""Two Celery workers on PostgreSQL and Redis, a workspace in Azurite: the demo, and a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

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
FILES = 200
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
    """A running Airflow with two workers, the demo and the chain of three steps."""
    folder = tmp_path_factory.mktemp("airflow-on-celery")
    address = servers["database"].address
    settings = {
        **SETTINGS,
        "aml.scratch": str(folder / "scratch"),
        "database.sql_alchemy_conn": address,
        "database.sql_alchemy_conn_async": address,
        "celery.broker_url": servers["broker"].address,
        "celery.result_backend": f"db+{address}",
    }
    templates.copy("diabetes", folder / "dags", replace=True)
    shutil.copytree(killing.CHAIN, folder / "dags" / "chain")
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
    airflow: LocalAirflow, store: Server, tmp_path: Path
) -> None:
    """Airflow tries the step again elsewhere; nothing of what was half written is used."""
    notes, scratch = tmp_path / "round", airflow.home.path / "scratch"
    notes.mkdir()
    conf = {"notes": str(notes), "files": FILES, "pause": 6.0}
    airflow.rest.wait_for_dag("chain")
    run_id = airflow.rest.trigger("chain", conf)
    started = killing.until("the script", lambda: next(notes.glob("turn-*.pid"), None), PATIENCE)
    script = int(started.read_text())
    killing.until(
        "half of its files",
        lambda: len(list(scratch.rglob("turn_out/*/*.txt"))) > FILES // 2,
        PATIENCE,
    )

    airflow.lose(airflow.started_by(script))

    assert not killing.alive(script)
    first = ended(airflow, "chain", run_id)
    tries = {
        step: airflow.rest.task_instance("chain", run_id, step)["try_number"]
        for step in killing.STEPS
    }
    assert tries == {"make": 1, "turn": 2, "last": 1}
    whole = killing.undisturbed(notes, FILES, tmp_path / "alone")
    for step, digest in whole.items():
        output = first[step][f"{step}_out"]
        assert output["digest"] == digest == digest_in(store, output["uri"], tmp_path / step)
    again = ran(airflow, "chain", conf)
    assert [again[step]["return_value"]["status"] for step in killing.STEPS] == ["Reused"] * 3
    assert killing.executions(notes) == {"make": 1, "turn": 2, "last": 1}


def digest_in(store: Server, uri: str, folder: Path) -> str:
    """The digest of the files that are really in the store."""
    place = open_store(uri, store.options)
    for each in place.find():
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(place.read(each.path))
    return str(manifests.build(folder).digest)

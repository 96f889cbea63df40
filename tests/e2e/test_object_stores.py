"""The demo's pipeline with its data in object stores, on a real Airflow: nothing of it changes.

One Airflow, whose ``[aml] workspace`` is in Azurite; two more workspaces are reached by name. What
opens a store is an Airflow connection, kept in Airflow's own database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.workspace import datastores
from airflow_aml.workspace.datastores import DatastoreRecord
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.stores import open_store
from scripts import templates, test_servers
from scripts.demo import find_dag, task_id_of
from scripts.local_airflow import LocalAirflow
from scripts.test_servers import AZURE_KEY, NotInstalledError, Server, make_container

STEPS = {"prepare": "prepared_data", "train": "model", "evaluate": "metrics"}


@dataclass(frozen=True)
class Story:
    """A copy of the demo and where its outputs belong."""

    name: str
    url: str
    options: dict[str, Any]
    secret: str


@pytest.fixture(scope="module")
def azurite() -> Iterator[Server]:
    yield from started(test_servers.azurite)


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    yield from started(test_servers.s3)


def started(start: Any) -> Iterator[Server]:
    try:
        server = start()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        make_container(server, "work")
        yield server


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A local workspace whose default datastore is in Azurite."""
    home = open_home(str(tmp_path_factory.mktemp("disk")))
    record = DatastoreRecord("lake", "AzureBlob", "abfs://work/lake", {}, "my_azure")
    datastores.save_datastore(home, record, {})
    datastores.set_default_datastore(home, "lake")
    return home


@pytest.fixture(scope="module")
def airflow(
    azurite: Server, s3: Server, on_disk: Home, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """An Airflow with its workspaces in object stores, and a copy of the demo for each."""
    folder = tmp_path_factory.mktemp("airflow-on-stores")
    settings = {
        **templates.AML_SETTINGS,
        "aml.workspace": "abfs://my_azure@work/aml",
        "aml.workspaces": json.dumps({"on-s3": "s3://my_s3@work/aml", "on-disk": on_disk.url}),
    }
    for name in ("default", "on-s3", "on-disk"):
        copy = templates.copy("diabetes", folder / "dags" / name, replace=True)
        if name != "default":
            (copy / "config.json").write_text(json.dumps({"workspace_name": name}))
    with LocalAirflow(folder, extra_settings=settings) as running:
        # From a file: what a command line says stands in Airflow's audit log.
        file = tmp_path_factory.mktemp("connections") / "connections.json"
        file.write_text(json.dumps(connections(azurite, s3)))
        done = running.run("connections", "import", str(file))
        assert done.returncode == 0, done.stderr
        yield running


def connections(azurite: Server, s3: Server) -> dict[str, Any]:
    extra = {"endpoint_url": s3.options["endpoint_url"], "region_name": "eu-west-1"}
    aws = {"conn_type": "aws", "login": s3.options["key"], "password": s3.options["secret"]}
    return {
        "my_azure": {"conn_type": "wasb", "extra": azurite.options},
        "my_s3": {**aws, "extra": extra},
    }


@pytest.fixture(params=["default", "on-s3", "on-disk"])
def story(request: pytest.FixtureRequest, azurite: Server, s3: Server) -> Story:
    if request.param == "on-s3":
        return Story(request.param, "s3://work/aml/data", s3.options, s3.options["secret"])
    folder = "aml/data" if request.param == "default" else "lake"
    return Story(request.param, f"abfs://work/{folder}", azurite.options, AZURE_KEY)


def test_the_demo_runs_where_the_setting_says(airflow: LocalAirflow, story: Story) -> None:
    """Outputs are in the store, logs show what was staged from it, and no key is anywhere."""
    dag_id = find_dag(airflow, airflow.dags_folder / story.name / "diabetes" / "pipeline.py")

    run_id = airflow.rest.trigger(dag_id, {})
    run = airflow.rest.wait(dag_id, run_id, timeout=400)

    logs, uris = {}, {}
    for step, output in STEPS.items():
        task = task_id_of(airflow, dag_id, step)
        logs[step] = airflow.rest.task_log(dag_id, run_id, task)
        assert run["state"] == "success", logs
        uris[output] = airflow.rest.xcoms(dag_id, run_id, task)[output]["uri"]
    assert all(uri.startswith(f"{story.url}/") for uri in uris.values()), uris
    for step, name, output in (
        ("train", "training_data", "prepared_data"),
        ("evaluate", "trained_model", "model"),
    ):
        assert f"input {name!r} is at /" in logs[step]
        assert f"staged from {uris[output]} (" in logs[step]
    store = open_store(uris["metrics"], story.options)
    assert 0 < json.loads(store.read("metrics.json"))["r2"] < 1
    assert not mentions(airflow.home.path, story.secret)


def mentions(folder: Path, secret: str) -> list[Path]:
    """The logs, database and other files that hold a secret; Airflow encrypts connections."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes()
    ]

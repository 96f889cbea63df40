"""A watched folder in a real Airflow: files are dropped, runs start, steps see what has changed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_aml.workspace.datastores import DatastoreRecord, save_datastore
from airflow_aml.workspace.home import open_home
from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.watches import Journal, watch_id
from scripts import templates
from scripts.local_airflow import LocalAirflow
from scripts.test_servers import Server
from tests.e2e.test_object_stores import azurite  # noqa: F401 - a fixture

FOLDER = Path(__file__).parent / "watched"
BATCH, SINGLE = "watched_landing.batch", "watched_landing.single"
PATH = '"path_on_datastore": "{}"'
INTERVAL = 2.0
PATIENCE = 300

Drop = Callable[..., Path]


def journal_of(airflow: LocalAirflow, folder: str, datastore: str = "") -> Journal:
    """What the workspace knows of a watched folder."""
    return Journal(open_home(str(airflow.home.workspace)).store, watch_id(datastore, folder))


def watching(airflow: LocalAirflow, folder: str) -> Drop:
    """Waits until Airflow watches a folder; gives what writes a file of it."""
    journal = journal_of(airflow, folder)
    airflow.rest.wait_until("the watch to begin", journal.identity, timeout=PATIENCE)
    place = Path(airflow.home.workspace, "datastores", "workspaceblobstore", folder)

    def write(name: str, text: str = "x") -> Path:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="module")
def drop(airflow: LocalAirflow) -> Drop:
    """Writes a file of the folder that Airflow watches."""
    shutil.copytree(FOLDER, airflow.dags_folder / "watched", dirs_exist_ok=True)
    return watching(airflow, "watched")


def runs(airflow: LocalAirflow, dag_id: str, count: int) -> list[dict[str, Any]]:
    """The DAG's runs, oldest first, once there are so many and all have ended."""

    def ended() -> list[dict[str, Any]] | None:
        found = airflow.rest.dag_runs(dag_id)
        states = [each["state"] for each in found]
        return found if len(found) >= count and {*states} <= {"success", "failed"} else None

    found = airflow.rest.wait_until(f"{count} runs of {dag_id}", ended, timeout=PATIENCE)
    return sorted(found, key=lambda each: str(each["run_after"]))


def run_of(airflow: LocalAirflow, dag_id: str, path: str) -> dict[str, Any]:
    """The run that has a changed file, once it has ended: its note names the file."""

    def ended() -> dict[str, Any] | None:
        for run in airflow.rest.dag_runs(dag_id):
            if path in (run["note"] or "") and run["state"] in ("success", "failed"):
                return run
        return None

    found: dict[str, Any] = airflow.rest.wait_until(f"the run of {path}", ended, timeout=PATIENCE)
    return found


def declare(airflow: LocalAirflow, name: str, changes: dict[str, str]) -> None:
    """A file like that of this folder, but for some words and with one schedule alone."""
    shutil.copytree(FOLDER, airflow.dags_folder / name)
    text = (FOLDER / "landing.py").read_text()
    text = "\n".join(line for line in text.splitlines() if "per_file" not in line)
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (airflow.dags_folder / name / "landing.py").write_text(text)


def test_files_that_are_dropped_start_a_run(airflow: LocalAirflow, drop: Drop) -> None:
    """A burst is one run, which tells what has changed; one run per file has each by itself."""
    dropped = time.time()
    for name in ("new/a.csv", "new/b.csv", "new/c.csv"):
        drop(name)

    (run,) = runs(airflow, BATCH, 1)
    log = airflow.rest.task_log(BATCH, run["dag_run_id"], "look")
    head = airflow.rest.xcoms(BATCH, run["dag_run_id"], "reuse")["return_value"]
    waited = datetime.fromisoformat(run["start_date"]).timestamp() - dropped

    print(f"\nfrom the files to the run: {waited:.1f} s, looked at every {INTERVAL:g} s")
    assert (run["state"], run["run_type"]) == ("success", "asset_triggered")
    assert "looked at watched/new" in log
    assert run["note"].startswith("3 files changed in workspaceblobstore: watched/new/a.csv, ")
    assert head["changed"]["paths"] == [f"watched/new/{name}.csv" for name in "abc"]
    singles = runs(airflow, SINGLE, 3)
    seen = {
        airflow.rest.task_log(SINGLE, each["dag_run_id"], "look").partition("looked at ")[2][:17]
        for each in singles
    }
    assert len(singles) == 3
    assert seen == {f"watched/new/{name}.csv" for name in "abc"}
    assert all(each["note"] for each in singles)


def test_a_file_that_is_written_again_starts_a_run(airflow: LocalAirflow, drop: Drop) -> None:
    """A changed file under its old name is no old result: the step runs."""
    before = len(runs(airflow, BATCH, 1))
    drop("new/a.csv", "first change")
    first = runs(airflow, BATCH, before + 1)[-1]
    drop("new/a.csv", "a second change")
    second = runs(airflow, BATCH, before + 2)[-1]

    told = [
        airflow.rest.xcoms(BATCH, each["dag_run_id"], "look")["return_value"]
        for each in (first, second)
    ]
    assert [each["state"] for each in (first, second)] == ["success", "success"]
    assert told[0]["fingerprint"] != told[1]["fingerprint"]
    # The other schedule's run of the same file does the same at the same time: one of them works.
    assert all(each["source_run"] is None or "single" in str(each["source_run"]) for each in told)


def test_a_run_with_nothing_left_skips_its_steps(airflow: LocalAirflow, drop: Drop) -> None:
    """Somebody tells Airflow of a change that is none: the run says so, and rests."""
    before = len(runs(airflow, BATCH, 1))
    login = {"username": airflow.user, "password": airflow.password}
    token = httpx.post(f"{airflow.url}/auth/token", json=login).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assets = httpx.get(f"{airflow.url}/api/v2/assets?name_pattern=watched", headers=headers)
    (asset,) = [
        each
        for each in assets.json()["assets"]
        if "/workspaceblobstore/" in each["uri"] or "/default/watched" in each["uri"]
    ]
    event = {"asset_id": asset["id"], "extra": {}}
    done = httpx.post(f"{airflow.url}/api/v2/assets/events", json=event, headers=headers)
    assert done.status_code == 200, done.text

    run = runs(airflow, BATCH, before + 1)[-1]
    log = airflow.rest.task_log(BATCH, run["dag_run_id"], "reuse")
    assert run["state"] == "success"
    assert "other runs have taken all changed files: every step is skipped" in log
    assert airflow.rest.task_instance(BATCH, run["dag_run_id"], "look")["state"] == "skipped"


@pytest.mark.soak
def test_a_triggerer_that_is_killed_misses_nothing(airflow: LocalAirflow, drop: Drop) -> None:
    """A file that is dropped while the triggerer is down starts its run when it is back."""
    drop("late.csv")
    airflow.restart("triggerer")

    # What was told just before may be told again, to a run that finds nothing left.
    def taken() -> list[str]:
        heads = (
            airflow.rest.xcoms(BATCH, run["dag_run_id"], "reuse")["return_value"]
            for run in runs(airflow, BATCH, 1)
        )
        paths = [path for head in heads for path in head["changed"]["paths"]]
        return [path for path in paths if path == "watched/late.csv"]

    assert len(airflow.rest.wait_until("late.csv to be taken", taken, timeout=PATIENCE)) == 1


def test_the_template_looks_at_new_files(airflow: LocalAirflow) -> None:
    """The template's step reads the file that has been dropped into the folder."""
    drop = watching(airflow, "incoming")
    drop("first.csv", "a,b\n1,2\n")

    run = run_of(airflow, "new_files_pipeline", "incoming/first.csv")
    log = airflow.rest.task_log("new_files_pipeline", run["dag_run_id"], "look")
    assert "first.csv: 8 bytes" in log
    assert "1 files at incoming/first.csv" in log


def test_the_template_registers_the_better_model(airflow: LocalAirflow) -> None:
    """Measurements of a week train a model; those of the next a better one, which takes over; and
    one that a broken sensor has spoiled stays out."""
    drop = watching(airflow, "measurements")
    examples = templates.TEMPLATES / "retraining/example_data"

    def compared(name: str) -> str:
        drop(f"{name}.csv", (examples / f"{name}.csv").read_text())
        run = run_of(airflow, "retraining_pipeline", f"measurements/{name}.csv")
        return airflow.rest.task_log("retraining_pipeline", run["dag_run_id"], "compare")

    assert "registered version 1: its error is" in compared("week_1")
    assert "registered version 2: its error is" in compared("week_2")
    drop("week_3.csv", "temperature,pressure,output\n17.1,1.41,9999\n")
    run = run_of(airflow, "retraining_pipeline", "measurements/week_3.csv")
    again = airflow.rest.task_log("retraining_pipeline", run["dag_run_id"], "compare")
    assert "version 2 stays: its error is" in again


def test_blobs_start_a_run(airflow: LocalAirflow, azurite: Server, tmp_path: Path) -> None:  # noqa: F811
    """A file in a container of blobs, which an Airflow connection opens, starts a run as well."""
    connections = tmp_path / "connections.json"
    extra = {"conn_type": "wasb", "extra": azurite.options}
    connections.write_text(json.dumps({"watched_azure": extra}))
    done = airflow.run("connections", "import", str(connections))
    assert done.returncode == 0, done.stderr
    record = DatastoreRecord("lake", "AzureBlob", "abfs://work/lake", {}, "watched_azure")
    save_datastore(open_home(str(airflow.home.workspace)), record, {})
    store = {"workspace.get_default_datastore()": '"lake"'}
    declare(airflow, "blobs", {**store, PATH.format("watched"): PATH.format("landed")})
    journal = journal_of(airflow, "landed", "lake")
    airflow.rest.wait_until("the watch to begin", journal.identity, timeout=PATIENCE)
    open_store("abfs://work/lake", azurite.options).write("landed/a.csv", b"x")

    run = run_of(airflow, "blobs_landing", "landed/a.csv")
    assert run["note"] == "1 file changed in lake: landed/a.csv"
    log = airflow.rest.task_log("blobs_landing", run["dag_run_id"], "look")
    assert "looked at landed/a.csv" in log
    shutil.rmtree(airflow.dags_folder / "blobs")  # the watch ends, as the server does

"""Reuse on a real Airflow: cleared steps, concurrent runs, the link to the result that is used."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.demo import find_dag
from scripts.local_airflow import LocalAirflow

STEPS = ("prepare", "train", "evaluate")


@pytest.fixture(scope="module")
def dag_id(airflow: LocalAirflow) -> str:
    """A copy of the demo that is this module's alone, with results of its own."""
    folder = airflow.dags_folder / "again"
    shutil.copytree(airflow.dags_folder / "diabetes", folder)
    script = folder / "prepare" / "prepare.py"
    script.write_text(script.read_text().replace("random_state=0", "random_state=1"))
    return find_dag(airflow, folder / "pipeline.py")


def run(airflow: LocalAirflow, dag_id: str) -> str:
    """Runs it to a good end."""
    run_id = airflow.rest.trigger(dag_id)
    assert airflow.rest.wait(dag_id, run_id)["state"] == "success"
    return run_id


def states(airflow: LocalAirflow, dag_id: str, run_id: str) -> list[str]:
    """The states of the three steps."""
    found = {task["task_id"]: task["state"] for task in airflow.rest.task_instances(dag_id, run_id)}
    return [found[step] for step in STEPS]


def result(airflow: LocalAirflow, dag_id: str, run_id: str, step: str) -> dict:
    """A step's return value."""
    return dict(airflow.rest.xcoms(dag_id, run_id, step)["return_value"])


@pytest.fixture(scope="module")
def two_runs(airflow: LocalAirflow, dag_id: str) -> tuple[str, str]:
    """One run after the other."""
    return run(airflow, dag_id), run(airflow, dag_id)


def test_the_second_run_is_one_task(
    airflow: LocalAirflow, dag_id: str, two_runs: tuple[str, str]
) -> None:
    """Every step is skipped, its XComs are there, and the sensor's log says why."""
    first, second = two_runs

    assert states(airflow, dag_id, first) == ["success"] * 3
    assert states(airflow, dag_id, second) == ["skipped"] * 3
    for step in STEPS:
        ran, reused = (airflow.rest.xcoms(dag_id, each, step) for each in two_runs)
        assert reused["return_value"]["status"] == "Reused"
        assert {**ran, "return_value": 0} == {**reused, "return_value": 0}
    log = airflow.rest.task_log(dag_id, second, "reuse")
    assert "3 of 3 steps reused" in log
    assert f"nothing changed since run '{first}'" in log


def test_a_link_leads_to_the_result_that_is_used(
    airflow: LocalAirflow, dag_id: str, two_runs: tuple[str, str]
) -> None:
    """A reused step has a link to the task that made its result; a step that ran has none."""
    first, second = two_runs
    for run_id, expected in ((first, ""), (second, f"/dags/{dag_id}/runs/")):
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/train/links"
        link = airflow.rest.get(path).json()["extra_links"]["Reused result"]
        assert (link or "").startswith(expected)
        assert bool(link) == (run_id == second)


def test_clearing_a_reused_step_runs_it(airflow: LocalAirflow, dag_id: str) -> None:
    """ "Clear" means "run this one": it does, and only it."""
    run_id = run(airflow, dag_id)
    airflow.rest.clear(dag_id, run_id, "train")

    assert airflow.rest.wait(dag_id, run_id)["state"] == "success"

    assert result(airflow, dag_id, run_id, "train")["status"] == "Finished"
    assert "cleared" in result(airflow, dag_id, run_id, "train")["reason"]
    assert states(airflow, dag_id, run_id)[1] == "success"


def test_runs_at_once_do_the_work_once(airflow: LocalAirflow, dag_id: str) -> None:
    """Of runs that start together one executes each step, and the others use its result."""
    script = Path(airflow.dags_folder, "again", "prepare", "prepare.py")
    script.write_text(script.read_text().replace("random_state=1", "random_state=2"))
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: run(airflow, dag_id), range(4)))

    for step in STEPS:
        results = [result(airflow, dag_id, each, step) for each in runs]
        assert sorted(each["status"] for each in results) == ["Finished"] + ["Reused"] * 3
        digests = {airflow.rest.xcoms(dag_id, each, step)[OUTPUTS[step]]["uri"] for each in runs}
        assert len(digests) == 1


OUTPUTS = {"prepare": "prepared_data", "train": "model", "evaluate": "metrics"}

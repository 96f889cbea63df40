"""The demo's pipeline runs on a real Airflow, triggered over REST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from scripts.demo import read_metrics, task_id_of
from scripts.local_airflow import LocalAirflow

STEPS = ["prepare", "train", "evaluate"]


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended, and the order in which its steps reached a state."""

    dag_id: str
    run_id: str
    state: str
    seen: list[tuple[str, str]]


def run_to_end(airflow: LocalAirflow, dag_id: str, conf: dict[str, Any]) -> FinishedRun:
    seen: list[tuple[str, str]] = []
    run_id = airflow.rest.trigger(dag_id, conf)
    run = airflow.rest.wait(
        dag_id, run_id, lambda task: seen.append((task["task_display_name"], task["state"]))
    )
    return FinishedRun(dag_id, run_id, run["state"], seen)


@pytest.fixture(scope="module")
def default_run(airflow: LocalAirflow, diabetes_dag: str) -> FinishedRun:
    """A run with the parameter's own value, in which every step runs."""
    return run_to_end(airflow, diabetes_dag, {"aml_regenerate_outputs": True})


def test_every_step_succeeds_in_order(default_run: FinishedRun) -> None:
    """prepare, train and evaluate end one after the other, and the run succeeds."""
    finished = [name for name, state in default_run.seen if state == "success"]

    assert default_run.state == "success", default_run.seen
    assert [name for name in finished if name in STEPS] == STEPS


def test_metrics_are_where_the_xcom_says(airflow: LocalAirflow, default_run: FinishedRun) -> None:
    """The evaluate step's output is found by its XCom and holds the metrics."""
    metrics = read_metrics(airflow, default_run.dag_id, default_run.run_id)

    assert metrics["regularization"] == 0.01
    assert 0 < metrics["r2"] < 1


def test_every_output_is_an_xcom(airflow: LocalAirflow, default_run: FinishedRun) -> None:
    """An XCom per output names its address, digest, number of files and size."""
    produced = {"prepare": ("prepared_data", 2), "train": ("model", 1), "evaluate": ("metrics", 1)}

    for step, (output, files) in produced.items():
        task_id = task_id_of(airflow, default_run.dag_id, step)
        value = airflow.rest.xcoms(default_run.dag_id, default_run.run_id, task_id)[output]

        assert set(value) == {"uri", "digest", "files", "bytes"}
        assert value["files"] == files
        assert (
            len([p for p in Path(urlsplit(value["uri"]).path).rglob("*") if p.is_file()]) == files
        )


def test_script_prints_into_the_task_log(airflow: LocalAirflow, default_run: FinishedRun) -> None:
    """What a step's script prints stands in Airflow's log of the task."""
    task_id = task_id_of(airflow, default_run.dag_id, "prepare")

    log = airflow.rest.task_log(default_run.dag_id, default_run.run_id, task_id)

    assert "442 patients: 331 to train on, 111 to test on" in log


def test_another_value_changes_the_result(airflow: LocalAirflow, default_run: FinishedRun) -> None:
    """A run with another regularization trains another model."""
    other = run_to_end(airflow, default_run.dag_id, {"regularization": 0.1})

    before = read_metrics(airflow, default_run.dag_id, default_run.run_id)
    after = read_metrics(airflow, other.dag_id, other.run_id)
    assert other.state == "success"
    assert after["regularization"] == 0.1
    assert after["r2"] != before["r2"]

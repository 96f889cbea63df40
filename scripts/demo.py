"""Run the diabetes pipeline on a real Airflow three times and print what came out.

Started by ``make demo``; exits 0 only if every run succeeded.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from scripts import templates
from scripts.airflow_home import HomeInUseError
from scripts.local_airflow import AirflowDiedError, LocalAirflow

TAG = "azureml-v1"
PARAMETER = "regularization"
OTHER_VALUE = 0.1
WAITING_STATES = {None, "scheduled", "queued"}


@dataclass(frozen=True)
class RunOutcome:
    """How one run of the pipeline ended."""

    run_id: str
    state: str
    seconds: float
    metrics: dict[str, float]


class DemoFailedError(RuntimeError):
    """A run did not succeed, or its metrics are not where they should be."""


def find_dag(airflow: LocalAirflow, pipeline_file: Path) -> str:
    """The id of the DAG that a file's pipeline became."""
    dag = airflow.rest.wait_for_dag_where(
        f"the DAG of {pipeline_file}",
        lambda dag: dag["fileloc"] == str(pipeline_file) and has_tag(dag, TAG),
    )
    return str(dag["dag_id"])


def has_tag(dag: dict[str, Any], name: str) -> bool:
    """Whether a DAG carries a tag."""
    return any(tag["name"] == name for tag in dag["tags"])


def task_id_of(airflow: LocalAirflow, dag_id: str, step_name: str) -> str:
    """The task that a step of that name became."""
    for task in airflow.rest.tasks(dag_id):
        if task["task_display_name"] == step_name:
            return str(task["task_id"])
    raise DemoFailedError(f"{dag_id!r} has no step {step_name!r}")


def tell(task: dict[str, Any]) -> None:
    """One line for a task that began to run or ended."""
    if task["state"] in WAITING_STATES:
        return
    seconds = f"{task['duration']:6.1f} s" if task["duration"] is not None else ""
    print(f"    {task['task_display_name']:<12} {task['state']:<10} {seconds}".rstrip(), flush=True)


def read_metrics(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, float]:
    """The metrics that the evaluate step wrote: its output's address is its XCom."""
    evaluate = task_id_of(airflow, dag_id, "evaluate")
    output = airflow.rest.xcoms(dag_id, run_id, evaluate)["metrics"]
    path = Path(unquote(urlsplit(output["uri"]).path)) / "metrics.json"
    return dict(json.loads(path.read_text()))


def run_pipeline(airflow: LocalAirflow, dag_id: str, conf: dict[str, Any]) -> RunOutcome:
    """Trigger the DAG, stream its steps, read its metrics."""
    started = time.monotonic()
    run_id = airflow.rest.trigger(dag_id, conf)
    run = airflow.rest.wait(dag_id, run_id, tell)
    seconds = time.monotonic() - started
    if run["state"] != "success":
        raise DemoFailedError(f"The run ended as {run['state']}.\n{failure(airflow, run)}")
    outcome = RunOutcome(run_id, run["state"], seconds, read_metrics(airflow, dag_id, run_id))
    facts = "  ".join(f"{name} {value}" for name, value in outcome.metrics.items())
    print(f"  {outcome.state} after {seconds:.1f} s:  {facts}", flush=True)
    return outcome


def failure(airflow: LocalAirflow, run: dict[str, Any]) -> str:
    """The end of the log of the first step that failed."""
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    for task in airflow.rest.task_instances(dag_id, run_id):
        if task["state"] == "failed":
            log = airflow.rest.task_log(dag_id, run_id, task["task_id"], task["try_number"])
            return "\n".join([f"{task['task_display_name']}:", *log.splitlines()[-25:]])
    return "No task failed by itself."


def show_pipeline(airflow: LocalAirflow, pipeline_file: Path) -> None:
    """The three runs of the demo."""
    dag_id = find_dag(airflow, pipeline_file)
    print(f"\nThe file {pipeline_file}\nis the DAG {dag_id!r}.")

    print("\n1. Run it.")
    first = run_pipeline(airflow, dag_id, {})
    print("\n2. Run it again, unchanged.")
    second = run_pipeline(airflow, dag_id, {})
    print("  Every step ran again: reuse of unchanged steps is not in this release yet.")
    print(f"\n3. Run it with {PARAMETER} = {OTHER_VALUE}.")
    third = run_pipeline(airflow, dag_id, {PARAMETER: OTHER_VALUE})

    if second.metrics != first.metrics:
        raise DemoFailedError(f"The same run gave {second.metrics} after {first.metrics}.")
    if third.metrics["r2"] == first.metrics["r2"]:
        raise DemoFailedError("Another parameter value gave the same metric.")
    print(f"\nr2 went from {first.metrics['r2']} to {third.metrics['r2']}.")
    print(f"Last run: {airflow.url}/dags/{dag_id}/runs/{quote(third.run_id, safe='')}")


def main() -> int:
    """Run the demo; the exit code."""
    folder = templates.copy("diabetes", templates.HOME / "dags", replace=True)
    print(f"Starting Airflow in {templates.HOME}", flush=True)
    try:
        with LocalAirflow(templates.HOME, extra_settings=templates.AML_SETTINGS) as airflow:
            show_pipeline(airflow, folder / "pipeline.py")
            print("Shutting Airflow down.", flush=True)
    except KeyboardInterrupt as interruption:
        print("Interrupted; Airflow is shut down.", file=sys.stderr)
        return int(getattr(interruption, "exit_code", 130))
    except (DemoFailedError, AirflowDiedError, HomeInUseError, TimeoutError) as error:
        print(f"The demo failed. {error}", file=sys.stderr)
        return 1
    print("Done. `make up` starts this Airflow again, with these runs, and leaves it running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

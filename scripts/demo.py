"""Run the diabetes pipeline on a real Airflow and change it, and print what ran again and why.

Started by ``make demo``; exits 0 only if every run succeeded.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from scripts import templates
from scripts.airflow_home import HomeInUseError
from scripts.local_airflow import AirflowDiedError, LocalAirflow

TAG = "azureml-v1"
STEPS = ("prepare", "train", "evaluate")
WAITING_STATES = {None, "scheduled", "queued", "skipped"}
REGENERATE = {"aml_regenerate_outputs": True}


@dataclass(frozen=True)
class RunOutcome:
    """How one run of the pipeline ended: ``Finished`` or ``Reused`` by step name."""

    run_id: str
    seconds: float
    metrics: dict[str, float]
    statuses: dict[str, str]


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


def run_pipeline(
    airflow: LocalAirflow, dag_id: str, conf: dict[str, Any] | None = None
) -> RunOutcome:
    """Trigger the DAG, stream its steps, say what was reused and why, read its metrics."""
    started = time.monotonic()
    run_id = airflow.rest.trigger(dag_id, conf or {})
    run = airflow.rest.wait(dag_id, run_id, tell)
    seconds = time.monotonic() - started
    if run["state"] != "success":
        raise DemoFailedError(f"The run ended as {run['state']}.\n{failure(airflow, run)}")
    statuses, saved = {}, 0.0
    for name in STEPS:
        result = airflow.rest.xcoms(dag_id, run_id, task_id_of(airflow, dag_id, name))
        result = result["return_value"]
        statuses[name] = result["status"]
        saved += result["saved_seconds"]
        word = "reused" if result["status"] == "Reused" else "ran"
        print(f"    {name:<9} {word:<6}  {result['reason']}", flush=True)
    reused = list(statuses.values()).count("Reused")
    print(
        f"  {reused} of {len(STEPS)} steps reused, {saved:.1f} s saved; "
        f"the run took {seconds:.1f} s",
        flush=True,
    )
    return RunOutcome(run_id, seconds, read_metrics(airflow, dag_id, run_id), statuses)


def edit(script: Path, old: str, new: str) -> None:
    """Change one line of a script, never twice in the same way: that would be found, too."""
    lines = script.read_text().splitlines(keepends=True)
    (number,) = [i for i, line in enumerate(lines) if old in line]
    moment = datetime.now().isoformat(timespec="seconds")
    lines[number] = f"{lines[number].rstrip().replace(old, new)}  # changed {moment}\n"
    script.write_text("".join(lines))


def failure(airflow: LocalAirflow, run: dict[str, Any]) -> str:
    """The end of the log of the first step that failed."""
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    for task in airflow.rest.task_instances(dag_id, run_id):
        if task["state"] == "failed":
            log = airflow.rest.task_log(dag_id, run_id, task["task_id"], task["try_number"])
            return "\n".join([f"{task['task_display_name']}:", *log.splitlines()[-25:]])
    return "No task failed by itself."


def show_pipeline(airflow: LocalAirflow, pipeline_file: Path) -> None:
    """The four runs of the demo."""
    dag_id, folder = find_dag(airflow, pipeline_file), pipeline_file.parent
    print(f"\nThe file {pipeline_file}\nis the DAG {dag_id!r}.")

    print("\n1. Run it: everything runs.")
    known = (airflow.home.workspace / "reuse").exists()  # from an earlier demo
    first = run_pipeline(airflow, dag_id, REGENERATE if known else {})
    print(f"  r2 {first.metrics['r2']}")

    print("\n2. Run it again, unchanged: one task.")
    second = run_pipeline(airflow, dag_id)
    expect(second, prepare="Reused", train="Reused", evaluate="Reused")

    print("\n3. Change one line of train.py: twice the regularization.")
    alpha = "alpha=args.regularization"
    edit(folder / "train" / "train.py", alpha, alpha.replace("=", "=2 * "))
    third = run_pipeline(airflow, dag_id)
    expect(third, prepare="Reused", train="Finished")
    print(f"  r2 {third.metrics['r2']}")

    print("\n4. Add a comment to prepare.py: it runs, writes the same bytes, and that is that.")
    edit(folder / "prepare" / "prepare.py", "random_state=0)", "random_state=0)")
    fourth = run_pipeline(airflow, dag_id)
    expect(fourth, prepare="Finished", train="Reused", evaluate="Reused")

    if second.metrics != first.metrics or fourth.metrics != third.metrics:
        raise DemoFailedError("A reused result is not the one that was made.")
    if third.metrics["r2"] == first.metrics["r2"]:
        raise DemoFailedError("Another regularization gave the same metric.")
    print(f"\nIn the browser: {airflow.url}/dags/{dag_id}/runs/{quote(fourth.run_id, safe='')}")


def expect(outcome: RunOutcome, **statuses: str) -> None:
    """Fail unless the steps ended so."""
    for name, status in statuses.items():
        if outcome.statuses[name] != status:
            raise DemoFailedError(f"{name} was to be {status}, and is {outcome.statuses[name]}.")


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

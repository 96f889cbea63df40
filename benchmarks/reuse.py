"""A run in which nothing changed, against a hand-written DAG whose one task skips as many others.

Chains of several lengths in one Airflow. Each pipeline ran once; after that its runs and those of
the hand-written DAG take turns. A run's wall time goes from its trigger to its end, as Airflow has
it; the part from its start on leaves out how long it waits for the scheduler's next loop.

The claim is about Airflow as it is installed. With the demo's settings, whose scheduler hardly
sleeps, both sides are quicker, and a few hundredths of a second are a larger part of a run.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from benchmarks.chain import HOME, wait_for_quiet
from benchmarks.report import Claim, Report
from scripts import templates
from scripts.local_airflow import LocalAirflow

LENGTHS = (3, 20, 100)
ROUNDS = 9  # more than elsewhere: a run is short beside the scheduler's loop

AS_INSTALLED = "as installed"
SETTINGS = {
    AS_INSTALLED: {
        "scheduler.scheduler_idle_sleep_time": "1",
        "workers.min_heartbeat_interval": "5",
    },
    "the demo's": {},
}
"""What the scheduler and the workers are told, by what the results call it."""

PIPELINE = """
# airflow dag
from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep
steps, data = [], None
for number in range({length}):
    read = [] if data is None else ["--read", data.as_input("data")]
    data = OutputFileDatasetConfig("data")
    steps.append(PythonScriptStep(
        "step.py", name=f"step {{number:03}}", source_directory="src",
        arguments=[*read, "--number", number, "--write", data]))
Pipeline("bench", steps)
"""

SKIPPING = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain, task
from airflow.sdk.exceptions import DownstreamTasksSkipped
names = [f"step_{{number:03}}" for number in range({length})]

@task
def skip():
    raise DownstreamTasksSkipped(tasks=names)

with DAG("{name}", schedule=None):
    chain(skip(), *[EmptyOperator(task_id=name, trigger_rule="none_failed") for name in names])
"""

SCRIPT = """
import argparse, os
parser = argparse.ArgumentParser()
for name in ("--read", "--number", "--write"):
    parser.add_argument(name)
args = parser.parse_args()
with open(os.path.join(args.write, "number.txt"), "w") as stream:
    stream.write(args.number)
"""


@dataclass(frozen=True)
class Seconds:
    """What one run took from its trigger, and from its start."""

    wall: float
    begun: float


def run() -> Report:
    """Measures in an Airflow of each kind."""
    return report({kind: measure_with(settings) for kind, settings in SETTINGS.items()})


def measure_with(settings: Mapping[str, str]) -> list[list[tuple[Seconds, Seconds]]]:
    """Starts an Airflow of its own, measures every length, and stops it."""
    if HOME.exists():
        shutil.rmtree(HOME)
    settings = {**templates.AML_SETTINGS, "core.dagbag_import_timeout": "60", **settings}
    airflow = LocalAirflow(HOME, extra_settings=settings)
    (airflow.dags_folder / "src").mkdir(parents=True)
    (airflow.dags_folder / "src" / "step.py").write_text(SCRIPT)
    for length in LENGTHS:
        ours, theirs = names(length)
        (airflow.dags_folder / f"{ours}.py").write_text(PIPELINE.format(length=length))
        text = SKIPPING.format(length=length, name=theirs)
        (airflow.dags_folder / f"{theirs}.py").write_text(text)
    with airflow:
        for length in LENGTHS:
            for name in names(length):
                airflow.rest.wait_for_dag(name)
                run_once(airflow, name)  # ours runs every step
        return [measure(airflow, length) for length in LENGTHS]


def names(length: int) -> tuple[str, str]:
    """The DAG ids of the pipeline and of the hand-written DAG."""
    return f"reused_{length}", f"skipped_{length}"


def measure(airflow: LocalAirflow, length: int) -> list[tuple[Seconds, Seconds]]:
    """What both took, pair by pair."""
    ours, theirs = names(length)
    pairs = []
    for number in range(ROUNDS):
        wait_for_quiet()
        # Whoever comes first finds a scheduler that has long been idle: they take turns at that.
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        took = {name: run_once(airflow, name) for name in order}
        pairs.append((took[ours], took[theirs]))
        shown = ", ".join(f"{each.wall:.2f} s ({each.begun:.2f} s)" for each in pairs[-1])
        print(f"  {length} steps, round {number + 1}: {shown}", file=sys.stderr, flush=True)
    return pairs


def run_once(airflow: LocalAirflow, dag_id: str) -> Seconds:
    """Runs a DAG to its end."""
    time.sleep(random.random())  # or every trigger meets the scheduler's loop at the same point
    run_id = airflow.rest.trigger(dag_id)
    while (found := airflow.rest.dag_run(dag_id, run_id))["state"] not in ("success", "failed"):
        time.sleep(0.5)
        airflow.check()
    assert found["state"] == "success", (dag_id, found["state"])
    asked, start, end = (
        datetime.fromisoformat(found[name]) for name in ("queued_at", "start_date", "end_date")
    )
    return Seconds((end - asked).total_seconds(), (end - start).total_seconds())


def report(measured: Mapping[str, list[list[tuple[Seconds, Seconds]]]]) -> Report:
    """Medians; a ratio is the median of the pairs' ratios."""
    rows, claims = [], []
    for kind, lengths in measured.items():
        for length, pairs in zip(LENGTHS, lengths, strict=True):
            ratio = median(ours.wall / theirs.wall for ours, theirs in pairs)
            begun = median(ours.begun / theirs.begun for ours, theirs in pairs)
            sides = [
                f"{median(each.wall for each in side):.2f} "
                f"({median(each.begun for each in side):.2f})"
                for side in zip(*pairs, strict=True)
            ]
            rows.append((kind, f"{length}", *sides, f"**{ratio:.2f}** ({begun:.2f})"))
            if kind == AS_INSTALLED:
                what = f"{length} reused steps, to as many skipped by hand"
                claims.append(Claim(what, 1.3, ratio))
    head = (
        "settings",
        "steps",
        "all reused, s (from its start)",
        "all skipped by hand, s",
        "ratio",
    )
    return Report(head, rows, claims)

"""From a change in a watched folder to the start of the run that it causes, in a real Airflow.

The scheduler is as it is installed: it sleeps for a second between its loops. Files are written at
any moment between two looks, one at a time, and each waits for its run.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from airflow_aml.workspace.home import open_home
from airflow_aml.workspace.watches import Journal, watch_id
from benchmarks.report import Claim, Report
from benchmarks.reuse import AS_INSTALLED, SETTINGS
from scripts import templates
from scripts.local_airflow import LocalAirflow

HOME = templates.PROJECT / ".airflow" / "bench-changes"
DAG = "landed"
INTERVAL = 5.0  # seconds from look to look
ROUNDS = 20
LIMIT = 5.0

FILE = """
# airflow dag
from airflow_aml import Pipeline, PythonScriptStep, Schedule, Workspace

workspace = Workspace()
step = PythonScriptStep("look.py", name="look", source_directory="src")
Schedule.create(
    workspace, "landed", Pipeline(workspace, [step]), "changes",
    datastore=workspace.get_default_datastore(), path_on_datastore="landing",
    polling_interval={minutes},
)
"""


@dataclass(frozen=True)
class Seconds:
    """Of one change: until Airflow has the event, and until its run has started."""

    told: float
    started: float


def run() -> Report:
    """Starts an Airflow of its own, measures, and stops it."""
    if HOME.exists():
        shutil.rmtree(HOME)
    airflow = LocalAirflow(
        HOME, extra_settings={**templates.AML_SETTINGS, **SETTINGS[AS_INSTALLED]}
    )
    (airflow.dags_folder / "src").mkdir(parents=True)
    (airflow.dags_folder / "src" / "look.py").write_text("print('looked')\n")
    (airflow.dags_folder / f"{DAG}.py").write_text(FILE.format(minutes=INTERVAL / 60))
    with airflow:
        airflow.rest.wait_for_dag(DAG)
        journal = Journal(open_home(str(airflow.home.workspace)).store, watch_id("", "landing"))
        airflow.rest.wait_until("the watch to begin", journal.identity, timeout=300)
        folder = Path(airflow.home.workspace, "datastores", "workspaceblobstore", "landing")
        folder.mkdir(parents=True)
        _change(airflow, folder, 0)  # the first run of a DAG is no usual one
        return _report([_change(airflow, folder, number) for number in range(1, ROUNDS + 1)])


def _change(airflow: LocalAirflow, folder: Path, number: int) -> Seconds:
    time.sleep(random.uniform(1, 1 + INTERVAL))
    written = time.time()
    (folder / f"{number}.csv").write_text("x")

    def ended() -> Any:
        runs = airflow.rest.dag_runs(DAG)
        found = len(runs) > number and all(each["state"] == "success" for each in runs)
        return found and max(runs, key=lambda each: str(each["run_after"]))

    run = airflow.rest.wait_until(f"the run of change {number}", ended)
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run['dag_run_id'], safe='')}/upstreamAssetEvents"
    events = airflow.rest.get(path).json()["asset_events"]
    told, started = (
        datetime.fromisoformat(text).timestamp() - written
        for text in (min(each["timestamp"] for each in events), run["start_date"])
    )
    print(f"  change {number}: {told:.2f} s, {started:.2f} s", file=sys.stderr, flush=True)
    return Seconds(told, started)


def _report(changes: list[Seconds]) -> Report:
    told, started = [each.told for each in changes], [each.started for each in changes]
    after = [each.started - each.told for each in changes]
    rows = [
        (what, f"{median(seconds):.1f}", f"{max(seconds):.1f}")
        for what, seconds in (
            ("from the change to Airflow's event", told),
            ("from the event to the start of the run", after),
            ("from the change to the start of the run", started),
        )
    ]
    return Report(
        (f"looked at every {INTERVAL:g} s; {len(changes)} changes", "median, s", "at most, s"),
        rows,
        [
            Claim(
                "from a change to its run, beyond the polling interval, at the worst",
                LIMIT,
                max(started) - INTERVAL,
                " s",
            )
        ],
    )

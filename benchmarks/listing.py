"""Listing ten thousand runs: ``airflow-aml runs``, and ``Experiment.get_runs``.

The runs are made up, and written as real ones are: a head, a plan, and a report of each step.
Listed by fresh processes, so imports count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic

from airflow_aml.workspace import layout
from airflow_aml.workspace.endings import write_report
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.plans import PlannedStep, RunPlan, write_plan, write_reused
from airflow_aml.workspace.runs import write_head
from benchmarks.report import Claim, Report

RUNS = 10_000
STEPS = ("prepare", "train", "score")
ROUNDS = 3
UNKEPT = "`airflow-aml runs`, all summaries lost"

VERB = "import sys; from airflow_aml.cli import main; sys.exit(main(['runs', *sys.argv[1:]]))"
NEWEST = """
from itertools import islice
from airflow_aml import Experiment, Workspace
runs = list(islice(Experiment(Workspace(), "experiment-7").get_runs(), 10))
assert len(runs) == 10, runs
"""
ALL = """
from airflow_aml import Experiment, Workspace
runs = list(Experiment(Workspace(), "experiment-7").get_runs())
assert len(runs) == {runs} // 10, len(runs)
"""


def run() -> Report:
    """Measures a workspace of that many runs."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as folder:
        home = open_home(str(Path(folder, "aml")))
        for number in range(RUNS):
            make(home, number)
        programs = {
            f"`airflow-aml runs`, {RUNS:,} runs of {len(STEPS)} steps": (VERB,),
            "`airflow-aml runs EXPERIMENT`, a tenth of them": (VERB, "experiment-7"),
            "`Experiment.get_runs()`, a tenth of them": (ALL.format(runs=RUNS),),
            "its ten newest": (NEWEST,),
            "`airflow-aml runs --last 20`": (VERB, "--last", "20"),
            UNKEPT: (VERB,),
        }
        first, again = {}, {}
        for name, words in programs.items():
            times = []
            for _ in range(ROUNDS):
                if name == UNKEPT:
                    forget(home)
                times.append(timed(home, words))
            first[name], again[name] = times[0], median(times[1:])
    return Report(
        ("listing", "first time, s", "again, s"),
        [(name, f"{first[name]:.2f}", f"{again[name]:.2f}") for name in programs],
        [Claim(name, 2, again[name], " s") for name in programs if name != UNKEPT],
    )


def forget(home: Home) -> None:
    """Removes what was kept for listings, as if each run were seen for the first time."""
    runs = [name.rstrip("/") for name in home.store.children("runs/")]
    home.store.delete([layout.summary(run) for run in runs])


def make(home: Home, number: int) -> None:
    """One finished run: its first step was reused, the others ran."""
    dag_id, run_id = f"dag-{number % 20}", f"manual__{number:06d}"
    plan = RunPlan(
        dag_id=dag_id,
        run_id=run_id,
        experiment=f"experiment-{number % 10}",
        workspace="default",
        parameters={"rate": number / RUNS},
        steps={name: PlannedStep(snapshot="sha256:0", name=name) for name in STEPS},
    )
    pipeline_run = layout.pipeline_run_id(home.uuid, dag_id, run_id)
    write_plan(home, pipeline_run, plan)
    write_head(home, pipeline_run, plan)
    reused, *ran = STEPS
    write_reused(home, pipeline_run, "reuse", {reused: values(home, reused, "Reused")})
    for name in ran:
        step_run = layout.step_run_id(pipeline_run, name)
        write_report(home, pipeline_run, step_run, name, values(home, name, "Finished"))


def values(home: Home, name: str, status: str) -> dict[str, object]:
    """A step's XComs."""
    return {
        "return_value": {
            "status": status,
            "reason": f"{name}.py changed",
            "fingerprint": f"sha256:{'0' * 64}",
            "seconds": 1.5,
            "saved_seconds": 1.5 if status == "Reused" else 0.0,
        },
        "out": {"uri": home.uri(f"data/{name}/out"), "digest": "sha256:0", "files": 1, "bytes": 9},
    }


def timed(home: Home, words: tuple[str, ...]) -> float:
    """Seconds that a fresh Python takes for a program."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    started = monotonic()
    subprocess.run(
        [sys.executable, "-c", *words],
        env={**environ, "AIRFLOW__AML__WORKSPACE": home.url},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return monotonic() - started

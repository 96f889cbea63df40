"""A chain of steps on a real scheduler, against BashOperators that run the same script.

Two pipelines and two hand-written DAGs in one Airflow: a script that does nothing, and one that
copies a file from the step before, whose BashOperators share a folder. They run in turns, one at a
time, there and back in each round; a chain's time goes from the start of its first step to the end
of its last, so a run's head task does not count.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]

from benchmarks.report import Claim, Report
from scripts import templates
from scripts.local_airflow import LocalAirflow

HOME = templates.PROJECT / ".airflow" / "bench"
STEPS = 20
ROUNDS = 9  # a chain meets the scheduler's loop at another point each time: a tenth either way
QUIET = 0.75
"""Processors in use, an idle Airflow's own included, when nothing else goes on."""

STEPS_DAG = """
# airflow dag
from airflow_aml import Pipeline, PipelineParameter, PythonScriptStep
turn = PipelineParameter("turn", 0)
steps = []
for number in range({steps}):
    step = PythonScriptStep(
        "step.py", name=f"step {{number:02}}", source_directory="src", arguments=[number, turn])
    if steps:
        step.run_after(steps[-1])
    steps.append(step)
Pipeline("bench", steps)
"""

FILES_DAG = """
# airflow dag
from airflow_aml import OutputFileDatasetConfig, Pipeline, PipelineParameter, PythonScriptStep
turn = PipelineParameter("turn", 0)
steps, data = [], None
for number in range({steps}):
    read = [] if data is None else ["--read", data.as_input("data")]
    data = OutputFileDatasetConfig("data")
    steps.append(PythonScriptStep(
        "hand_on.py", name=f"step {{number:02}}", source_directory="src",
        arguments=[*read, "--number", number, "--turn", turn, "--write", data]))
Pipeline("bench", steps)
"""

BASH_DAG = """
from pathlib import Path
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, chain
with DAG("{name}", schedule=None):
    chain(*[
        BashOperator(
            task_id=f"step_{{number:02}}",
            bash_command=f"{python} {command}",
            cwd=str(Path(__file__).parent))
        for number in range({steps})
    ])
"""

SCRIPT = "pass\n"

HAND_ON = """
import argparse, os, shutil
parser = argparse.ArgumentParser()
parser.add_argument("--read")
parser.add_argument("--number")
parser.add_argument("--turn")
parser.add_argument("--write", required=True)
args = parser.parse_args()
os.makedirs(args.write, exist_ok=True)
target = os.path.join(args.write, "data.txt")
if args.read and os.path.exists(args.read):
    shutil.copyfile(os.path.join(args.read, "data.txt"), target)
else:
    with open(target, "w") as stream:
        stream.write(f"data of {args.turn}\\n")
"""

HEAD = "reuse"
NAMES = {
    "steps": "pipeline, nothing handed on",
    "bash": "BashOperators, the same script",
    "files": "pipeline, a file handed on",
    "bash_files": "BashOperators, the same script",
}
PAIRS = {"steps": "bash", "files": "bash_files"}


@dataclass(frozen=True)
class Chain:
    """One run: the whole chain's seconds, and the median of a single task's."""

    seconds: float
    task_seconds: float


def run() -> Report:
    """Starts an Airflow of its own, measures, and stops it."""
    if HOME.exists():
        shutil.rmtree(HOME)
    settings = {**templates.AML_SETTINGS, "core.dagbag_import_timeout": "60"}
    airflow = LocalAirflow(HOME, extra_settings=settings)
    write_dags(airflow.dags_folder)
    with airflow:
        for name in NAMES:
            airflow.rest.wait_for_dag(name)
            run_chain(airflow, name, 0)  # warm up
        rounds = []
        for number in range(ROUNDS):
            wait_for_quiet()
            rounds.append(run_round(airflow, number))
            shown = ", ".join(f"{name} {rounds[-1][name].seconds:.2f} s" for name in NAMES)
            print(f"  round {number + 1} of {ROUNDS}: {shown}", file=sys.stderr, flush=True)
    return report(rounds)


def run_round(airflow: LocalAirflow, number: int) -> dict[str, Chain]:
    """Each chain twice, there and back, so that a machine that gets slower meets all alike."""
    there = {name: run_chain(airflow, name, 2 * number + 1) for name in NAMES}
    back = {name: run_chain(airflow, name, 2 * number + 2) for name in reversed(NAMES)}
    return {
        name: Chain(
            (there[name].seconds + back[name].seconds) / 2,
            (there[name].task_seconds + back[name].task_seconds) / 2,
        )
        for name in NAMES
    }


def write_dags(folder: Path) -> None:
    """The four files and the scripts beside them."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "step.py").write_text(SCRIPT)
    (folder / "src" / "hand_on.py").write_text(HAND_ON)
    (folder / "steps.py").write_text(STEPS_DAG.format(steps=STEPS))
    (folder / "files.py").write_text(FILES_DAG.format(steps=STEPS))
    hand_on = "src/hand_on.py --read data/{number - 1} --write data/{number}"
    for name, command in (("bash", "src/step.py"), ("bash_files", hand_on)):
        text = BASH_DAG.format(name=name, command=command, steps=STEPS, python=sys.executable)
        (folder / f"{name}.py").write_text(text)


def run_chain(airflow: LocalAirflow, dag_id: str, turn: int) -> Chain:
    """Runs a DAG to its end; with another turn no earlier result of a pipeline's step counts."""
    run_id = airflow.rest.trigger(dag_id, {"turn": turn} if dag_id in PAIRS else {})
    state = None
    while state not in ("success", "failed"):
        time.sleep(1)  # asking costs the API server time, too
        airflow.check()
        state = airflow.rest.dag_run(dag_id, run_id)["state"]
    tasks = [
        task for task in airflow.rest.task_instances(dag_id, run_id) if task["task_id"] != HEAD
    ]
    assert state == "success", (dag_id, state)
    assert len(tasks) == STEPS, tasks
    starts = [datetime.fromisoformat(task["start_date"]) for task in tasks]
    ends = [datetime.fromisoformat(task["end_date"]) for task in tasks]
    alone = [(end - start).total_seconds() for start, end in zip(starts, ends, strict=True)]
    return Chain((max(ends) - min(starts)).total_seconds(), median(alone))


def wait_for_quiet(patience: float = 300) -> None:
    """Waits until the machine's other work has ended; after all of the patience, goes on."""
    deadline = time.monotonic() + patience
    processors = psutil.cpu_count() or 1
    while time.monotonic() < deadline:
        if psutil.cpu_percent(3) / 100 * processors < QUIET:
            return


def report(rounds: list[dict[str, Chain]]) -> Report:
    """Medians; a ratio is the median of the rounds' ratios."""
    ratios = {
        ours: median(each[ours].seconds / each[theirs].seconds for each in rounds)
        for ours, theirs in PAIRS.items()
    }

    def row(name: str, title: str) -> list[str]:
        seconds = sorted(each[name].seconds for each in rounds)
        return [
            title,
            f"{median(seconds):.2f}",
            f"{seconds[0]:.2f} to {seconds[-1]:.2f}",
            f"{median(each[name].task_seconds for each in rounds):.3f}",
            f"**{ratios[name]:.2f}**" if name in ratios else "1",
        ]

    return Report(
        (f"chain of {STEPS} tasks", "wall, s", "from, to", "one task, s", "ratio"),
        [row(name, title) for name, title in NAMES.items()],
        [Claim("the chain of steps, to the BashOperators", 1.05, ratios["steps"])],
    )

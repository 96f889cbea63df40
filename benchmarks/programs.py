"""Parsing a v1 program that was dropped in as it stands, against the same definition of our own.

Airflow's DAG processor forks a process for each file it parses. So does this benchmark, from one
that has imported Airflow and nothing of ours, so that imports count. CPU seconds, in turns.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.parse import clocked, parse, ratio
from benchmarks.report import Claim, Report

STEPS = (1, 3, 20)
PAIRS = 15

V1 = """\
from azureml.core import Experiment, Workspace
from azureml.data import OutputFileDatasetConfig
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep
"""
OWN = """\
# airflow dag
from airflow_aml import (
    Experiment, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace
)
"""
REST = """
ws = Workspace.from_config()
steps, before = [], None
for number in range({steps}):
    out = OutputFileDatasetConfig("out")
    given = [] if before is None else ["--in", before.as_input("data")]
    steps.append(PythonScriptStep(
        "step.py", name=f"step {{number}}", arguments=[*given, "--out", out],
        source_directory="src", compute_target="cpu-cluster"))
    before = out
run = Experiment(ws, "bench").submit(Pipeline(ws, steps))
run.wait_for_completion()
"""
NATIVE = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("bash", schedule=None) as dag:
    BashOperator(task_id="bash", bash_command="true")
"""

T = TypeVar("T")
Pairs = list[tuple[float, float]]


def run() -> Report:
    """Measures in a process of its own, as others have imported more."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.programs"], stdout=subprocess.PIPE, check=True
    )
    pairs: dict[str, Pairs] = json.loads(done.stdout.splitlines()[-1])
    rows = [
        (
            steps,
            f"{median(v1 for v1, _ in each) * 1e3:.0f}",
            f"{median(own for _, own in each) * 1e3:.0f}",
            f"**{ratio(each):.2f}**",
        )
        for steps, each in pairs.items()
    ]
    worst = max(map(ratio, pairs.values()))
    claim = Claim("a v1 program, to the same definition of our own, at the worst", 1.5, worst)
    return Report(("steps", "v1 program, CPU-ms", "own definition, CPU-ms", "ratio"), rows, [claim])


def measure() -> dict[str, Pairs]:
    """By number of steps: seconds of the v1 program, and of our own definition."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        own, v1 = Path(home, "own"), Path(home, "v1")
        for folder, head in ((own, OWN), (v1, V1)):
            (folder / "src").mkdir(parents=True)
            (folder / "src" / "step.py").touch()
            for steps in STEPS:
                (folder / f"program_{steps}.py").write_text(head + REST.format(steps=steps))
        shims = forked(bundle, v1)
        native = Path(home, "native.py")
        native.write_text(NATIVE)
        parse(native, Path(home))
        gc.freeze()  # as Airflow's DAG processor does before it forks the process for a file
        return {
            f"{steps}": [
                (
                    forked(seconds, shims / f"program_{steps}.py"),
                    forked(seconds, own / f"program_{steps}.py"),
                )
                for _ in range(PAIRS)
            ]
            for steps in STEPS
        }


def forked(action: Callable[[Path], T], path: Path) -> T:
    """What a process finds out that is forked for it and then ends."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(action, path).result()


def bundle(folder: Path) -> Path:
    """The folder of what Airflow parses in place of the v1 programs."""
    from airflow_aml.airflow.bundle import AmlDagBundle

    made = AmlDagBundle(name="bench", path=str(folder), published=())
    made.initialize()
    return made.path


def seconds(file: Path) -> float:
    """CPU seconds of one parse."""
    return clocked(lambda: parse(file, file.parent))


if __name__ == "__main__":
    print(json.dumps(measure()))

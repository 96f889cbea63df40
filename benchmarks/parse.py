"""Parsing and serialising: a v1 pipeline file against the same chain of BashOperators.

Each pair is measured in this process, interleaved, after all imports; the ratio that counts is the
median of five pairs, and of more where one takes hundredths of a second. CPU seconds, so that other
work on the machine matters little.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.report import Claim, Report

PAIRS = {100: 25, 500: 9, 2000: 5}
"""How many pairs are measured of each number of steps."""

PIPELINE = """
# airflow dag
from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep
steps, before = [], None
for number in range({steps}):
    out = OutputFileDatasetConfig("out")
    given = [] if before is None else ["--in", before.as_input("data")]
    arguments = [*given, "--out", out]
    steps.append(PythonScriptStep(
        "step.py", name=f"step {{number}}", arguments=arguments, source_directory="src"))
    before = out
pipeline = Pipeline("ws", steps)
"""

BASH = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("bash", schedule=None) as dag:
    before = None
    for number in range({steps}):
        task = BashOperator(
            task_id=f"step_{{number}}", bash_command=f"python src/step.py --number {{number}}")
        if before is not None:
            before >> task
        before = task
"""


def run() -> Report:
    """Measures every size. This process must not have imported Airflow before."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        folder = Path(home, "dags")
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "step.py").touch()
        # Before anything imports Airflow, whose many objects make every garbage collection dear.
        specs = {steps: measure_spec(steps, folder) for steps in PAIRS}
        pairs = {steps: measure_pairs(steps, folder) for steps in PAIRS}
    rows = [
        (
            f"{steps:,}",
            f"{median(ours for ours, _ in pairs[steps]):.3f}",
            f"{median(theirs for _, theirs in pairs[steps]):.3f}",
            f"**{ratio(pairs[steps]):.2f}**",
            f"{specs[steps] * 1e3:.3f}",
        )
        for steps in PAIRS
    ]
    return Report(
        ("steps", "pipeline, CPU-s", "BashOperators, CPU-s", "ratio", "spec alone, ms a step"),
        rows,
        [
            Claim(
                "parsing and serialising, to BashOperators, at the worst of these sizes",
                1.25,
                max(map(ratio, pairs.values())),
            ),
            Claim("the spec, at the worst of these sizes", 0.1, max(specs.values()) * 1e3, " ms"),
        ],
    )


def measure_spec(steps: int, folder: Path) -> float:
    """Seconds a step, of compiling a definition to its spec."""
    return median(clocked(lambda: define(steps, folder)) for _ in range(PAIRS[steps])) / steps


def measure_pairs(steps: int, folder: Path) -> list[tuple[float, float]]:
    """Seconds of the pipeline and of the BashOperators, in turns after a warm-up."""
    pipeline, bash = folder / "pipeline.py", folder / "bash.py"
    pipeline.write_text(PIPELINE.format(steps=steps))
    bash.write_text(BASH.format(steps=steps))
    parse(pipeline, folder)
    parse(bash, folder)
    gc.freeze()  # as Airflow's DAG processor does before it forks the process for a file
    return [
        (clocked(lambda: parse(pipeline, folder)), clocked(lambda: parse(bash, folder)))
        for _ in range(PAIRS[steps])
    ]


def ratio(pairs: list[tuple[float, float]]) -> float:
    """The median of the pairs' own ratios."""
    return median(ours / theirs for ours, theirs in pairs)


def clocked(action: Callable[[], None]) -> float:
    """CPU seconds of one call, which does not pay for what earlier ones have left to collect."""
    gc.collect()
    started = time.process_time()
    action()
    return time.process_time() - started


def parse(path: Path, folder: Path) -> None:
    """What the DAG processor does with a file: execute it and serialise its DAGs."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = BundleDagBag(path, bundle_path=folder, bundle_name="dags-folder", safe_mode=False)
    assert not bag.import_errors, bag.import_errors
    (dag,) = bag.dags.values()
    DagSerialization.to_dict(dag)


def define(steps: int, folder: Path) -> None:
    """Compiling a definition to its spec, without Airflow's part."""
    from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep
    from airflow_aml.definition.origin import loading

    with loading(str(folder / "pipeline.py")):
        made, before = [], None
        for number in range(steps):
            out = OutputFileDatasetConfig("out")
            arguments = ["--out", out] if before is None else ["--in", before.as_input("data"), out]
            made.append(
                PythonScriptStep(
                    "step.py", name=f"step {number}", arguments=arguments, source_directory="src"
                )
            )
            before = out
        assert len(Pipeline("ws", made).spec.nodes) == steps

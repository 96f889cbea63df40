"""Parsing and serialising: a v1 pipeline file against the same chain of BashOperators.

Usage: python benchmarks/parse.py [STEPS ...]

Each pair is measured in this process, interleaved, after all imports; the ratio that counts is the
median of five pairs. CPU seconds, so that other work on the machine matters little.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PAIRS = 5

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


def main(sizes: list[int]) -> None:
    """Prints a Markdown table of the ratios."""
    home = tempfile.mkdtemp(prefix="airflow-aml-bench-")
    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    folder = Path(home, "dags")
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "step.py").touch()
    print("| steps | pipeline, CPU-s | BashOperators, CPU-s | ratio | spec alone, us a step |")
    print("|---|---|---|---|---|")
    # Before anything imports Airflow, whose many objects make every garbage collection dear.
    specs = {
        steps: [clocked(lambda: define(steps, folder)) for _ in range(PAIRS)]  # noqa: B023
        for steps in sizes
    }
    for steps in sizes:
        pipeline, bash = folder / "pipeline.py", folder / "bash.py"
        pipeline.write_text(PIPELINE.format(steps=steps))
        bash.write_text(BASH.format(steps=steps))
        parse(pipeline, folder), parse(bash, folder)  # warm up: imports, caches
        pairs = [
            (clocked(lambda: parse(pipeline, folder)), clocked(lambda: parse(bash, folder)))  # noqa: B023
            for _ in range(PAIRS)
        ]
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        ours = statistics.median(pair[0] for pair in pairs)
        theirs = statistics.median(pair[1] for pair in pairs)
        spec = statistics.median(specs[steps])
        print(
            f"| {steps} | {ours:.3f} | {theirs:.3f} | **{ratio:.2f}** | {spec / steps * 1e6:.0f} |"
        )


def clocked(action: Callable[[], None]) -> float:
    """CPU seconds of one call."""
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


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [100, 500, 2000])

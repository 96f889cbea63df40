"""What tracking costs a step's script: ``Run.get_context()`` and ``Run.log``.

A pipeline runs in the terminal, with steps that tell their own figures: processor time of a script
that imports nothing and of one that asks for its run, and the time of each of ten thousand calls of
``log``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import Claim, Report

ROUNDS = 5
POINTS = 10_000

PIPELINE = """
from airflow_aml import Pipeline, PythonScriptStep
steps = []
for number in range({rounds}):
    for name in ("bare", "context", "log"):
        steps.append(PythonScriptStep(
            f"{{name}}.py", name=f"{{name}} {{number}}", source_directory="src",
            arguments=[number], allow_reuse=False))
        if steps[1:]:
            steps[-1].run_after(steps[-2])
Pipeline("bench", steps)
"""

SCRIPTS = {
    "bare": "import time\nprint('bare', time.process_time() * 1e3)\n",
    "context": (
        "import time\nfrom airflow_aml import Run\nrun = Run.get_context()\n"
        "print('context', time.process_time() * 1e3)\n"
    ),
    "log": (
        "from statistics import median\nfrom time import perf_counter_ns as now\n"
        "from airflow_aml import Run\nrun = Run.get_context()\ntimes = []\n"
        f"for number in range({POINTS}):\n"
        "    begun = now()\n    run.log('loss', number / 7)\n    times.append(now() - begun)\n"
        "print('log', median(times) / 1e3)\n"
    ),
}


def run() -> Report:
    """Runs the pipeline once and reads what its steps have told."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as name:
        folder = Path(name)
        (folder / "src").mkdir()
        for script, text in SCRIPTS.items():
            (folder / "src" / f"{script}.py").write_text(text)
        (folder / "pipeline.py").write_text(PIPELINE.format(rounds=ROUNDS))
        told = subprocess.run(
            [sys.executable, "-m", "airflow_aml.cli", "run", "pipeline.py"],
            cwd=folder,
            env={**os.environ, "AIRFLOW__AML__WORKSPACE": str(folder / "workspace")},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    figures = {
        script: [float(each) for each in re.findall(rf"\| {script} ([\d.]+)$", told, re.MULTILINE)]
        for script in SCRIPTS
    }
    assert all(len(each) == ROUNDS for each in figures.values()), told
    bare, context, log = (median(figures[script]) for script in SCRIPTS)
    added = median(
        with_run - without
        for with_run, without in zip(figures["context"], figures["bare"], strict=True)
    )
    return Report(
        ("in a step's script", "median"),
        [
            ("processor time of a script that imports nothing", f"{bare:.0f} ms"),
            ("of one that calls `Run.get_context()`", f"{context:.0f} ms"),
            (f"one of {POINTS:,} calls of `Run.log`", f"{log:.1f} us"),
        ],
        [
            Claim("`Run.get_context()`, more than a bare script", 60, added, " ms"),
            Claim("`Run.log`, the median of a call", 10, log, " us"),
        ],
    )

"""What a step in a container costs more than ``docker run`` of the same command.

A pipeline runs in the terminal. Its steps take turns: one in a container, and one that runs the
same script by ``docker run`` and tells how long that took. Both by the clock of the wall: staging,
container and commit of a step, and the whole of the other command.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import Claim, Report
from scripts.docker_engine import IMAGE, DockerEngine, docker_engine

ROUNDS = 9

PIPELINE = """
from airflow_aml import Pipeline, PythonScriptStep
steps = []
for n in range({rounds}):
    for script, compute in (("step.py", "box"), ("bare.py", "local")):
        steps.append(PythonScriptStep(
            script, name=f"{{script}} {{n}}", source_directory="src", arguments=[n],
            compute_target=compute, allow_reuse=False))
for before, after in zip(steps, steps[1:]):
    after.run_after(before)
Pipeline("bench", steps)
"""

BARE = """
import os, subprocess, time
here = os.getcwd()
started = time.monotonic()
subprocess.run(
    ["docker", "-H", {engine!r}, "run", "--rm", "--network", "none", "-v", f"{{here}}:{{here}}",
     "-w", here, {image!r}, "python3", "-u", "step.py", "0"], check=True)
print("took", time.monotonic() - started)
"""


def run() -> Report:
    """Runs both, with an engine of its own."""
    with docker_engine() as engine, tempfile.TemporaryDirectory(prefix="aml-bench-") as name:
        folder = Path(name)
        (folder / "src").mkdir()
        (folder / "src" / "step.py").write_text("print('ran')\n")
        (folder / "src" / "bare.py").write_text(BARE.format(engine=engine.address, image=IMAGE))
        (folder / "pipeline.py").write_text(PIPELINE.format(rounds=ROUNDS))
        steps, bare = _run(engine, folder)
    added = median(ours - theirs for ours, theirs in zip(steps, bare, strict=True))
    return Report(
        ("one script in a container", "median, s"),
        [
            ("`docker run`", f"{median(bare):.2f}"),
            ("a step: staging, container, commit", f"{median(steps):.2f}"),
        ],
        [Claim("a step in a container, more than `docker run`", 0.3, added, " s")],
    )


def _run(engine: DockerEngine, folder: Path) -> tuple[list[float], list[float]]:
    box = {"kind": "docker", "image": IMAGE, "engine": engine.address, "network": "none"}
    done = subprocess.run(
        [sys.executable, "-m", "airflow_aml.cli", "run", "--json", "pipeline.py"],
        cwd=folder,
        env={
            **os.environ,
            "AIRFLOW__AML__WORKSPACE": str(folder / "workspace"),
            "AIRFLOW__AML__COMPUTES": json.dumps({"box": box, "local": {}}),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    steps = [
        float(step["seconds"])
        for step in json.loads(done.stdout)["steps"]
        if step["name"].startswith("step")
    ]
    return steps, [float(each) for each in re.findall(r"\| took ([\d.]+)$", done.stderr, re.M)]

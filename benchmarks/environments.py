"""Environments: what a cached one adds to a step, and building one against uv by itself.

Both builds take their packages from uv's own cache, which is filled before: nobody's network is
measured. They are measured in turns, into folders of the same disk. A look at a cached one is
measured in CPU time, of which it is all made: what else the machine does is not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.reuse.software import Site, interpreter_of, lock_of, wish_of
from airflow_aml.reuse.software.uv import find_uv
from airflow_aml.workspace.home import open_home
from benchmarks.report import Claim, Report

FIVE = ("requests==2.32.*", "python-dateutil", "jinja2", "pyyaml", "tabulate")
LARGE = ("scikit-learn", "pandas", "pyarrow", "matplotlib")
ROUNDS = 5
LOOKS = 21


def run() -> Report:
    """Measures with caches and a workspace of its own."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as name:
        folder = Path(name)
        home = open_home(str(folder / "workspace"))
        locks = []
        for packages in (FIVE, LARGE):
            os.environ["AIRFLOW_AML_CACHE"] = str(folder / "first")
            wish = wish_of(EnvironmentSpec(pip_packages=packages), Site(), home)
            assert wish is not None
            lock = lock_of(wish, home)
            interpreter_of(lock)  # fills uv's cache
            looks = [
                _seconds(lambda lock=lock: interpreter_of(lock), time.process_time)
                for _ in range(LOOKS)
            ]
            locks.append((packages, lock, median(looks) * 1000))
        ours, bare = [], []
        for number in range(ROUNDS):
            os.environ["AIRFLOW_AML_CACHE"] = str(folder / f"ours-{number}")
            five = locks[0][1]
            ours.append(_seconds(lambda five=five: interpreter_of(five)))
            place = folder / f"bare-{number}"
            bare.append(_seconds(lambda place=place: _by_hand(place)))
    ratio = median(one / two for one, two in zip(ours, bare, strict=True))
    rows = [
        (
            f"second use, {len(lock.packages)} packages: {', '.join(asked)}",
            f"{ms:.1f} ms (CPU)",
            "",
            "",
        )
        for asked, lock, ms in locks
    ]
    build = (
        f"build, {len(FIVE)} packages asked for",
        f"{median(ours):.2f} s",
        f"{median(bare):.2f} s",
        f"**{ratio:.2f}**",
    )
    worst = max(ms for *_, ms in locks)
    return Report(
        ("environment", "ours", "`uv venv`, `uv pip install`", "ratio"),
        [*rows, build],
        [
            Claim("what a cached environment adds to a step", 50, worst, " ms"),
            Claim("a build, against uv by itself", 1.2, ratio, " x"),
        ],
    )


def _by_hand(place: Path) -> None:
    python = str(place / "bin" / "python")
    for words in (
        ["venv", "--python", sys.executable, str(place)],
        ["pip", "install", "--python", python, *FIVE],
    ):
        subprocess.run([find_uv(), *words], check=True, capture_output=True, cwd="/")


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started

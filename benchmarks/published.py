"""What published pipelines add to a refresh of the bundle that makes DAGs of them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Claim, Report

PUBLISHED = 500
ROUNDS = 9
LIMIT = 2.0


def run() -> Report:
    """Measures a bundle of a workspace on a disk of this machine."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as place:
        os.environ["AIRFLOW_HOME"] = place
        os.environ["AIRFLOW__AML__WORKSPACE"] = Path(place, "aml").as_uri()
        os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"] = str(Path(place, "bundles"))
        for name in ("programs", "src"):
            Path(place, name).mkdir()
        Path(place, "src", "train.py").write_text("print('trained')\n")
        return _measured(Path(place))


def _measured(place: Path) -> Report:
    from airflow_aml import Pipeline, PipelineParameter, PythonScriptStep, Workspace
    from airflow_aml.airflow.bundle import AmlDagBundle

    def publish(number: int) -> None:
        rate = PipelineParameter("rate", 0.1)
        step = PythonScriptStep(
            "train.py", name="train", source_directory=str(place / "src"), arguments=[rate, number]
        )
        Pipeline(Workspace(), [step]).publish(f"Train {number}")

    bundle = AmlDagBundle(name="bench", path=str(place / "programs"))
    bundle.initialize()
    none = median(_seconds(bundle.refresh) for _ in range(ROUNDS))
    for number in range(PUBLISHED):
        publish(number)
    first = _seconds(bundle.refresh)
    unchanged = median(_seconds(bundle.refresh) for _ in range(ROUNDS))
    more = []
    for number in range(ROUNDS):
        publish(PUBLISHED + number)
        more.append(_seconds(bundle.refresh))
    there = len([*bundle.path.rglob("*.json")])
    assert there >= PUBLISHED + ROUNDS, there
    return Report(
        ("a refresh of the bundle", "s"),
        [
            ("nothing is published", f"{none:.3f}"),
            (f"{PUBLISHED} pipelines are published, and nothing has changed", f"{unchanged:.3f}"),
            ("one more is published", f"{median(more):.3f}"),
            (f"the first one, which writes the files of {PUBLISHED}", f"{first:.3f}"),
        ],
        [
            Claim(
                f"what {PUBLISHED} published pipelines add to a refresh, when nothing has changed",
                LIMIT,
                unchanged - none,
                " s",
            )
        ],
    )


def _seconds(act: Callable[[], Any]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started

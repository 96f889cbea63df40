"""What an attempt leaves behind when everything around its script was killed at once."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from airflow_aml.airflow.steps.assemble import StepRun
from airflow_aml.runtime.sweep import end_attempt
from airflow_aml.workspace import layout


def sweep_earlier_attempts(run: StepRun) -> None:
    """Ends what earlier attempts at this step still run on this machine, and removes their files.

    Attempts are named after the step's run, and Airflow makes one after the other; the one that
    calls this has not started anything yet. After the loss of a scheduler the task process of an
    earlier one may still be there for a while.
    """
    folders = [run.scratch]
    if run.home.is_local:
        folders.append(run.home.path(layout.staging("")))
    for folder in folders:
        for left in folder.glob(f"{run.id}-*"):
            end_attempt(left.name, 0.0)
            remove_at_once(left)


def remove_at_once(folder: Path) -> None:
    """Removes a folder; who just then moves something out of it gets all of that or nothing."""
    away = folder.with_name(f"{folder.name}~{uuid4().hex[:8]}")
    with suppress(OSError):
        folder.rename(away)
        # Each by itself as well: a move that has found the folder already needs their names.
        for each in list(away.iterdir()):
            each.rename(f"{each}~")
    shutil.rmtree(away, ignore_errors=True)

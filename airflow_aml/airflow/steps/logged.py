"""The numbers that a step's script has logged, few enough for an XCom."""

from __future__ import annotations

import os

from airflow_aml.runtime import recording
from airflow_aml.runtime.job import StepJob
from airflow_aml.workspace.journal import JOURNAL, about, read_notes

MOST = 50
_HUGE = 1e308


def logged_numbers(job: StepJob) -> dict[str, float]:
    """The last value of each metric that is a number, of the first so many names.

    NaN and infinity are left out: Airflow's database may not take them.
    """
    try:
        with open(os.path.join(recording.folder_of(job), JOURNAL), "rb") as stream:
            data = stream.read()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for note in about(read_notes(data), None) if b'"scalar"' in data else ():
        name, value = str(note.get("metric")), note.get("value")
        if note.get("kind") != "scalar" or not isinstance(value, (int, float)):
            continue
        if -_HUGE < value < _HUGE and (name in found or len(found) < MOST):
            found[name] = value
    return found

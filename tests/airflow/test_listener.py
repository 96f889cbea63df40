"""What Airflow's long-lived processes load at their start."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from airflow_aml.airflow.plugin import AmlPlugin
(listener,) = AmlPlugin.listeners
class {component}: pass
listener.on_starting({component}())
print("airflow_aml.airflow.steps.local" in sys.modules, "airflow_aml.runtime.inline" in sys.modules)
"""


@pytest.mark.parametrize(
    ("component", "loaded"), [("Job", "True True"), ("TaskRunnerMarker", "False False")]
)
def test_loads_where_others_are_forked_from(component, loaded, tmp_path):
    """The scheduler loads the steps' code once; a task process what its own file imports."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(component=component)],
        env={"AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == loaded


FORKS = """
import sys
from airflow_aml.airflow.plugin import AmlPlugin
(listener,) = AmlPlugin.listeners
class Job: pass
listener.on_starting(Job())
print("mlflow.tracking" in sys.modules)
"""


@pytest.mark.parametrize(
    ("job", "uri", "loaded"),
    [
        ("scheduler", "http://127.0.0.1:1", "True"),
        ("scheduler", "", "False"),
        ("dag-processor", "http://127.0.0.1:1", "False"),
    ],
)
def test_the_scheduler_loads_mlflow_for_steps_that_need_it(job, uri, loaded, tmp_path):
    """Where a tracking server is named, tasks forked from there find its client loaded."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS, job],
        env={"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__AML__MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == loaded

"""Loading this package once, in the processes that others are forked from.

Airflow runs every task in a process of its own, forked from a worker that the scheduler forked, and
parses every file in one that the DAG processor forked. What those two have loaded is there already
in each of their children; what they have not, each child loads again.

A run that changed files have started gets a note of them here, too: tasks cannot write one.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl

_NEEDED_BY_STEPS = (
    "airflow_aml.airflow.datachange",
    "airflow_aml.airflow.discovery",
    "airflow_aml.airflow.lineage",
    "airflow_aml.airflow.planning",
    "airflow_aml.airflow.secrets",
    "airflow_aml.airflow.steps.assemble",
    "airflow_aml.airflow.steps.local",
    "airflow_aml.airflow.steps.logged",
    "airflow_aml.airflow.steps.onward",
    "airflow_aml.airflow.steps.properties",
    "airflow_aml.airflow.steps.publishing",
    "airflow_aml.airflow.steps.reusing",
    "airflow_aml.airflow.steps.software",
    "airflow_aml.airflow.steps.storage",
    "airflow_aml.compute.engine",
    "airflow_aml.definition.experiment",
    "airflow_aml.definition.pipeline",
    "airflow_aml.definition.runconfig",
    "airflow_aml.definition.workspace",
    "airflow_aml.reuse.price",
    "airflow_aml.runtime.commit",
    "airflow_aml.runtime.inline",
    "airflow_aml.runtime.places",
    "airflow_aml.workspace.configuration",
    "airflow_aml.workspace.credentials",
    "airflow_aml.workspace.names",
    "airflow_aml.workspace.endings",
    "airflow_aml.workspace.stores.local",
)

_SCHEDULER = "scheduler"
"""Airflow's command that starts it. What starts does not know its own job type yet."""


@hookimpl
def on_starting(component: object) -> None:
    """A part of Airflow starts; a task's process ends too soon to gain from this."""
    if type(component).__name__ == "TaskRunnerMarker":
        return
    for name in _NEEDED_BY_STEPS:
        import_module(name)
    from airflow_aml.codec import prepare
    from airflow_aml.reuse import environment
    from airflow_aml.runtime.report import StepReport
    from airflow_aml.workspace.plans import RunPlan
    from airflow_aml.workspace.process import Process
    from airflow_aml.workspace.runs import RunHead

    prepare(RunPlan, StepReport, RunHead)
    environment.of_this_process()  # what is installed is listed once, until that changes
    Process.this()  # and the host is known
    if sys.argv[1:2] == [_SCHEDULER]:
        from airflow_aml.airflow.pools import make_pools

        _load_mlflow()
        make_pools()


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """A run begins; that of a watched folder's schedule has a note of what has changed there.

    The scheduler calls this inside its transaction, which keeps the note.
    """
    from airflow_aml.airflow.datachange import BY_DATA, note_of_events

    if dag_run.run_type != BY_DATA or dag_run.note:
        return
    said = note_of_events(event.extra for event in dag_run.consumed_asset_events)
    if said:
        dag_run.note = said


def _load_mlflow() -> None:
    """Loads MLflow's client, which takes seconds, where steps are shown there."""
    from airflow_aml.airflow.settings import mlflow_tracking_uri

    if mlflow_tracking_uri():
        from airflow_aml.airflow.mlflow.server import load_client

        with suppress(ImportError):  # each step says so in its own log
            load_client()

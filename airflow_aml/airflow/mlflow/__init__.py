"""Runs in MLflow: the pipeline's run, below it one run for each try of a step, with its record.

Only where a tracking server is named (``[aml] mlflow_tracking_uri``, else ``MLFLOW_TRACKING_URI``)
anything of this is loaded or asked. What goes wrong with it is one warning in the task's log and
never the step's failure; a server that is away costs seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import DownstreamTasksSkipped

from airflow_aml.airflow.settings import mlflow_tracking_uri

if TYPE_CHECKING:
    from airflow_aml.airflow.mlflow.runs import Begun
    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.reuse.walk import Decision
    from airflow_aml.runtime.job import StepJob
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.plans import RunPlan

OWN_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID")
"""Whose author sets one of them for a step has a place of his own for what its script logs."""


@contextmanager
def shown(run: StepRun, job: StepJob) -> Iterator[tuple[StepJob, str]]:
    """Inside, the step has a run in MLflow; at the end that gets the step's record.

    Yields:
        The job, whose script finds that run, and the run's page; empty where there is none.
    """
    job, begun = begin(run, job)
    with ending(begun, run, job):
        yield job, begun.page if begun else ""


def begin(run: StepRun, job: StepJob) -> tuple[StepJob, Begun | None]:
    """Begins the step's run in MLflow, where there is one, and tells the job's script of it."""
    uri = mlflow_tracking_uri()
    if not uri:
        return job, None
    from airflow_aml.airflow.mlflow import runs

    begun = runs.begin(uri, run, job)
    if begun is not None and not any(name in job.environment_variables for name in OWN_VARIABLES):
        job = replace(job, environment_variables={**begun.variables, **job.environment_variables})
    return job, begun


@contextmanager
def ending(begun: Begun | None, run: StepRun, job: StepJob) -> Iterator[None]:
    """At the end a run in MLflow that was begun gets the step's record, and its status."""
    if begun is None:
        yield
        return
    from airflow_aml.airflow.mlflow import runs

    status = "KILLED"
    try:
        yield
        status = "FINISHED"
    except DownstreamTasksSkipped:  # the step has succeeded, and steps below it are reused
        status = "FINISHED"
        raise
    except Exception:
        status = "FAILED"
        raise
    finally:
        runs.end(begun, run, job, status)


def tell_reused(
    home: Home, pipeline_run_id: str, plan: RunPlan, found: Mapping[str, Decision]
) -> None:
    """Links the pipeline's run in MLflow to those whose results its steps use, by task id."""
    uri = mlflow_tracking_uri()
    if uri and found:
        from airflow_aml.airflow.mlflow import runs

        runs.tell_reused(uri, home, pipeline_run_id, plan, found)

"""Sending a step's record to MLflow when its script has ended, however it ended."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_aml.airflow.mlflow.contents import Contents, contents_of, params_of
from airflow_aml.airflow.mlflow.server import LONG, patience
from airflow_aml.runtime import recording
from airflow_aml.runtime.job import StepJob
from airflow_aml.workspace import models
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.journal import JOURNAL, Note, about, read_notes

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from airflow_aml.airflow.mlflow.runs import Shown

_MOST_POINTS = 1000
_MOST_TAGS = 100


def ship(server: MlflowClient, step: Shown, pipeline: Shown, home: Home, job: StepJob) -> None:
    """Gives a step's record to its run, and what it says about others to theirs.

    Raises:
        Exception: what MLflow's client and the workspace raise.
    """
    folder = recording.folder_of(job)
    notes = _journal(folder)
    with patience(LONG):
        _params(server, step.run_id, params_of(job.arguments, job.parameters))
        own = _put(server, step.run_id, about(notes, None), os.path.join(folder, recording.FILES))
        _below(server, step, own, notes, folder)
        others = os.path.join(folder, recording.OTHERS, job.root_run_id, recording.FILES)
        _put(server, pipeline.run_id, about(notes, job.root_run_id), others)
        for name, number in own.models:
            _register(server, step, home, name, number)


def ship_program(server: MlflowClient, shown: Shown, folder: str, run_id: str) -> None:
    """Gives the record of a program's own run, which lies in that folder, to its run.

    Raises:
        Exception: what MLflow's client raises.
    """
    notes = _journal(folder)
    files = os.path.join(folder, recording.OTHERS, run_id, recording.FILES)
    with patience(LONG):
        own = _put(server, shown.run_id, about(notes, run_id), files)
        _below(server, shown, own, notes, folder)


def _journal(folder: str) -> list[Note]:
    try:
        with open(os.path.join(folder, JOURNAL), "rb") as stream:
            return list(read_notes(stream.read()))
    except FileNotFoundError:
        return []


def _put(server: MlflowClient, run_id: str, notes: Sequence[Note], files: str) -> Contents:
    """Gives a run what notes about it say, and its files."""
    from mlflow.entities import Metric, RunTag

    found = contents_of(notes)
    for start in range(0, len(found.points), _MOST_POINTS):
        batch = found.points[start : start + _MOST_POINTS]
        metrics = [Metric(each.name, each.value, each.milliseconds, each.step) for each in batch]
        server.log_batch(run_id, metrics=metrics)
    tags = [RunTag(name, value) for name, value in found.tags.items()]
    for start in range(0, len(tags), _MOST_TAGS):
        server.log_batch(run_id, tags=tags[start : start + _MOST_TAGS])
    for path, document in found.documents.items():
        server.log_dict(run_id, document, path)
    if os.path.isdir(files):
        server.log_artifacts(run_id, files)
    return found


def _params(server: MlflowClient, run_id: str, params: dict[str, str]) -> None:
    """A script's own ``mlflow.log_param`` goes first, as MLflow changes none."""
    from mlflow.entities import Param

    there = server.get_run(run_id).data.params
    fresh = [Param(name, value) for name, value in params.items() if name not in there]
    for start in range(0, len(fresh), _MOST_TAGS):
        server.log_batch(run_id, params=fresh[start : start + _MOST_TAGS])


def _below(
    server: MlflowClient, step: Shown, own: Contents, notes: Sequence[Note], folder: str
) -> None:
    """The child runs that the script has begun."""
    for identity, name in own.children.items():
        tags = {"mlflow.parentRunId": step.run_id, "airflow_aml.run_id": identity}
        made = server.create_run(step.experiment_id, tags=tags, run_name=name)
        place = os.path.join(folder, recording.OTHERS, identity)
        # One that had a process of its own has noted there, and its end was noted here.
        said = [*about(_journal(place), None), *about(notes, identity)]
        found = _put(server, made.info.run_id, said, os.path.join(place, recording.FILES))
        server.set_terminated(made.info.run_id, found.status or "FINISHED")


def _register(server: MlflowClient, step: Shown, home: Home, name: str, number: int) -> None:
    """A model that the script has registered, in MLflow's registry; its files go with the run."""
    from mlflow.exceptions import MlflowException

    _, version = models.get(home, name, number)
    place = f"models/{name}/{number}"
    with tempfile.TemporaryDirectory() as folder:
        models.download(home, version, folder)
        server.log_artifacts(step.run_id, folder, place)
    try:
        server.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    root = server.get_run(step.run_id).info.artifact_uri
    server.create_model_version(
        name,
        source=f"{root}/{place}",
        run_id=step.run_id,
        tags={"airflow_aml.version": str(number), **{k: str(v) for k, v in version.tags.items()}},
        description=version.description or None,
        await_creation_for=0,
    )

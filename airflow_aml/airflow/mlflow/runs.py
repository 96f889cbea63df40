"""The runs in MLflow: which there are for a run of ours, how they begin and how they end.

::

    runs/<pipeline-run-id>/mlflow/run.json             the pipeline's run: whoever creates this
                                                       document first has made it
    runs/<pipeline-run-id>/mlflow/<step-run-id>.json   the run of a step's latest try
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_aml.airflow.mlflow.recording import ship
from airflow_aml.airflow.mlflow.server import SHORT, client, page, patience, without_password
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.walk import Decision
from airflow_aml.runtime.job import StepJob
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.plans import RunPlan, read_plan
from airflow_aml.workspace.runs import read_head, results, status_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from airflow_aml.airflow.steps.assemble import StepRun

_LOG = logging.getLogger(__name__)
OURS = "airflow_aml.run_id"
"""The tag with a run's id here."""

_PARENT = "run"


@dataclass(frozen=True)
class Shown:
    """A run in MLflow."""

    uri: str
    experiment_id: str
    run_id: str

    @property
    def page(self) -> str:
        """Its page; empty where the server has none."""
        return page(self.uri, self.experiment_id, self.run_id)


@dataclass(frozen=True)
class Begun:
    """A try of a step that is under way in MLflow."""

    step: Shown
    pipeline: Shown
    experiment: str

    @property
    def page(self) -> str:
        """The page of the step's run."""
        return self.step.page

    @property
    def variables(self) -> dict[str, str]:
        """What makes ``mlflow.*`` in the step's script log into the same run."""
        return {
            "MLFLOW_TRACKING_URI": self.step.uri,
            "MLFLOW_EXPERIMENT_NAME": self.experiment,
            "MLFLOW_RUN_ID": self.step.run_id,
        }


def begun_of(document: Mapping[str, Any]) -> Begun:
    """The try that ``asdict`` has made that document of."""
    step, pipeline = Shown(**document["step"]), Shown(**document["pipeline"])
    return Begun(step, pipeline, str(document["experiment"]))


def begin(uri: str, run: StepRun, job: StepJob) -> Begun | None:
    """Begins the run of a step's try; None, and a warning, where MLflow cannot be used."""
    try:
        with patience(SHORT):
            server = client(uri)
            pipeline = _pipelines(server, uri, run.home, run.pipeline_run_id, run.plan)
            earlier = _read(run.home, run.pipeline_run_id, run.id)
            if earlier is not None and earlier.uri == uri:
                _end_lost(server, earlier)
            tags = {
                OURS: run.id,
                "mlflow.parentRunId": pipeline.run_id,
                "mlflow.source.type": "JOB",
                "mlflow.source.name": job.script,
                "airflow.task_id": run.task_id,
                "airflow.try_number": str(run.try_number),
                **_where(run.plan, run.task_id),
            }
            made = server.create_run(pipeline.experiment_id, tags=tags, run_name=run.node.name)
            step = replace(pipeline, run_id=made.info.run_id)
            place = _document(run.pipeline_run_id, run.id)
            run.home.store.write(place, json.dumps(asdict(step)).encode())
            return Begun(step, pipeline, run.plan.experiment)
    except Exception as error:  # noqa: BLE001 - MLflow is an addition, whatever is wrong with it
        _warn(uri, f"step {run.node.name!r} is not shown there", error)
        return None


def end(begun: Begun, run: StepRun, job: StepJob, status: str) -> None:
    """Gives the step's record to its run, and ends that; also the pipeline's if it was the last."""
    try:
        server = client(begun.step.uri)
        try:
            ship(server, begun.step, begun.pipeline, run.home, job)
        finally:
            with patience(SHORT):
                server.set_terminated(begun.step.run_id, status)
                _settle(server, begun.pipeline, run.home, run.pipeline_run_id)
    except Exception as error:  # noqa: BLE001 - as above
        _warn(begun.step.uri, f"step {run.node.name!r} is not shown there in full", error)


def tell_reused(
    uri: str, home: Home, pipeline_run_id: str, plan: RunPlan, found: Mapping[str, Decision]
) -> None:
    """Tags the pipeline's run: ``reused.<task>`` is the run that has made the step's result."""
    try:
        with patience(SHORT):
            server = client(uri)
            from mlflow.entities import RunTag

            pipeline = _pipelines(server, uri, home, pipeline_run_id, plan)
            tags = [
                RunTag(f"reused.{task_id}", _maker(home, decision))
                for task_id, decision in found.items()
            ]
            for start in range(0, len(tags), 100):
                server.log_batch(pipeline.run_id, tags=tags[start : start + 100])
            _settle(server, pipeline, home, pipeline_run_id)
    except Exception as error:  # noqa: BLE001 - as above
        _warn(uri, "reused steps are not linked there", error)


def _maker(home: Home, decision: Decision) -> str:
    """The run that made a result: its page or id in MLflow, else Airflow's names of it."""
    record = decision.record
    assert record is not None
    made = _read(home, record.pipeline_run_id, record.step_run_id)
    if made is None:
        return f"{record.dag_id} {record.run_id} {record.task_id}"
    return made.page or made.run_id


def _pipelines(
    server: MlflowClient, uri: str, home: Home, pipeline_run_id: str, plan: RunPlan
) -> Shown:
    """The pipeline's run in MLflow, under way: made by whoever needs it first."""
    known = _read(home, pipeline_run_id, _PARENT)
    if known is not None and known.uri == uri:
        info = server.get_run(known.run_id).info
        if info.status != "RUNNING":  # a step of it was cleared
            server.update_run(known.run_id, status="RUNNING")
        return known
    experiment_id = experiment_of(server, plan.experiment)
    # A run that is there already was made by somebody who did not get to say so.
    found = server.search_runs([experiment_id], f"tags.`{OURS}` = '{pipeline_run_id}'")
    made = found[0] if found else _create(server, experiment_id, pipeline_run_id, plan)
    mine = Shown(uri, experiment_id, made.info.run_id)
    place, data = _document(pipeline_run_id, _PARENT), json.dumps(asdict(mine)).encode()
    if known is not None:  # of another server
        home.store.write(place, data)
    elif not home.store.create(place, data):
        winner = _read(home, pipeline_run_id, _PARENT)
        if winner is not None and winner.run_id != mine.run_id:
            server.delete_run(mine.run_id)
            return winner
    return mine


def _create(server: MlflowClient, experiment_id: str, pipeline_run_id: str, plan: RunPlan) -> Any:
    from mlflow.entities import Param

    from airflow_aml.airflow.mlflow.contents import params_of

    tags = {
        **plan.tags,
        OURS: pipeline_run_id,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": plan.dag_id,
        "airflow.dag_id": plan.dag_id,
        "airflow.run_id": plan.run_id,
        **_where(plan),
    }
    made = server.create_run(experiment_id, tags=tags, run_name=f"{plan.dag_id} {plan.run_id}")
    params = [Param(*each) for each in params_of((), plan.parameters).items()]
    if params:
        server.log_batch(made.info.run_id, params=params)
    return made


def experiment_of(server: MlflowClient, name: str) -> str:
    """The id of the experiment of that name, which is made if it is not there."""
    from mlflow.exceptions import MlflowException

    found = server.get_experiment_by_name(name)
    if found is None:
        try:
            return str(server.create_experiment(name))
        except MlflowException:  # another step has made it meanwhile
            found = server.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _end_lost(server: MlflowClient, earlier: Shown) -> None:
    """Ends the run of an earlier try whose worker was lost."""
    if server.get_run(earlier.run_id).info.status == "RUNNING":
        server.set_terminated(earlier.run_id, "KILLED")


def _settle(server: MlflowClient, pipeline: Shown, home: Home, pipeline_run_id: str) -> None:
    """Ends the pipeline's run when a step has failed, or none is left to run.

    A step's end is written down before this looks, so of several last ones at least one sees all.
    """
    if home.store.children(layout.failed(pipeline_run_id)):
        server.set_terminated(pipeline.run_id, "FAILED")
        return
    plan = read_plan(home, pipeline_run_id)
    head = read_head(home, pipeline_run_id)
    if plan is not None and head is not None:
        waited_for = {name for step in plan.steps.values() for name in step.upstream}
        last = {name: each for name, each in head.steps.items() if name not in waited_for}
        if status_of(results(home, replace(head, steps=last))) == "Unfinished":
            return
    server.set_terminated(pipeline.run_id, "FINISHED")


def _where(plan: RunPlan, task_id: str | None = None) -> dict[str, str]:
    base = conf.get("api", "base_url", fallback="")
    if not base:
        return {}
    address = f"{base.rstrip('/')}/dags/{plan.dag_id}/runs/{plan.run_id}"
    return {"airflow.url": address + (f"/tasks/{task_id}" if task_id else "")}


def _document(pipeline_run_id: str, name: str) -> str:
    return f"{layout.run(pipeline_run_id)}/mlflow/{name}.json"


def _read(home: Home, pipeline_run_id: str, name: str) -> Shown | None:
    try:
        return Shown(**json.loads(home.store.read(_document(pipeline_run_id, name))))
    except (AirflowAmlError, OSError, ValueError, TypeError):
        return None


def _warn(uri: str, what: str, error: Exception) -> None:
    _LOG.warning("%s", sentence(uri, what, error))


def sentence(uri: str, what: str, error: Exception) -> str:
    """What is told of an error at a server, without a password."""
    shown = without_password(uri)
    said = " ".join(str(error).replace(uri, shown).split())[:300]
    return f"MLflow at {shown}: {what} ({type(error).__name__}: {said})"

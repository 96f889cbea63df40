"""``submit`` with a running Airflow: the run is a run of the pipeline's DAG there.

Airflow must have the DAG: the program's file, or the file that builds the pipeline, lies in its
dags folder. What is sent is the run's conf, and the run's name is made here, so that a call that is
repeated because its answer was lost does not start a second run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from airflow_aml.airflow.copies import COPY, digests
from airflow_aml.airflow.remotedags import check_dag, find_dag, wait_for_published
from airflow_aml.airflow.rest import AirflowAnswer, Document, Rest, rest
from airflow_aml.definition.engine import TaskProgress
from airflow_aml.definition.experiment import Experiment
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.published import dag_id_of
from airflow_aml.definition.runs.pipelinerun import PipelineRun
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.definition.values import SETTINGS_KEY
from airflow_aml.definition.workspace import Workspace
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import layout
from airflow_aml.workspace.submitted import Submitted, write_submitted

if TYPE_CHECKING:
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.workspace.published import Published

_NOT_FOUND, _CONFLICT, _BAD_REQUEST = 404, 409, 400
_POLL = 0.5
_RUN_STATUS = {
    "queued": "NotStarted",
    "running": "Running",
    "success": "Finished",
    "failed": "Failed",
}
_STEP_STATUS = {
    "queued": "Queued",
    "up_for_retry": "Queued",
    "up_for_reschedule": "Queued",
    "deferred": "Queued",
    "running": "Running",
    "restarting": "Running",
    "success": "Finished",
    "failed": "Failed",
    "skipped": "Bypassed",
    "removed": "Bypassed",
}
_GOES_ON = ("Queued", "Running")


class RemoteEngine:
    """Starts runs in a running Airflow."""

    def built(self, pipeline: Pipeline) -> None:
        """Nothing comes of a pipeline that is only built."""

    def submit(
        self,
        pipeline: Pipeline,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Starts the run and returns at once.

        Raises:
            UserErrorException: Airflow has no such DAG, or does not let it run.
            AzureMLException: Airflow cannot be reached, or refuses.
        """
        airflow = rest()
        dag_id = find_dag(airflow, pipeline, experiment_name)
        # The program's own defaults, whatever Airflow's copy of the file says.
        values = {each.name: each.default for each in pipeline.spec.parameters}
        values.update(parameters)
        check_dag(airflow, dag_id, pipeline.spec, values)
        workspace = Workspace.of_run(pipeline.spec.workspace)
        home = home_of(workspace)
        copy = digests(pipeline.spec, pipeline.folder, home)
        settings = {**options, "experiment_name": experiment_name, COPY: copy}
        return _begun(airflow, dag_id, workspace, {**values, SETTINGS_KEY: settings})

    def submit_published(
        self,
        published: Published,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Starts a run of what was published, and returns at once.

        Raises:
            UserErrorException: Airflow has no such DAG, or does not let it run.
            AzureMLException: Airflow cannot be reached, or refuses.
        """
        airflow, dag_id = rest(), dag_id_of(published)
        spec = PipelineSpec.from_dict(published.spec)
        wait_for_published(airflow, dag_id)
        settings = {**options, "experiment_name": experiment_name}
        conf = {**parameters, SETTINGS_KEY: settings}
        return _begun(airflow, dag_id, Workspace.of_run(spec.workspace), conf)


def _begun(airflow: Rest, dag_id: str, workspace: Workspace, conf: Document) -> PipelineRun:
    home, experiment_name = home_of(workspace), str(conf[SETTINGS_KEY]["experiment_name"])
    run_id = f"manual__{datetime.now(UTC).isoformat()}_{uuid4().hex[:8]}"
    _start(airflow, dag_id, run_id, conf)
    identity = layout.pipeline_run_id(home.uuid, dag_id, run_id)
    write_submitted(home, identity, Submitted(dag_id, run_id, experiment_name))
    experiment = Experiment.of_run(workspace, experiment_name)
    run = AirflowRun(airflow, dag_id, run_id)
    return PipelineRun(experiment, identity, _airflow=run, _is_known=True)


def _start(airflow: Rest, dag_id: str, run_id: str, conf: Document) -> None:
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
    try:
        airflow.call("POST", "dags", dag_id, "dagRuns", body=body)
    except AirflowAnswer as answer:
        if answer.status == _BAD_REQUEST:
            raise UserErrorException(
                f"Airflow does not take this run: {answer.message}", where=f"DAG {dag_id!r}"
            ) from answer
        if answer.status != _CONFLICT:  # an earlier try has come through
            raise


@dataclass(frozen=True)
class AirflowRun:
    """One run of an Airflow."""

    airflow: Rest
    dag_id: str
    run_id: str

    @property
    def url(self) -> str:
        """Its page in Airflow's UI."""
        dag_id, run_id = quote(self.dag_id, safe=""), quote(self.run_id, safe="")
        return f"{self.airflow.url}/dags/{dag_id}/runs/{run_id}"

    def status(self) -> str:
        """v1's word for it; empty if Airflow has no such run."""
        try:
            state = self.airflow.call("GET", *self._path)["state"]
        except AirflowAnswer as answer:
            if answer.status == _NOT_FOUND:
                return ""
            raise
        return _RUN_STATUS.get(state, "Running")

    def steps(self) -> list[TaskProgress]:
        """Its tasks, as Airflow lists them."""
        found = self.airflow.pages(*self._path, "taskInstances", key="task_instances")
        return [_progress(each) for each in found]

    def step(self, task_id: str) -> TaskProgress | None:
        """One of its tasks."""
        try:
            return _progress(self.airflow.call("GET", *self._path, "taskInstances", task_id))
        except AirflowAnswer as answer:
            if answer.status == _NOT_FOUND:
                return None
            raise

    def why(self, task: TaskProgress) -> str:
        """What the log of a task's last try says that went wrong."""
        path = (*self._path, "taskInstances", task.task_id, "logs", str(max(task.tries, 1)))
        try:
            lines = self.airflow.call("GET", *path, query={"full_content": True})["content"]
        except AirflowAnswer:  # there is none, or it is gone
            return ""
        errors = [each for each in lines if isinstance(each, dict) and each.get("level") == "error"]
        told = [_error(each) for each in errors]
        return next((text for text in reversed(told) if text), "")

    def cancel(self) -> None:
        """Ends it and waits until Airflow says that nothing of it goes on."""
        self.airflow.call("PATCH", *self._path, body={"state": "failed"})
        while self.status() not in ("Finished", "Failed", "") or any(
            each.status in _GOES_ON for each in self.steps()
        ):
            time.sleep(_POLL)

    @property
    def _path(self) -> tuple[str, ...]:
        return "dags", self.dag_id, "dagRuns", self.run_id


def run_of(dag_id: str, run_id: str) -> AirflowRun:
    """A run of the Airflow that this process' environment names."""
    return AirflowRun(rest(), dag_id, run_id)


def _progress(task: Document) -> TaskProgress:
    name = str(task["task_display_name"])
    status = _STEP_STATUS.get(task["state"] or "", "NotStarted")
    seconds = task["duration"]
    if status == "Running" and task["start_date"]:
        started = datetime.fromisoformat(task["start_date"])
        seconds = (datetime.now(UTC) - started).total_seconds()
    tries = int(task["try_number"] or 0)
    return TaskProgress(task["task_id"], name, status, float(seconds or 0.0), tries)


def _error(line: Document) -> str:
    details = line.get("error_detail") or [{}]
    return str(details[-1].get("exc_value") or "").strip()

"""Steps in pods: a pod stages, runs and commits by itself, through the workspace's store.

The worker sends an errand and lets go of the step; the triggerer waits for the pod's end; whichever
worker comes then concludes the step. A retry goes on with the pod that a lost worker has left.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from airflow_aml.airflow import mlflow
from airflow_aml.airflow.steps.errand import (
    Answer,
    Errand,
    earlier_errands,
    fetch_record,
    read_errand,
)
from airflow_aml.airflow.steps.following import ATTEMPT, OWN_NAMES
from airflow_aml.airflow.steps.halt import raise_halt, raise_time_limit
from airflow_aml.airflow.steps.holding import held
from airflow_aml.airflow.steps.mixin import AmlStepMixin
from airflow_aml.airflow.steps.podoperator import BROKEN, PodOperator
from airflow_aml.airflow.steps.properties import properties_of
from airflow_aml.airflow.steps.shown import shown_command
from airflow_aml.compute.docker import image_of
from airflow_aml.compute.kubernetes import (
    CONTAINER,
    GRACE_SECONDS,
    WORK,
    PodRequest,
    is_shared,
    pod,
    why_lost,
)
from airflow_aml.compute.registry import is_digest, pinned
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.environment import of_image
from airflow_aml.reuse.lease import holder
from airflow_aml.runtime import STORES_VARIABLE
from airflow_aml.runtime.job import StepJob
from airflow_aml.runtime.secrets import HANDED_VARIABLE
from airflow_aml.runtime.travelling import runtime_zip
from airflow_aml.workspace import layout
from airflow_aml.workspace.computes import ComputeRecord

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.sdk import Context
    from kubernetes.client.models import V1Pod

    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.reuse.lease import Lease
    from airflow_aml.reuse.walk import Decision

_REFUSED = (400, 401, 403, 404, 422)
_GONE = 404


class KubernetesStepOperator(AmlStepMixin, PodOperator):
    """One step of a pipeline, run in a pod of a Kubernetes cluster.

    Args:
        node: the step.
        compute: where it runs.
        image: what it runs in.
        workspace: the name of the pipeline's workspace.
        folder: absolute; local input paths of the definition start here.
    """

    template_fields: Sequence[str] = ("command",)
    template_fields_renderers = {"command": "bash"}
    ui_color = "#d7e9ff"
    custom_operator_name = "PythonScriptStep"

    def __init__(
        self,
        *,
        node: NodeSpec,
        compute: ComputeRecord,
        image: str,
        workspace: str = "",
        folder: str = ".",
        **kwargs: Any,
    ):
        if compute.connection:
            kwargs["kubernetes_conn_id"] = compute.connection
        super().__init__(
            image=image,
            namespace=compute.namespace,
            pod_template_file=compute.pod_template,
            base_container_name=CONTAINER,
            random_name_suffix=False,
            durable=False,  # errands do that, and know what was to be done
            deferrable=True,
            get_logs=False,  # the trigger tells them
            log_events_on_startup=False,
            log_pod_spec_on_failure=False,
            schedule_timeout_seconds=compute.startup_seconds,
            startup_timeout_seconds=compute.startup_seconds,
            startup_check_interval_seconds=1,
            poll_interval=1,
            termination_grace_period=GRACE_SECONDS,
            termination_message_policy="FallbackToLogsOnError",
            **kwargs,
        )
        self.node = node
        self.compute = compute
        self.workspace = workspace
        self.folder = folder
        self.command = shown_command(node)
        # The pod ends its script in time. Airflow would count the time before it has started.
        self.limit = self.execution_timeout
        self.execution_timeout = None

    def assemble(self, context: Context) -> StepRun:
        """The step in this run, with its image.

        Raises:
            AirflowFailException: its pod could not see the workspace.
        """
        run = super().assemble(context)
        if run.home.is_local and not is_shared(str(run.home.root), self.compute):
            raise_halt(
                run,
                f"step {self.node.name!r}, compute {self.compute.name!r}: pods do not see the "
                f"workspace {run.home.url}, a folder of the worker's. Set [aml] workspace to an "
                "object store, or name the volume that it is on in the compute's 'volumes'.",
                fatal=True,
            )
        planned, named = run.plan.steps[self.node.id], image_of(self.node, self.compute)
        self.image = pinned(named, planned.image) if is_digest(planned.image) else named
        # What could not be told then is not known to be what the pod will run.
        known = planned.image or (named if planned.key.get("environment") else "")
        return replace(run, scratch=Path(WORK), software=of_image(known) if known else None)

    def configure(self, job: StepJob) -> None:
        """Nothing: an errand says it all."""

    def equip(self, run: StepRun, job: StepJob) -> StepJob:
        """The job with the packages that the step asks for beside its image."""
        from airflow_aml.airflow.steps.software import packages_in_store

        python, packages = packages_in_store(run, self.log.info)
        return replace(job, python=python, packages=packages)

    def sweep(self, run: StepRun) -> None:
        """Nothing: what an earlier try has left at work is gone on with, or ended, when it runs."""

    def run_job(self, context: Context, run: StepRun, job: StepJob, decision: Decision) -> None:
        """Sends the step to a pod, or goes on with the pod of an earlier try.

        Raises:
            TaskDeferred: the triggerer waits for its end.
        """
        try:
            left = self._left(run, decision) if run.try_number > 1 else None
            if left is None:
                self._begin(context, run, job, decision)
            else:
                self._go_on(context, run, left)
        except BROKEN as error:
            self._raise_broken(run, error)
        except AirflowAmlError as error:
            raise_halt(run, f"{self._where}: {error}", cause=error)
        except KeyboardInterrupt:  # of a run in one process; else Airflow calls it
            self.on_kill()
            raise

    def _begin(self, context: Context, run: StepRun, job: StepJob, decision: Decision) -> None:
        self._refuse_unseen(run, job)
        template = self.compute.pod_template
        if template and not os.path.isfile(template):
            raise_halt(run, f"{self._where}: there is no pod_template {template}.", fatal=True)
        job = replace(job, properties=properties_of(run, decision), cache=f"{WORK}/cache")
        job = self.equip(run, job)
        job, begun = mlflow.begin(run, job)
        seconds = self.limit.total_seconds() if self.limit else None
        self.handed = self._handed()
        request = PodRequest(
            name=f"aml-{job.attempt}",
            step_run_id=run.id,
            arguments=(
                self._runtime(run),
                WORK,
                run.stores.place(layout.errand(job.attempt)),
                run.stores.place(layout.answer(job.attempt)),
            ),
            handed=tuple(self.handed),
            seconds=seconds,
        )
        self.name = request.name
        manifest = pod(self.compute, str(self.image), request)
        self.full_pod_spec = PodGenerator.deserialize_model_dict(manifest)
        asked = self.pod_request_obj = self.build_pod_request_obj(context)
        errand = Errand(
            job,
            asked.metadata.namespace,
            asked.metadata.name,
            decision.reason,
            decision.fingerprint,
            seconds,
            asdict(begun) if begun else None,
        )
        errand.keep(run.home)
        try:
            self._wait(context, run, errand)
        except BROKEN:  # there is no pod
            errand.forget(run.home)
            raise

    def _handed(self) -> dict[str, str]:
        """What opens the pod's stores, and the secrets that its compute names."""
        from airflow_aml.airflow import secrets

        named = secrets.named(self.compute.secrets)
        handed = {
            STORES_VARIABLE: self.handed_stores(),
            HANDED_VARIABLE: json.dumps(named) if named else "",
        }
        return {name: value for name, value in handed.items() if value}

    def _refuse_unseen(self, run: StepRun, job: StepJob) -> None:
        """Refuses inputs that lie on the worker's disk alone."""
        for port in job.inputs:
            paths = [*port.paths, *(file.uri for file in port.files)]
            for path in paths if port.mode != "direct" else ():
                if path.startswith("/") and not is_shared(path, self.compute):
                    raise_halt(
                        run,
                        f"{self._where}: pods do not see the input {port.name!r} at {path}, a "
                        "place of the worker's. Put it into a datastore, or name the volume that "
                        "it is on in the compute's 'volumes'.",
                        fatal=True,
                    )

    def _runtime(self, run: StepRun) -> str:
        """Where pods of this workspace find the runtime, which is put there once."""
        zipped = Path(runtime_zip())
        place = layout.runtime(zipped.name)
        if not run.home.store.exists(place):
            run.home.store.create(place, zipped.read_bytes())
        return run.stores.place(place)

    def _left(self, run: StepRun, decision: Decision) -> Errand | None:
        """What an earlier try has left that is still worth waiting for; all else is ended."""
        kept = None
        for errand in earlier_errands(run):
            there = self._pod(errand)
            of_use = kept is None and errand.is_for(decision)
            if of_use and _has_future(there, errand.answer(run.home)):
                kept = errand
                continue
            if there is not None:
                self.pod_manager.delete_pod(there)
            errand.forget(run.home)
        return kept

    def _go_on(self, context: Context, run: StepRun, errand: Errand) -> None:
        there = self._pod(errand)
        self.log.info("goes on with the pod %s of an earlier try", errand.pod)
        if there is None:
            event = {"status": "success", "name": errand.pod, "namespace": errand.namespace}
            self._conclude(context, run, errand, event)
            return
        there.status = None  # however it is: the trigger looks, and tells its lines
        self.pod = self.pod_request_obj = there
        self.name = errand.pod
        self._wait(context, run, errand)

    def _wait(self, context: Context, run: StepRun, errand: Errand) -> None:
        """Makes the pod, unless it is there, and lets the triggerer wait for its end."""
        lease = self._lease(run, errand)
        self.trigger_kwargs = {
            ATTEMPT: errand.attempt,
            "workspace": self.workspace,
            "fingerprint": lease.fingerprint if lease else "",
            "token": lease.token if lease else "",
        }
        KubernetesPodOperator.execute(self, context)

    def _pod(self, errand: Errand) -> V1Pod | None:
        try:
            return self.hook.get_pod(errand.pod, errand.namespace)
        except ApiException as error:
            if error.status == _GONE:
                return None
            raise

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Concludes the step, whose pod has ended or cannot start."""
        run = self.step_run
        assert run is not None
        try:
            errand = read_errand(run.home, event[ATTEMPT])
            if errand is None:
                raise_halt(run, f"{self._where}: its errand was removed from the workspace.")
            # The provider may wait once more, where it was its trigger that failed.
            self.trigger_kwargs = {name: event[name] for name in OWN_NAMES if name in event}
            with self._holding(run, errand):
                self._conclude(context, run, errand, event)
        except BROKEN as error:
            self._raise_broken(run, error)
        except AirflowAmlError as error:
            raise_halt(run, f"{self._where}: {error}", cause=error)
        finally:
            self._written()

    def _holding(self, run: StepRun, errand: Errand) -> AbstractContextManager[None]:
        lease = self._lease(run, errand)
        return held(run.home, lease) if lease else nullcontext()

    def _lease(self, run: StepRun, errand: Errand) -> Lease | None:
        """The lease on the step's result, if this task has it."""
        if errand.fingerprint is None:
            return None
        with suppress(AirflowAmlError, OSError):  # at worst somebody does the same work
            lease = holder(run.home, errand.fingerprint.digest)
            mine = (run.plan.dag_id, run.plan.run_id, run.task_id, run.map_index)
            owner = lease.owner if lease else None
            if owner and mine == (owner.dag_id, owner.run_id, owner.task_id, owner.map_index):
                return lease
        return None

    def _conclude(
        self, context: Context, run: StepRun, errand: Errand, event: dict[str, Any]
    ) -> None:
        with suppress(AirflowException):  # why it is lost is told below
            super().trigger_reentry(context, event)
        found = _seen(self.pod)
        answer = errand.answer(run.home)
        if found is None and not _has_future(None, answer) and not errand.is_of_try(run):
            # Who cleared the step has deleted it, while this try went on with it.
            self.log.info("the pod %s of an earlier try was deleted: begins anew", errand.pod)
            errand.forget(run.home)
            assert self.job is not None
            self._begin(context, run, self.job, errand.decision)
        with tempfile.TemporaryDirectory(prefix="aml-pod-") as folder:
            job = answer.unpacked(errand, Path(folder)) if answer else errand.job
            over = True
            try:
                with self._shown(run, errand, job):
                    self._keep_answer(context, run, errand.decision, job, answer, found)
            except AirflowAmlError:  # the store is in the way: the next try finds the answer
                over = False
                raise
            finally:
                self.job = self.step_run = None
                if over:
                    with suppress(AirflowAmlError):  # else it is garbage
                        errand.forget(run.home)

    def _shown(self, run: StepRun, errand: Errand, job: StepJob) -> AbstractContextManager[None]:
        """Ends the step's run in MLflow with its record, where it has one."""
        if errand.mlflow is None:
            return nullcontext()
        from airflow_aml.airflow.mlflow.runs import begun_of

        begun = begun_of(errand.mlflow)
        self.mlflow_page = begun.page
        if job is not errand.job:
            fetch_record(run.home, job)
        return mlflow.ending(begun, run, job)

    def _keep_answer(
        self,
        context: Context,
        run: StepRun,
        decision: Decision,
        job: StepJob,
        answer: Answer | None,
        found: Mapping[str, Any] | None,
    ) -> None:
        report = answer.report if answer else None
        if answer and answer.over and answer.report.outcome != "finished":
            raise_time_limit(run, self.limit or timedelta())
        if report is None or (report.outcome == "stopped" and found is None):
            loss = why_lost(found, self.compute, str(self.image))
            raise_halt(run, f"{self._where}: {loss.reason}", fatal=loss.final)
        self.keep(context, run, job, decision, self.conclude(run, report, None))

    @property
    def _where(self) -> str:
        return f"step {self.node.name!r}, compute {self.compute.name!r}"

    def _raise_broken(self, run: StepRun, error: Exception) -> NoReturn:
        """Fails the task because the cluster does not do what it is asked to."""
        refused = isinstance(error, ApiException) and error.status in _REFUSED
        what = "refuses" if refused else "does not answer"
        raise_halt(
            run,
            f"{self._where}: the Kubernetes cluster {what}: {_explained(error)}",
            cause=error,
            fatal=refused,
        )


def _seen(there: V1Pod | None) -> Mapping[str, Any] | None:
    """A pod as Kubernetes tells it; None if it was deleted."""
    if there is None or there.metadata.deletion_timestamp:
        return None
    told: Mapping[str, Any] = ApiClient().sanitize_for_serialization(there)
    return told


def _has_future(there: V1Pod | None, answer: Answer | None) -> bool:
    """Whether an earlier try's pod is worth waiting for; one that is being deleted is not."""
    if answer is not None:
        return answer.over or answer.report.outcome != "stopped"
    return there is not None and there.metadata.deletion_timestamp is None


def _explained(error: Exception) -> str:
    """The cluster's own words."""
    if isinstance(error, ApiException):
        said = error.body or ""
        with suppress(ValueError, LookupError, TypeError):
            said = json.loads(said)["message"]
        return f"{error.reason} ({error.status}). {said}".strip()
    return " ".join(str(error).split())

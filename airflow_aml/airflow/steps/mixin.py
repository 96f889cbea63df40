"""What every step operator does around the native operator of its compute (architecture 4.3)."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferred,
)

from airflow_aml.airflow import mlflow, skipping, xcoms
from airflow_aml.airflow.settings import cache_bytes, open_workspace, scratch
from airflow_aml.airflow.steps.halt import raise_halt, raise_time_limit, refuse_after_failure
from airflow_aml.airflow.steps.shown import failure_text, shown_command
from airflow_aml.codec import decode
from airflow_aml.definition.spec import EnvironmentSpec, NodeSpec
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.walk import Decision
from airflow_aml.runtime.job import StepJob, StepReport
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.plans import RunPlan, read_plan, read_reused, write_reused

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from jinja2 import Environment

    from airflow_aml.airflow.lineage import Made
    from airflow_aml.airflow.steps.assemble import Reference, StepRun
    from airflow_aml.definition.registered import RegisteredOutput
    from airflow_aml.reuse.lease import Lease

    class _Native:
        """The native operator that the mixin stands before, as the type checker sees it."""

        task_id: str
        dag_id: str
        log: Any

        execution_timeout: timedelta | None

        def execute(self, context: Context) -> Any: ...
        def on_kill(self) -> None: ...
        def render_template_fields(
            self, context: Context, jinja_env: Environment | None = None
        ) -> None: ...

else:
    _Native = object


class AmlStepMixin(_Native):
    """Prepare, let the native operator run ``python -m airflow_aml.runtime``, conclude.

    A class that uses it has the attributes ``node``, ``workspace``, ``folder`` and ``command``, and
    tells the native operator what to run in :meth:`configure`.
    """

    node: NodeSpec
    workspace: str
    folder: str
    command: str
    step_run: StepRun | None = None
    job: StepJob | None = None
    made: Made | None = None
    writing: xcoms.Writing | None = None
    mlflow_page = ""
    """The page of its run in MLflow, where there is one."""

    @abstractmethod
    def configure(self, job: StepJob) -> None:
        """Tells the native operator to run the runtime on that job."""

    def equip(self, run: StepRun, job: StepJob) -> StepJob:
        """The job with the interpreter that its script runs in, which is made if need be."""
        from airflow_aml.airflow.steps.software import equipped

        return equipped(run, job, self.log.info)

    def read_report(self, job: StepJob) -> StepReport | None:
        """The report of the runtime that ran the job; None if it was lost without one."""
        try:
            return StepReport.read(job.report_path)
        except (OSError, ValueError):
            return None

    def handed_stores(self) -> str:
        """What the step's process opens remote stores with, as its variable; empty for none.

        It holds secrets: it goes into that process' environment and nowhere else.
        """
        handed = self.step_run.stores.handed() if self.step_run is not None else {}
        if not handed:
            return ""
        from airflow_aml.airflow.connections import as_text

        return as_text(handed)

    def render_template_fields(
        self, context: Context, jinja_env: Environment | None = None
    ) -> None:
        """Resolves the step's command line, so that Airflow shows what really runs."""
        self.command = ""  # v1's arguments are plain text, whatever signs of Jinja's they hold
        super().render_template_fields(context, jinja_env)
        try:
            self.step_run = self.assemble(context)
            self.job = self.step_run.job()
        except AirflowAmlError as error:
            if self.step_run is None:
                raise AirflowFailException(str(error)) from error
            raise_halt(self.step_run, str(error), cause=error, fatal=True)
        self.command = shown_command(self.node, self.job)

    def execute(self, context: Context, gone: str = "") -> None:
        """Runs the step, or uses its earlier result, or waits for whoever is making that now.

        Args:
            gone: of whom it has waited for.
        """
        from airflow_aml.airflow.steps.reusing import single_flight

        if self.job is None:
            self.render_template_fields(context)
        job, run = self.job, self.step_run
        assert job is not None
        assert run is not None
        refuse_after_failure(run, context)
        if run.try_number > 1:
            self.sweep(run)
        try:
            with single_flight(run, gone) as found:
                if isinstance(found, Decision) and found.record is not None:
                    self.adopt(context, run, found)
                elif isinstance(found, Decision):
                    self.log.info("step %r runs: %s", run.node.name, found.reason)
                    self.run_job(context, run, job, found)
                else:
                    self._wait_for(found, run)
        finally:
            self._written()

    def sweep(self, run: StepRun) -> None:
        """Ends what earlier tries at the step have left at work."""
        from airflow_aml.airflow.steps.lost import sweep_earlier_attempts

        sweep_earlier_attempts(run)

    def _written(self) -> None:
        """Returns when the step's XComs are written, if it has come to that."""
        if self.writing is not None:
            self.writing.wait()

    def _wait_for(self, lease: Lease, run: StepRun) -> NoReturn:
        from airflow_aml.airflow.waiting import ResultTrigger
        from airflow_aml.reuse.lease import LEASE_SECONDS

        owner = lease.owner
        where = f"task {owner.task_id!r} of run {owner.run_id!r} of {owner.dag_id!r}"
        self.log.info(
            "step %r waits: %s is at work on the same result (should that be lost without a trace, "
            "for %g minutes at most)",
            run.node.name,
            where,
            LEASE_SECONDS / 60,
        )
        trigger = ResultTrigger(self.workspace, lease.fingerprint)
        raise TaskDeferred(trigger=trigger, method_name="execute_after")

    def execute_after(self, context: Context, event: Mapping[str, Any] | None = None) -> None:
        """Goes on when nobody is at work on the step's result any more."""
        self.execute(context, gone=str((event or {}).get("gone", "")))

    def run_job(self, context: Context, run: StepRun, job: StepJob, decision: Decision) -> None:
        """Runs the step's script, and keeps what it has made."""
        from airflow_aml.airflow import secrets
        from airflow_aml.airflow.steps.properties import properties_of

        job = replace(job, properties=properties_of(run, decision))
        work = Path(job.work)
        work.mkdir(parents=True)
        try:
            with mlflow.shown(run, job) as (shown, page), secrets.answered(shown) as served:
                self.mlflow_page = page
                self._run_job(context, run, self.equip(run, served), decision)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            self.job = self.step_run = None

    def _run_job(self, context: Context, run: StepRun, job: StepJob, decision: Decision) -> None:
        lost: Exception | None = None
        self.configure(job)
        try:
            super().execute(context)
        except AirflowException as error:
            lost = error
        except AirflowTaskTimeout:
            self.on_kill()
            raise_time_limit(run, self.execution_timeout)
        report = self.conclude(run, self.read_report(job), lost)
        self.keep(context, run, job, decision, report)

    def get_openlineage_facets_on_complete(
        self, task_instance: Any
    ) -> OperatorLineage[Any, Any] | None:
        """What Airflow's OpenLineage provider asks for; None for a step that has not succeeded."""
        if self.made is None:
            return None
        from airflow_aml.airflow.lineage import facets

        return facets(self.made)

    def _register(
        self, context: Context, run: StepRun, references: Mapping[str, Mapping[str, Any]]
    ) -> list[RegisteredOutput]:
        """Registers the outputs that are to be registered: only now, as the step has succeeded."""
        if not any(output.registrations for output in run.node.outputs):
            return []
        from airflow_aml.airflow.assets import tell
        from airflow_aml.definition.registered import register_outputs

        done = register_outputs(run.node, references, run.home, _origin(run))
        for each in done:
            self.log.info("dataset %r is registered, version %d", each.name, each.version)
        tell(context, run.plan.workspace, done, references)
        return done

    def assemble(self, context: Context) -> StepRun:
        """The step in this run, as its plan and its upstream outputs say."""
        from airflow_aml.airflow.steps.assemble import StepRun
        from airflow_aml.airflow.steps.storage import StepStores

        home = open_workspace(self.workspace)
        ti = context["ti"]
        run_id = layout.pipeline_run_id(home.uuid, ti.dag_id, ti.run_id)
        plan = self.plan(home, run_id, context)
        means = plan.steps[self.node.id].environment
        if means:
            self.node = self.node.within(decode(EnvironmentSpec, means))
        map_index = -1 if ti.map_index is None else ti.map_index

        fetched: dict[tuple[str, str], Reference | None] = {}

        def fetch(task_id: str, key: str) -> Reference | None:
            if (task_id, key) not in fetched:
                found = ti.xcom_pull(task_ids=task_id, key=key)
                if found is None:  # of one of many steps that were skipped
                    found = read_reused(home, run_id).get(task_id, {}).get(key)
                fetched[task_id, key] = found
            return fetched[task_id, key]

        return StepRun(
            node=self.node,
            home=home,
            plan=plan,
            pipeline_run_id=run_id,
            task_id=ti.task_id,
            map_index=map_index,
            try_number=ti.try_number,
            folder=self.folder,
            scratch=scratch(),
            fetch=fetch,
            stores=StepStores(home),
            cache_bytes=cache_bytes(),
        )

    def plan(self, home: Home, pipeline_run_id: str, context: Context) -> RunPlan:
        """The plan that this step obeys."""
        plan = read_plan(home, pipeline_run_id, self.node.id)
        if plan is None or self.node.id not in plan.steps:
            raise AirflowFailException(
                f"step {self.node.name!r}: the run has no plan for it in {home.url}. If the "
                "pipeline file was changed since the run began, clear the run's first task, so "
                "that it plans anew; if workers do not share this folder, set [aml] workspace to "
                "one that they do share."
            )
        return plan

    def conclude(
        self, run: StepRun, report: StepReport | None, lost: Exception | None
    ) -> StepReport:
        """The runtime's report of a step that succeeded, or the right kind of failure.

        Raises:
            AirflowFailException: the script failed, or trying again cannot help.
            AirflowException: the step was lost or the store broke; Airflow may try again.
        """
        name = run.node.name
        if report is None:
            raise_halt(
                run, f"step {name!r} was lost: its runtime ended without a report.", cause=lost
            )
        for warning in report.warnings:
            self.log.warning("%s", warning)
        if report.outcome != "finished":
            from airflow_aml.airflow.steps.reusing import spent

            by_script = report.outcome == "script_failed"
            text = failure_text(name, report) if by_script else f"step {name!r}: {report.message}"
            raise_halt(run, text, fatal=by_script or report.fatal, seconds=spent(report))
        return report

    def keep(
        self,
        context: Context,
        run: StepRun,
        job: StepJob,
        decision: Decision,
        report: StepReport,
    ) -> None:
        """Registers, records and hands on what the step has made, and skips what it left as it was.

        Raises:
            DownstreamTasksSkipped: steps below need not run; the task itself succeeds.
        """
        from airflow_aml.airflow.lineage import Made
        from airflow_aml.airflow.steps import reusing
        from airflow_aml.airflow.steps.logged import logged_numbers

        references = {key: output.reference for key, output in report.outputs.items()}
        registered = self._register(context, run, references)
        metrics = logged_numbers(job)
        spent = reusing.spent(report)
        result = skipping.finished(decision.fingerprint, decision.reason, spent, metrics)
        if self.mlflow_page:
            result["mlflow"] = self.mlflow_page
        versions = {each.name: each.version for each in registered}
        self.made = Made(run, references, versions, metrics)
        self._hand_on(context, references, result)
        unrecorded = reusing.record(run, job, report, decision, registered, metrics)
        if unrecorded:
            self.log.warning("this result is not kept for reuse: %s", unrecorded)
        reusing.report(run, references, result)
        self._go_below(context, run, references)

    def adopt(self, context: Context, run: StepRun, decision: Decision) -> None:
        """Uses an earlier result: publishes it again where that is needed, and hands it on.

        Raises:
            DownstreamTasksSkipped: steps below need not run either.
        """
        from airflow_aml.airflow.lineage import Made
        from airflow_aml.airflow.steps import reusing

        assert decision.record is not None
        self.log.info("step %r is reused: %s", run.node.name, decision.reason)
        references = {name: each.reference for name, each in decision.record.outputs.items()}
        versions = {each["name"]: each["version"] for each in decision.record.registered}

        def register() -> list[RegisteredOutput]:
            done = self._register(context, run, references)
            versions.update((each.name, each.version) for each in done)
            return done

        if decision.publishes:
            from airflow_aml.airflow.steps.publishing import publish_again

            publish_again(run, decision.record, register)
        self.made = Made(run, references, versions, decision.record.metrics)
        result = skipping.reused(decision)
        self._hand_on(context, references, result)
        reusing.report(run, references, result)
        try:
            self._go_below(context, run, references)
        finally:  # also where steps below are skipped
            mlflow.tell_reused(run.home, run.pipeline_run_id, run.plan, {run.task_id: decision})

    def _hand_on(
        self,
        context: Context,
        references: Mapping[str, Mapping[str, Any]],
        result: Mapping[str, Any],
    ) -> None:
        """Begins to write the step's XComs."""
        from airflow_aml.runtime.places import counted

        for key, reference in references.items():
            held = counted(reference["files"], reference["bytes"])
            self.log.info("output %s: %s (%s)", key, reference["uri"], held)
        values = {**references, skipping.RETURN_VALUE: result}

        def push() -> None:
            for key, value in values.items():
                context["ti"].xcom_push(key=key, value=value)

        self.writing = xcoms.Writing(push)

    def _go_below(
        self, context: Context, run: StepRun, references: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Skips the steps below whose results are there, as these outputs have not changed them.

        Raises:
            DownstreamTasksSkipped: there are any.
        """
        from airflow_aml.airflow.steps import onward

        perhaps = onward.perhaps_below(run, references)
        if not perhaps:
            return
        self._written()
        below = onward.reused_below(run, context, references, perhaps)
        if below:
            names = onward.names_in(run)
            for step_id, decision in below.items():
                self.log.info("step %s is reused: %s", names[step_id], decision.reason)
            kept = {name: skipping.xcoms(each) for name, each in below.items()}
            write_reused(run.home, run.pipeline_run_id, run.task_id, kept)
            mlflow.tell_reused(run.home, run.pipeline_run_id, run.plan, below)
            skipping.replay(context, below, onward.needed_below(run, below))
            skipping.skip(below)


def _origin(run: StepRun) -> dict[str, str]:
    return {"run": run.pipeline_run_id, "step_run": run.id, "dag_id": run.plan.dag_id}

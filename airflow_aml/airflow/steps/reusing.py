"""A step's own part in reuse: is it done already, the record of what it did, and what is below it.

The run's sensor decides for the whole graph; what it could not know is decided here: a step whose
inputs had still to be written, one that another run has finished meanwhile, one without a sensor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_aml.airflow import skipping
from airflow_aml.airflow.steps.holding import held
from airflow_aml.airflow.steps.ownsoftware import with_own_software
from airflow_aml.definition.spec import StepOutput
from airflow_aml.errors import AirflowAmlError, WorkspaceException
from airflow_aml.reuse.effects import view_stamp
from airflow_aml.reuse.fingerprint import Fingerprint, NoKey, complete
from airflow_aml.reuse.hidden import recorded
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.inputs import content_of
from airflow_aml.reuse.lease import Lease, Owner, take
from airflow_aml.reuse.lookup import decide_one, walk_step
from airflow_aml.reuse.moments import next_moment
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord, stamp_of
from airflow_aml.reuse.renewed import renewed
from airflow_aml.reuse.verify import changed_since
from airflow_aml.reuse.walk import REUSE, RUN, Decision
from airflow_aml.runtime.hidden import reads_file
from airflow_aml.workspace.plans import PlannedStep
from airflow_aml.workspace.process import Process
from airflow_aml.workspace.uris import uri_of_path

if TYPE_CHECKING:
    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.definition.registered import RegisteredOutput
    from airflow_aml.runtime.job import StepJob, StepReport


def decision_of(run: StepRun) -> Decision:
    """``reuse`` or ``run`` for a step that has been started, with its reason.

    A step that was planned to be reused and is started nevertheless was cleared: it really runs.
    """
    planned = run.plan.steps[run.node.id]
    step = walk_step(run.node.id, with_own_software(run, planned))
    step = renewed(step, planned.inputs, run.home, run.folder)
    known = _inputs(run)
    reason = _forced(run, planned)
    if reason is None:
        told = planned.decision == RUN and bool(planned.reason)
        found = decide_one(
            run.home,
            run.plan.dag_id,
            step,
            known,
            rejected=[run.id],
            explain=not told,
            experiment=run.plan.experiment,
        )
        if told and found.decision == RUN and found.record is None:
            return replace(found, reason=planned.reason)
        return found
    try:
        return Decision(RUN, reason, complete(step.key, known))
    except NoKey:
        return Decision(RUN, reason)


@contextmanager
def single_flight(run: StepRun, gone: str = "") -> Iterator[Decision | Lease]:
    """What to do with the step; inside, nobody else does it.

    Where another task instance is at work on the same result, it is its lease that is yielded.

    Args:
        gone: token of a lease whose owner has ended.
    """
    decision = decision_of(run)
    planned = run.plan.steps[run.node.id]
    if decision.record or not decision.fingerprint or _forced(run, planned):
        yield decision
        return
    me = Owner(
        run.plan.dag_id,
        run.plan.run_id,
        run.task_id,
        run.map_index,
        run.try_number,
        Process.this(),
    )
    try:
        taken, lease = _take(run, decision.fingerprint.digest, me, gone)
    except (AirflowAmlError, OSError):  # twice the work is better than none
        yield decision
        return
    if not taken:
        yield lease
        return
    with held(run.home, lease):
        # Whoever had it before may have finished since that look.
        yield decision_of(run) if lease.number > 1 else decision


def _take(run: StepRun, fingerprint: str, me: Owner, gone: str) -> tuple[bool, Lease]:
    taken, lease = take(run.home, fingerprint, me)
    if not taken and (lease.token == gone or lease.owner.is_gone()):
        return take(run.home, fingerprint, me, over=lease)
    return taken, lease


def _forced(run: StepRun, planned: PlannedStep) -> str | None:
    """Why nothing is looked up."""
    if run.plan.regenerate:
        return "regenerate_outputs was asked for"
    if not planned.allow_reuse:
        return "the author says allow_reuse=False"
    if planned.decision == REUSE:
        return "it was cleared, so it runs again"
    if not planned.key:
        return "the run's plan has no key for it"
    return None


def _inputs(run: StepRun) -> dict[str, dict[str, str]]:
    """The digests of what the step reads from other steps."""
    known: dict[str, dict[str, str]] = {}
    for port in run.node.inputs:
        if isinstance(port.source, StepOutput):
            reference = run.fetch(port.source.node, port.source.output)
            if reference is not None:
                outputs = known.setdefault(port.source.node, {})
                outputs[port.source.output] = str(reference["digest"])
    return known


def record(
    run: StepRun,
    job: StepJob,
    report: StepReport,
    decision: Decision,
    registered: list[RegisteredOutput],
    metrics: Mapping[str, float],
) -> str | None:
    """Records what a step has done; from here on it may be reused.

    Returns:
        Why nothing was recorded; None if it was.
    """
    if decision.fingerprint is None:
        return decision.reason
    try:
        wrong = _changed_inputs(run, decision.fingerprint)
        if wrong is None:
            Index(run.home).add(_record(run, job, report, decision, registered, metrics))
        return wrong
    except (AirflowAmlError, OSError) as error:
        return f"it could not be recorded: {error}"


def _record(
    run: StepRun,
    job: StepJob,
    report: StepReport,
    decision: Decision,
    registered: list[RegisteredOutput],
    metrics: Mapping[str, float],
) -> StepRecord:
    assert decision.fingerprint is not None
    places = Places(run.home)
    views = {output.name: output.view for output in job.outputs if output.view}
    return StepRecord(
        fingerprint=decision.fingerprint.digest,
        key=decision.fingerprint.record,
        outputs={
            name: _output(output.reference, views.get(name), places)
            for name, output in report.outputs.items()
        },
        pipeline_run_id=run.pipeline_run_id,
        step_run_id=run.id,
        dag_id=run.plan.dag_id,
        task_id=run.task_id,
        map_index=run.map_index,
        run_id=run.plan.run_id,
        step=run.node.name,
        seconds=spent(report),
        created=next_moment(run.home, decision.fingerprint.digest),
        reason=decision.reason,
        inputs=_input_uris(run),
        hidden_reads=tuple(_reads(run, job)),
        registered=tuple({"name": each.name, "version": each.version} for each in registered),
        metrics=metrics,
    )


def _output(reference: Mapping[str, Any], view: str | None, places: Places) -> OutputRecord:
    uri = str(reference["uri"])
    place = None if view is None else (view if "://" in view else uri_of_path(view))
    return OutputRecord(
        uri=uri,
        digest=str(reference["digest"]),
        files=int(reference["files"]),
        bytes=int(reference["bytes"]),
        stamp=_stamp(uri, str(reference["digest"]), places),
        view=place,
        view_stamp=None if place is None else view_stamp(uri, place, places),
    )


def _stamp(uri: str, digest: str, places: Places) -> str:
    """The stamp of an output that is what was committed.

    Raises:
        WorkspaceException: something happened to it since, which must not count as committed.
        OSError: it cannot be looked at.
    """
    try:
        found = stamp(uri, places)
    except FileNotFoundError:
        found = stamp_of([])  # an object store cannot even list an output without files
    # In this order: what changed before the stamp was taken is seen after it.
    wrong = changed_since(uri, digest, places)
    if wrong:
        raise WorkspaceException(f"of what was committed {wrong}.", where=uri)
    return found


def spent(report: StepReport) -> float:
    """Seconds that a step took: its script, staging and commit."""
    return report.seconds + report.staging_seconds + report.commit_seconds


def _input_uris(run: StepRun) -> dict[str, str]:
    uris = {}
    for port in run.node.inputs:
        if isinstance(port.source, StepOutput):
            reference = run.fetch(port.source.node, port.source.output)
            if reference is not None:
                uris[port.name] = str(reference["uri"])
    return uris


def _reads(run: StepRun, job: StepJob) -> list[dict[str, Any]]:
    """What the script asked the workspace for, and what was there.

    Raises:
        AirflowAmlError, OSError: nobody can tell what was there.
    """
    try:
        lines = Path(reads_file(job.work)).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [recorded(run.home, json.loads(line)) for line in dict.fromkeys(lines)]


def _changed_inputs(run: StepRun, fingerprint: Fingerprint) -> str | None:
    """Which input is not any more what the key says it was when the step read it."""
    planned = run.plan.steps[run.node.id]
    places = Places(run.home)
    for port in run.node.inputs:
        content = fingerprint.record["inputs"][port.name]["content"]
        if isinstance(port.source, StepOutput):
            reference = run.fetch(port.source.node, port.source.output) or {}
            wrong = changed_since(str(reference.get("uri")), content, places)
            if wrong:
                return f"input {port.name!r} changed while the step ran ({wrong})"
            continue
        now_there = content_of(planned.inputs[port.name].definition, run.home, run.folder)
        if now_there != content:
            return f"input {port.name!r} changed while the step ran"
    return None


def report(
    run: StepRun, references: Mapping[str, Mapping[str, Any]], result: Mapping[str, Any]
) -> None:
    """Keeps how the step has ended, for who asks without Airflow; losing that is no failure."""
    from airflow_aml.workspace.endings import write_report

    values = {**references, skipping.RETURN_VALUE: result}
    with suppress(AirflowAmlError, OSError):
        write_report(run.home, run.pipeline_run_id, run.id, run.task_id, values)

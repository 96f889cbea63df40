"""The walk below a step that has just finished: what its outputs did not change need not start.

This is early cut-off (architecture 6): a step that ran may have written what is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_aml.airflow import skipping
from airflow_aml.reuse.fingerprint import read_from
from airflow_aml.reuse.lookup import decide, walk_step
from airflow_aml.reuse.renewed import renewed
from airflow_aml.reuse.walk import Decision, WalkStep, below, names_of
from airflow_aml.workspace.plans import PlannedStep, read_plan

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.workspace.plans import RunPlan

_SETTLED = ("success", "skipped")
_OPEN = ("", "none", "scheduled", "queued")


def perhaps_below(run: StepRun, references: Mapping[str, Mapping[str, Any]]) -> Sequence[WalkStep]:
    """The steps below one that has finished, if the results of some may be there.

    Asking Airflow for states takes longer than this look; most often there is nothing to skip.
    """
    plan = read_plan(run.home, run.pipeline_run_id)
    if plan is None or plan.regenerate or run.node.id not in plan.steps:
        return ()
    lower = below(_walk_steps(plan), run.node.id)
    if _waits_for_others(lower, run.node.id) or _hits(run, plan, lower, _own(run, references)):
        return lower
    return ()


def reused_below(
    run: StepRun,
    context: Context,
    references: Mapping[str, Mapping[str, Any]],
    lower: Sequence[WalkStep],
) -> dict[str, Decision]:
    """The results below a step that has finished: those that its outputs have not changed.

    Only tasks that succeeded or were skipped count as finished, and only those that have not
    started are skipped.
    """
    plan = read_plan(run.home, run.pipeline_run_id)
    if plan is None:
        return {}
    states = _states(context, [name for name in plan.steps if name != run.node.id])
    settled = {**_settled(run, plan.steps, states, lower), **_own(run, references)}
    still = [each for each in lower if states.get(each.id) in _OPEN]
    return _hits(run, plan, still, settled)


def _walk_steps(plan: RunPlan) -> list[WalkStep]:
    return [walk_step(name, planned) for name, planned in plan.steps.items()]


def _own(run: StepRun, references: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {run.node.id: {name: str(each["digest"]) for name, each in references.items()}}


def needed_below(run: StepRun, found: Mapping[str, Decision]) -> set[str]:
    """Those of the results found whose outputs other steps may still read."""
    plan = read_plan(run.home, run.pipeline_run_id)
    steps = plan.steps if plan is not None else {}
    return {
        name
        for step_id, planned in steps.items()
        if step_id not in found
        for name in read_from(planned.key)
    }


def names_in(run: StepRun) -> dict[str, str]:
    """What the run's steps are called in sentences, by id."""
    plan = read_plan(run.home, run.pipeline_run_id)
    steps = plan.steps if plan is not None else {}
    return names_of([walk_step(step_id, planned) for step_id, planned in steps.items()])


def _waits_for_others(lower: Sequence[WalkStep], step_id: str) -> bool:
    """Whether some of these steps also wait for a step that is not below this one."""
    known = {each.id for each in lower} | {step_id}
    return any(name not in known for each in lower for name in each.upstream)


def _hits(
    run: StepRun,
    plan: RunPlan,
    lower: Sequence[WalkStep],
    settled: Mapping[str, Mapping[str, str]],
) -> dict[str, Decision]:
    def now(step: WalkStep) -> WalkStep:
        return renewed(step, plan.steps[step.id].inputs, run.home, run.folder)

    # Only hits are wanted, so no miss needs to be explained.
    found = decide(
        run.home,
        run.plan.dag_id,
        lower,
        settled,
        explain=False,
        experiment=run.plan.experiment,
        now=now,
    )
    return skipping.hits(found)


def _states(context: Context, ids: list[str]) -> dict[str, str]:
    """Task id -> its state in this run; empty for one that has none yet."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=ids, run_ids=[ti.run_id])
    found = states.get(ti.run_id, {})
    return {name: str(found.get(name) or "") for name in ids}


def _settled(
    run: StepRun,
    planned: Mapping[str, PlannedStep],
    states: Mapping[str, str],
    lower: Sequence[WalkStep],
) -> dict[str, dict[str, str]]:
    """Outputs of the finished steps that the ones below wait for."""
    wanted = {name for each in lower for name in each.upstream} - {run.node.id}
    settled: dict[str, dict[str, str]] = {}
    for name in wanted:
        if states.get(name) in _SETTLED:
            references = {key: run.fetch(name, key) for key in planned[name].outputs}
            settled[name] = {
                key: str(each["digest"]) for key, each in references.items() if each is not None
            }
    return settled

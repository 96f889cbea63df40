"""Why a step of a run was kept from starting, or from its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence

if TYPE_CHECKING:
    from airflow_aml.workspace.plans import RunPlan
    from airflow_aml.workspace.runs import StepResult

CANCELED = "the run was canceled"


def why_kept(step: StepResult, steps: Sequence[StepResult], plan: Optional[RunPlan]) -> str:
    """Why a step that was not begun will not begin; empty if nothing is known to keep it.

    Args:
        steps: all of the run's.
    """
    if step.status == "Canceled":
        return step.reason or CANCELED
    failed = {each.task_id: each.name for each in steps if each.status == "Failed"}
    if step.status != "NotStarted" or not failed or plan is None:
        return ""
    if not plan.continue_on_step_failure:
        names = ", ".join(map(repr, failed.values()))
        return (
            f"it was not started: {names} failed before, and the run does not continue on step "
            "failure"
        )
    open_ends, seen = [step.task_id], {step.task_id}
    while open_ends:
        planned = plan.steps.get(open_ends.pop())
        for above in planned.upstream if planned else ():
            if above in failed:
                return f"it was not started: it depends on {failed[above]!r}, which failed"
            if above not in seen:
                seen.add(above)
                open_ends.append(above)
    return ""

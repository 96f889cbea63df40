"""Why a step of a run was kept from starting, or from its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Callable, List, Optional, Sequence

from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.plans import RunPlan
    from airflow_aml.workspace.runs import StepResult

CANCELED = "the run was canceled"
LOST = "it was lost: the process that ran it is gone"


def has_begun(home: Home, run_id: str, task_id: str) -> bool:
    """Whether a step has a record, with more in it than what others have noted about it."""
    place = layout.step(run_id, layout.step_run_id(run_id, task_id))
    return any(name != "notes/" for name in home.store.children(f"{place}/"))


def with_lost(
    home: Home, run_id: str, steps: Sequence[StepResult], lost: Callable[[], bool]
) -> List[StepResult]:
    """The steps; those that were begun and have no end go on, or were lost with their run.

    Args:
        lost: whether the run was; it is asked if that matters.
    """
    open_ends = [each.task_id for each in steps if each.status == "NotStarted"]
    begun = [task_id for task_id in open_ends if has_begun(home, run_id, task_id)]
    if not begun:
        return list(steps)
    word, why = ("Failed", LOST) if lost() else ("Running", "")
    return [
        replace(each, status=word, reason=why) if each.task_id in begun else each for each in steps
    ]


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

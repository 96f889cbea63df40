"""How a step's failure ends the step, and what it means for steps that have yet to start."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_aml.airflow.steps.assemble import StepRun
from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow.sdk import Context


class StepNotStarted(AirflowFailException):
    """The step's task was begun, the step was not."""


def raise_halt(
    run: StepRun,
    text: str,
    *,
    cause: Exception | None = None,
    fatal: bool = False,
    seconds: float = 0.0,
) -> NoReturn:
    """Fails the task and leaves a marker that later steps of the run may honour.

    Args:
        seconds: that the step took.

    Raises:
        AirflowFailException: ``fatal``: trying again cannot help.
        AirflowException: Airflow may try again.
    """
    from airflow_aml.workspace.endings import mark_failed

    with suppress(WorkspaceException):  # it may be just the store that broke; this is but a hint
        mark_failed(run.home, run.pipeline_run_id, run.task_id, text, seconds)
    raise (AirflowFailException if fatal else AirflowException)(text) from cause


def raise_time_limit(run: StepRun, timeout: timedelta | None) -> NoReturn:
    """Fails a task whose time is over.

    Raises:
        AirflowFailException: by v1's limit the step is over, not to be repeated.
        AirflowException: it was the task's ``execution_timeout``.
    """
    seconds = timeout.total_seconds() if timeout else 0
    limit = run.node.settings.max_run_seconds
    setting = "max_run_duration_seconds" if limit == seconds else "execution_timeout"
    raise_halt(
        run,
        f"step {run.node.name!r} was ended after {seconds:g} s, its {setting}.",
        fatal=limit == seconds,
        seconds=seconds,
    )


def refuse_after_failure(run: StepRun, context: Context) -> None:
    """With ``continue_on_step_failure=False``, v1 starts nothing more once a step has failed.

    Airflow's own ``fail_fast`` cannot be used beside the trigger rule that reuse needs. A marker is
    only a hint: a failed step that was cleared since does not count.

    Raises:
        StepNotStarted: another step of the run has failed.
    """
    marked = run.home.store.children(layout.failed(run.pipeline_run_id))
    if run.task_id in marked:
        from airflow_aml.workspace.endings import unmark_failed

        unmark_failed(run.home, run.pipeline_run_id, run.task_id)
        marked.remove(run.task_id)
    if not marked or run.plan.continue_on_step_failure:
        return
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=marked, run_ids=[ti.run_id])
    failed = [name for name in marked if states.get(ti.run_id, {}).get(name) == "failed"]
    if failed:
        raise StepNotStarted(
            f"step {run.node.name!r} was not started: {', '.join(failed)} failed before, and the "
            "run does not continue on step failure."
        )

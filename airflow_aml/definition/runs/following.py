"""Following a pipeline's run, and ending it: in the Airflow that runs it, where this program works
with one, and by what the workspace knows anywhere else."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, TextIO, Tuple

from airflow_aml.definition.engine import (
    API_VARIABLE,
    RunInAirflow,
    TaskProgress,
    cancel_here,
    lives,
    run_in_airflow,
    works_with_airflow,
)
from airflow_aml.definition.runs import progress
from airflow_aml.definition.runs.kept import LOST, has_begun, why_kept, with_lost
from airflow_aml.definition.runs.progress import REUSED, StepProgress
from airflow_aml.definition.runs.waiting import ENDED, Waiting
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.plans import RunPlan
    from airflow_aml.workspace.runs import StepResult

_POLL = 0.5
_LEISURE = 3
"""So many times as long as a look takes is the pause after it: those at the steps of a long
pipeline keep Airflow busy."""

_LONGEST_POLL = 10.0
"""Or a look that had to wait for Airflow would be followed by minutes without any."""


class Following(Waiting):
    """A pipeline's run, wherever it runs."""

    _kind = "PipelineRun"

    def __init__(
        self,
        experiment: Optional[Experiment],
        run_id: str,
        *,
        _airflow: Optional[RunInAirflow] = None,
    ):
        super().__init__(experiment, run_id)
        self._in_airflow = _airflow
        self._is_known = False
        self._known: Tuple[Any, List[StepResult]] = ((), [])
        self._plan: Optional[RunPlan] = None

    def get_status(self) -> str:
        """``NotStarted``, ``Running``, ``Finished``, ``Failed`` or ``Canceled``.

        By the workspace alone, which is asked where no Airflow is known, a run that was lost in an
        Airflow stays ``Running``; of one without Airflow, other hosts hear within ten minutes.

        Raises:
            UserErrorException: there is no such run.
        """
        from airflow_aml.workspace.submitted import is_canceled

        airflow = self._airflow
        status = airflow.status() if airflow else ""
        if not status:
            status = self._kept_status()
            open_end = status != "Finished"
        else:
            open_end = status == "Failed"
        return "Canceled" if open_end and is_canceled(self._home, self.id) else status

    def get_portal_url(self) -> str:
        """The run's page in Airflow; where no Airflow is known, the folder of its record."""
        if not self.id:  # a file only declares it
            return ""
        airflow = self._airflow
        return airflow.url if airflow else self._home.uri(layout.run(self.id))

    def cancel(self) -> None:
        """Ends the run with all processes of its steps, and returns when Airflow says it is over.

        Airflow's workers hear of it with their next heartbeat, and end what runs there within
        seconds.

        Raises:
            NotServedError: this program knows no Airflow that has the run.
            AzureMLException: Airflow cannot be reached, or refuses.
        """
        from airflow_aml.workspace.submitted import mark_canceled

        if self.get_status() in ENDED:
            return
        airflow = self._airflow
        if airflow is None or not airflow.status():
            if cancel_here(self._home, self.id):
                return
            raise NotServedError(
                f"PipelineRun.cancel: this program works with no Airflow that has the run "
                f"{self.id!r}.",
                hint=f"Set {API_VARIABLE} to the address of Airflow. A run without Airflow is "
                "canceled on the host where it was submitted.",
            )
        # First, so that nobody who waits takes it for a failure.
        mark_canceled(self._home, self.id)
        try:
            airflow.cancel()
        except BaseException:
            mark_canceled(self._home, self.id, canceled=False)
            raise

    def step_status(self, result: StepResult) -> str:
        """The status of a step that the workspace does not know to have succeeded."""
        status = self.get_status()
        task = self._airflow.step(result.task_id) if self._airflow else None
        return self._step_status(result, task, status)

    def why_without_end(self, result: StepResult) -> str:
        """What has become of a step of which the workspace does not know that it has ended."""
        from airflow_aml.workspace.plans import read_plan

        status = self.get_status()
        if status != "Failed" or result.status != "NotStarted":
            return self.why_not_started(result)
        airflow = self._airflow
        task = airflow.step(result.task_id) if airflow else None
        if self._step_status(result, task, status) == "Failed":
            return (airflow.why(task) if airflow and task else "") or LOST
        known = with_lost(self._home, self.id, self._results(), lambda: airflow is None)
        return why_kept(result, known, read_plan(self._home, self.id))

    def why_not_started(self, result: StepResult) -> str:
        """Why a step was kept from starting or from its end; empty if nothing has kept it."""
        from airflow_aml.workspace.plans import read_plan

        if result.status == "NotStarted" and self._has_begun(result.task_id):
            return ""
        known = self._known[1] or self._results()
        if self._plan is None and any(each.status == "Failed" for each in known):
            self._plan = read_plan(self._home, self.id)  # once: a long pipeline's takes a while
        return why_kept(result, known, self._plan)

    @property
    def _home(self) -> Home:
        from airflow_aml.definition.homes import home_of

        return home_of(self.experiment.workspace)

    @property
    def _airflow(self) -> Optional[RunInAirflow]:
        from airflow_aml.workspace.runs import read_head
        from airflow_aml.workspace.submitted import read_submitted

        if self._in_airflow is None and works_with_airflow():
            home = self._home
            names = read_head(home, self.id) or read_submitted(home, self.id)
            if names is not None and names.dag_id:
                self._in_airflow = run_in_airflow(names.dag_id, names.run_id)
        return self._in_airflow

    def _kept_status(self) -> str:
        """The status by what the workspace knows, and whether the run's process is there."""
        from airflow_aml.workspace.runs import read_head, results, status_of

        home = self._home
        alive = lives(home, self.id)  # first: of one that has ended, all is known then
        head = read_head(home, self.id)
        if head is None:
            self._refuse_unknown()
        status = status_of(results(home, head)) if head else "NotStarted"
        # A pipeline's run may go on after a failure; a program's own run has ended with it.
        last = ENDED if head and not head.dag_id else ("Finished", "Canceled")
        if alive is not None and status not in last:
            return "Running" if alive else "Failed"
        return "Running" if status == "Unfinished" else status

    def _refuse_unknown(self) -> None:
        from airflow_aml.workspace.runs import read_head
        from airflow_aml.workspace.submitted import read_submitted

        if self._is_known or self._in_airflow is not None or not self.id:
            return
        home = self._home
        if not (read_head(home, self.id, by_hand=True) or read_submitted(home, self.id)):
            raise UserErrorException(
                f"the workspace has no run {self.id!r}, or it has not begun yet.",
                hint="`airflow-aml runs` lists its runs.",
            )
        self._is_known = True

    def _results(self) -> List[StepResult]:
        from airflow_aml.workspace.runs import read_head, results

        home = self._home
        head = read_head(home, self.id)
        return results(home, head) if head else []

    def _watch(self, out: TextIO, deadline: float) -> str:
        if not out.writable():  # so there is no need to ask for all steps
            return super()._watch(out, deadline)
        where = "Link to Airflow" if self._airflow else "Record of the run"
        out.write(f"{where}: {self.get_portal_url()}\n")
        shown = progress.display(out, self._kind)
        while True:
            asked = time.monotonic()
            status, steps = self._progress()
            shown.show(status, steps)
            if status in ENDED:
                out.write(progress.summary(self._kind, status, steps))
                out.write(self._stranger())
                out.flush()
                return status
            now = time.monotonic()
            if now > deadline:
                return status
            pause = min(max(_POLL, _LEISURE * (now - asked)), _LONGEST_POLL)
            time.sleep(max(min(pause, deadline - now), 0))

    def _progress(self) -> Tuple[str, List[StepProgress]]:
        """The run's status, and each step's."""
        airflow = self._airflow
        status = self.get_status()  # first: a run's end is told after its tasks'
        tasks = airflow.steps() if airflow else []
        found = {each.task_id: each for each in tasks}
        steps = [
            self._merged(result, found.get(result.task_id), status)
            for result in self._results_after(tasks)
        ]
        if not steps:
            steps = [
                StepProgress(each.name, each.status, each.seconds, task_id=each.task_id)
                for each in tasks
                if each.task_id != _head_task()
            ]
        head = found.get(_head_task())
        if airflow and head is not None and head.status == "Failed" and status == "Failed":
            steps.insert(0, StepProgress(head.name, "Failed", head.seconds, airflow.why(head)))
        return status, steps

    def _results_after(self, tasks: Sequence[TaskProgress]) -> List[StepResult]:
        """The workspace's results, read again only if Airflow's tasks are not what they were."""
        states = tuple((each.task_id, each.status, each.tries) for each in tasks)
        if not states or states != self._known[0] or not self._known[1]:
            self._known = states, self._results()
        return self._known[1]

    def _merged(
        self, result: StepResult, task: Optional[TaskProgress], run_status: str
    ) -> StepProgress:
        """Airflow's word on how far a step is, the workspace's on everything else."""
        known = StepProgress.of_result(result)
        status = self._step_status(result, task, run_status)
        if status == "NotStarted" and run_status == "Failed":
            return replace(known, status=status, reason=self.why_not_started(result))
        if task is None or status in ("Finished", REUSED):
            lost = status == "Failed" and result.status == "NotStarted"
            return replace(known, status=status, reason=LOST if lost else known.reason)
        reason = known.reason
        if status == "Failed" and not reason and run_status == "Failed" and self._airflow:
            reason = self._airflow.why(task)
        return replace(known, status=status, seconds=task.seconds, reason=reason)

    def _step_status(
        self, result: StepResult, task: Optional[TaskProgress], run_status: str
    ) -> str:
        """One of v1's words for a step's run, or ``Reused``."""
        if task is None:
            begun = result.status == "NotStarted" and self._has_begun(result.task_id)
            status = "Running" if begun else result.status
            if begun and run_status == "Failed" and lives(self._home, self.id) is False:
                status = "Failed"
        elif task.status in ("Finished", "Bypassed") and result.status in ("Finished", REUSED):
            status = result.status
        else:
            status = task.status
            if status == "Failed" and self.why_not_started(result):
                status = "NotStarted"  # its task has failed, the step was never begun
        ended = ("Finished", REUSED)
        return "Canceled" if run_status == "Canceled" and status not in ended else status

    def _has_begun(self, task_id: str) -> bool:
        return has_begun(self._home, self.id, task_id)

    def _stranger(self) -> str:
        """That Airflow keeps the run elsewhere, should it be so."""
        from airflow_aml.workspace.runs import read_head

        home = self._home
        if self._in_airflow is None or read_head(home, self.id) is not None:
            return ""
        return (
            f"warning: the workspace {home.url} knows nothing of this run. If Airflow's is another "
            "one, set AIRFLOW__AML__WORKSPACE to it to read metrics, logs and outputs.\n"
        )

    def _failure(self) -> str:
        return self._why()

    def _why(self) -> str:
        _, steps = self._progress()
        return "; ".join(progress.why_failed(steps)) or f"run {self.id}: {LOST}"


def _head_task() -> str:
    from airflow_aml.definition.compile import HEAD_TASK

    return HEAD_TASK

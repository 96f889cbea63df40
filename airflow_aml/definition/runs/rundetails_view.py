"""What :class:`~airflow_aml.definition.runs.rundetails.RunDetails` shows of a run, looked up."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from airflow_aml.definition.runs.following import Following
from airflow_aml.definition.runs.progress import REUSED, StepProgress
from airflow_aml.definition.runs.scriptrun import ScriptRun
from airflow_aml.definition.runs.steprun import StepRun
from airflow_aml.errors import AirflowAmlError

if TYPE_CHECKING:
    from airflow_aml.definition.runs.context import Run
    from airflow_aml.workspace.plans import RunPlan
    from airflow_aml.workspace.runs import StepResult

ENDED = ("Finished", "Completed", "Failed", "Canceled")
_STEP_ENDED = (*ENDED, REUSED, "Bypassed")
_NOT_BEGUN = ("NotStarted", "Queued", "Bypassed")


@dataclass(frozen=True)
class StepView:
    """One step as it is now, with what it has logged and the task ids of what it waits for."""

    progress: StepProgress
    upstream: Tuple[str, ...] = ()
    metrics: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunView:
    """One run as it is now.

    Attributes:
        kind: ``PipelineRun``, ``StepRun`` or ``Run``.
        page: where it is shown; the folder of its record where no Airflow is known.
        done: it has ended, and all that is to know is here.
        trouble: what could not be read; then the rest is what was known before.
    """

    id: str
    kind: str
    type: str
    experiment: str
    status: str = "NotStarted"
    page: str = ""
    parameters: Dict[str, Any] = field(default_factory=dict)
    metrics: Dict[str, Any] = field(default_factory=dict)
    steps: Tuple[StepView, ...] = ()
    done: bool = False
    trouble: str = ""

    @property
    def progress(self) -> List[StepProgress]:
        """How each step gets on."""
        return [step.progress for step in self.steps]


class Watch:
    """Looks at a run, again and again; what cannot change any more is read once.

    It looks while the program uses the run, so it has a copy of it for itself.
    """

    def __init__(self, run: Run):
        self.id = run.id
        self._run = run
        self._pipeline_run = _with_steps(run)
        self._plan: Optional[RunPlan] = None
        self._metrics: Dict[str, Dict[str, Any]] = {}
        self._view = RunView(run.id, _kind(run), run.type, run.experiment.name)

    def look(self, patience: float = math.inf) -> RunView:
        """The run as it is now. Never raises.

        Args:
            patience: for so many seconds the metrics of steps are read; later looks read the rest.
        """
        try:
            self._view = replace(self._look(time.monotonic() + patience), trouble="")
        except Exception as error:  # noqa: BLE001 - whatever a store or Airflow being away raises
            self._view = replace(self._view, trouble=str(error) or type(error).__name__)
        return self._view

    def _look(self, deadline: float) -> RunView:
        run = self._pipeline_run
        if run is None:
            return self._look_at_one()
        status, steps = run._progress()  # noqa: SLF001 - of the same package
        results = {each.task_id: each for each in run._known[1]}  # noqa: SLF001 - just read
        only = getattr(self._run, "task_id", None)
        if only is not None:
            steps = [each for each in steps if each.task_id == only]
            status = _of_one(steps, status)
        elif not steps and status == "Finished":  # what the workspace says of what it does not know
            status = "NotStarted"
        views, missing = [], False
        for each in steps:
            metrics = self._metrics_of(each, results.get(each.task_id), deadline)
            missing = missing or metrics is None
            views.append(StepView(each, self._upstream(each), metrics or {}))
        return replace(
            self._view,
            status="Completed" if _is_script(self._run) and status == "Finished" else status,
            page=run.get_portal_url(),
            parameters=dict(self._planned.parameters) if self._planned else {},
            metrics=_told(self._run) if only is None and not _is_script(self._run) else {},
            steps=tuple(views),
            done=status in ENDED and not missing,
        )

    def _look_at_one(self) -> RunView:
        """Of a run without a pipeline: an interactive one, a child."""
        run, status = self._run, self._run.get_status()
        children = [StepView(_child(each), (), _told(each)) for each in run.get_children()]
        return replace(
            self._view,
            status=status,
            metrics=_told(run),
            steps=tuple(reversed(children)),
            done=status in ENDED,
        )

    def _metrics_of(
        self, step: StepProgress, result: Optional[StepResult], deadline: float
    ) -> Optional[Dict[str, Any]]:
        """What the step has logged so far; None where there was no time to read it."""
        if result is None or step.status in _NOT_BEGUN:
            return {}
        known = self._metrics.get(step.task_id)
        if known is not None:
            return known
        if time.monotonic() > deadline or self._pipeline_run is None:
            return None
        found = _told(StepRun.of(self._pipeline_run, result))  # type: ignore[arg-type]
        if step.status in _STEP_ENDED:
            self._metrics[step.task_id] = found
        return found

    def _upstream(self, step: StepProgress) -> Tuple[str, ...]:
        planned = self._planned.steps.get(step.task_id) if self._planned else None
        return planned.upstream if planned else ()

    @property
    def _planned(self) -> Optional[RunPlan]:
        if self._plan is None and self._pipeline_run is not None:
            from airflow_aml.workspace.plans import read_plan

            run = self._pipeline_run
            self._plan = read_plan(run._home, run.id)  # noqa: SLF001 - of the same package
        return self._plan


def _with_steps(run: Run) -> Optional[Following]:
    """A copy of the pipeline's run that has what is to know of this one."""
    found: Any = run
    if isinstance(run, ScriptRun):
        found = run.pipeline_run
    elif isinstance(run, StepRun):
        found = run._run  # noqa: SLF001 - of the same package
    if not isinstance(found, Following):
        return None
    own = copy.copy(found)
    own._known = ((), [])  # noqa: SLF001
    return own


def _child(run: Run) -> StepProgress:
    return StepProgress(run.name or run.id, run.get_status(), task_id=run.id)


def _of_one(steps: List[StepProgress], status: str) -> str:
    if not steps:
        return "NotStarted" if status not in ENDED else status
    return "Finished" if steps[0].status == REUSED else steps[0].status


def _told(run: Run) -> Dict[str, Any]:
    """A run's metrics; a record that is damaged or gone has none."""
    try:
        return run.get_metrics()
    except (AirflowAmlError, OSError, ValueError, LookupError, TypeError):
        return {}


def _is_script(run: Run) -> bool:
    return isinstance(run, ScriptRun)


def _kind(run: Run) -> str:
    return str(getattr(run, "_kind", "Run"))

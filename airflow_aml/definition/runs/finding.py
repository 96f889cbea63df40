"""``Run.get``: a run of any kind by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.hidden import note_run
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.runs.context import Run
    from airflow_aml.definition.runs.interactive import LoggedRun
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.runs.scriptrun import ScriptRun
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.runs import RunHead


def find(workspace: Any, run_id: str) -> Run:
    """The pipeline's or step's run of that id, or one below a step's.

    Raises:
        UserErrorException: the workspace has no such run.
    """
    from airflow_aml.definition.homes import home_of
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.workspace.runs import heads, read_head
    from airflow_aml.workspace.submitted import read_submitted

    home, run_id = home_of(workspace), check_id(run_id)
    note_run(run_id)
    if "/" not in run_id:
        head = read_head(home, run_id)
        if (head and head.dag_id) or read_submitted(home, run_id):
            return PipelineRun.get(workspace, run_id)
        head = head or _head_of_step(home, run_id)
        if head is not None:
            run = PipelineRun.get(workspace, head.id)
            whole = whole_run(run.experiment, head)
            if whole.id == run_id:
                return whole
            return next(step for step in run.get_steps() if step.id == run_id)
        for head in heads(home):  # last, as all journals are read for it
            experiment = PipelineRun.get(workspace, head.id).experiment
            for below in whole_run(experiment, head).get_children(recursive=True):
                if below.id == run_id:
                    return below
    raise UserErrorException(
        f"the workspace has no run {run_id!r}.", hint="`airflow-aml runs` lists its runs."
    )


def get_run(
    experiment: Experiment, run_id: str, rehydrate: bool = True, clean_up: bool = True
) -> Run:
    """v1's ``azureml.core.get_run``: as ``Run.get``, but of one experiment.

    ``rehydrate`` and ``clean_up`` have no effect.

    Raises:
        UserErrorException: the experiment has no such run.
    """
    run = find(experiment.workspace, run_id)
    refuse_other(experiment, run_id, run.experiment.name)
    return run


def check_id(run_id: Any) -> str:
    """What may be the id of a run.

    Raises:
        UserErrorException: it is none.
    """
    if not isinstance(run_id, str) or run_id in ("", ".", ".."):
        raise UserErrorException(
            f"{run_id!r} is no id of a run.", hint="`airflow-aml runs` lists the ids."
        )
    return run_id


def refuse_other(experiment: Experiment, run_id: str, belongs_to: str) -> None:
    """Refuses a run of another experiment than the one that it was looked for in.

    Raises:
        UserErrorException: it is of another one.
    """
    if belongs_to != experiment.name:
        raise UserErrorException(
            f"the experiment {experiment.name!r} has no run {run_id!r}: it is of {belongs_to!r}.",
            hint="Run.get(workspace, run_id) finds the runs of all experiments.",
        )


def whole_run(experiment: Experiment, head: RunHead) -> Union[PipelineRun, ScriptRun, LoggedRun]:
    """The pipeline's run of that head; of a pipeline that is there for a script, the script's; of
    a program without a pipeline, the program's."""
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.runs.scriptrun import ScriptRun

    if not head.dag_id:
        from airflow_aml.definition.runs.interactive import LoggedRun

        return LoggedRun(experiment, head.id)
    run = PipelineRun(experiment, head.id, _is_known=True)
    return ScriptRun(run, head.script) if head.script else run


def _head_of_step(home: Home, step_run_id: str) -> Optional[RunHead]:
    from airflow_aml.workspace.runs import heads

    for head in heads(home):
        if step_run_id in (layout.step_run_id(head.id, task_id) for task_id in head.steps):
            return head
    return None


def number_of(run: Run) -> int:
    """The whole run's place, from 1, among those of its experiment by when they were created.

    Raises:
        UserErrorException: the workspace has no such run.
    """
    from airflow_aml.definition.homes import home_of
    from airflow_aml.workspace.listing import place_of

    note_run(run.id)
    whole, home = run, home_of(run.experiment.workspace)
    while whole.parent is not None:
        whole = whole.parent
    run_id = getattr(whole, "pipeline_run", whole).id
    number = place_of(home, run.experiment.name, run_id)
    if number is None:  # a script that was submitted alone does not know of the run around it
        head = _head_of_step(home, run_id)
        number = place_of(home, run.experiment.name, head.id) if head else None
    if number is None:
        raise UserErrorException(
            f"the experiment {run.experiment.name!r} has no run {run_id!r}, so it has no number.",
            hint="`airflow-aml runs` lists the workspace's runs.",
        )
    return number

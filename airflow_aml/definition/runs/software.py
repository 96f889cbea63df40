"""``run.get_environment``: the software that a step has asked for (reference 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.environment import Environment
    from airflow_aml.definition.runs.context import Run


def environment_of(run: Run) -> Environment:
    """The environment of a step's run, as its pipeline defines it.

    Raises:
        UserErrorException: it is no step's run, or its pipeline's run has not kept its definition.
    """
    from airflow_aml.definition.homes import home_of
    from airflow_aml.definition.pipelinesaving import run_configuration
    from airflow_aml.definition.spec import PipelineSpec
    from airflow_aml.workspace.layout import step_run_id
    from airflow_aml.workspace.plans import read_definition

    above = run.parent.id if run.parent is not None else ""
    kept = read_definition(home_of(run.experiment.workspace), above) if above else None
    for node in PipelineSpec.from_dict(kept[0]).nodes if kept else ():
        if step_run_id(above, node.id) == run.id:
            return run_configuration(node.settings).environment
    raise UserErrorException(
        f"no environment is known of {run!r}.",
        hint="The runs of a pipeline's steps have one: run.get_steps().",
    )

"""From a PipelineSpec to an Airflow DAG: one step, one task (architecture 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG
from airflow.sdk.definitions.param import ParamsDict

from airflow_aml.airflow import parameters
from airflow_aml.airflow.assets import read, written
from airflow_aml.airflow.reuse import ReuseSensor
from airflow_aml.airflow.settings import computes
from airflow_aml.airflow.steps import operator_class
from airflow_aml.compute import NamedComputes, place
from airflow_aml.definition.compile import HEAD_TASK
from airflow_aml.definition.render import mermaid, table
from airflow_aml.definition.setup import SetupAction
from airflow_aml.definition.spec import NodeSpec, PipelineSpec
from airflow_aml.workspace.published import Frozen

if TYPE_CHECKING:
    from airflow_aml.definition.schedule_spec import ScheduleSpec

TAG = "azureml-v1"

RETRIES = 2
"""How often a lost worker or broken store is tried again; a script that fails is not."""

RETRY_DELAY = timedelta(seconds=10)

# Past this neither the table nor the graph is readable.
_DRAWN_STEPS = 100


def build_dag(
    spec: PipelineSpec,
    *,
    dag_id: str,
    folder: str,
    defaults: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    setup: Sequence[SetupAction] = (),
    scheduled: ScheduleSpec | None = None,
    only: str | None = None,
    frozen: Frozen | None = None,
    **dag_options: Any,
) -> DAG:
    """The DAG of a pipeline.

    Args:
        folder: absolute path that the spec's relative paths start at.
        defaults: parameter values that replace the parameters' own defaults.
        settings: what ``submit`` was given beside the parameters.
        setup: what the file does before its runs.
        scheduled: the schedule that the file declares for it.
        only: the one task that is wanted: a process that runs a task reads the whole file for it.
        frozen: what a published pipeline goes by instead of its file's folders.
        dag_options: more of ``airflow.sdk.DAG``; they win over what is set here.

    Nothing in the DAG changes between two parses of the same file.
    """
    settings = settings or {}
    named = NamedComputes(computes(), setup)
    spec = named.equipped(spec)
    lone = next((node for node in spec.nodes if node.id == only), None)
    options = {"schedule": scheduled, **_about(spec, settings, only), **dag_options}
    options["schedule"] = _schedule(options["schedule"], spec.workspace, only)
    params = options.pop("params", None) or parameters.params(spec.parameters, defaults or {})
    dag = DAG(dag_id, **options)
    if lone is not None:
        _task(lone, spec, folder, dag, named)
        return dag
    head = ReuseSensor(
        task_id=HEAD_TASK,
        spec=spec,
        folder=folder,
        settings=settings,
        setup=setup,
        scheduled=scheduled,
        frozen=frozen,
        dag=dag,
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
    )
    if only != HEAD_TASK:
        _tasks(spec, folder, dag, head, named)
    # Last, as Airflow copies them into every task that comes after, and checks each of the
    # copies when it serialises the DAG. What a step gets of them the head task has settled.
    dag.params = ParamsDict(params)
    return dag


def _about(spec: PipelineSpec, settings: Mapping[str, Any], only: str | None) -> dict[str, Any]:
    return {
        "catchup": False,
        "description": spec.description.partition("\n")[0] or None,
        "doc_md": _documentation(spec) if only is None else None,
        "tags": sorted({TAG, *_experiment_tag(settings)}),
    }


def _schedule(schedule: Any, workspace: str, only: str | None) -> Any:
    if schedule is None:
        return None
    from airflow_aml.airflow.scheduling import dag_schedule

    return dag_schedule(schedule, workspace, idle=only is not None)


def _tasks(
    spec: PipelineSpec, folder: str, dag: DAG, head: ReuseSensor, named: NamedComputes
) -> None:
    tasks: dict[str, Any] = {}
    for node in spec.nodes:
        task = tasks[node.id] = _task(node, spec, folder, dag, named)
        # At once, as each link costs Airflow a look at all tasks made so far.
        task.set_upstream([tasks[before] for before in node.upstream] or head)


def _task(node: NodeSpec, spec: PipelineSpec, folder: str, dag: DAG, named: NamedComputes) -> Any:
    placement = place(node, named.of(node))
    options: dict[str, Any] = dict(placement.options)
    if node.settings.max_run_seconds:
        options["execution_timeout"] = timedelta(seconds=node.settings.max_run_seconds)
    outlets, inlets = written(node, spec.workspace), read(node, spec.workspace)
    if outlets:
        options["outlets"] = outlets
    if inlets:
        options["inlets"] = inlets
    if node.name != node.id:
        options["task_display_name"] = node.name
    return operator_class(placement.operator)(
        task_id=node.id,
        node=node,
        workspace=spec.workspace,
        folder=folder,
        dag=dag,
        trigger_rule="none_failed",
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
        **options,
    )


def _experiment_tag(settings: Mapping[str, Any]) -> list[str]:
    name = settings.get("experiment_name")
    return [f"experiment:{name}"[:100]] if name else []


def _documentation(spec: PipelineSpec) -> str:
    parts = [spec.description] if spec.description else []
    if 0 < len(spec.nodes) <= _DRAWN_STEPS:
        parts += [table(spec), f"```mermaid\n{mermaid(spec)}```"]
    else:
        parts.append(f"{len(spec.nodes)} steps.")
    return "\n\n".join(parts)

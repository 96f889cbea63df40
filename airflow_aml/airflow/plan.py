"""The first task of every run: fixes parameters and source folders for the whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_aml.airflow import parameters
from airflow_aml.airflow.settings import open_workspace
from airflow_aml.definition.applying import apply_setup
from airflow_aml.definition.registered import save_definitions
from airflow_aml.definition.setup import SetupAction
from airflow_aml.definition.spec import NodeSpec, PipelineSpec
from airflow_aml.errors import SnapshotException, UserErrorException
from airflow_aml.workspace import layout, snapshots
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.plans import PlannedInput, PlannedStep, RunPlan, write_plan

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlanOperator(BaseOperator):
    """Writes ``plan.json`` of a run, which its steps obey.

    It resolves the parameters and stores a snapshot of every source folder, so that a file edited
    while the run goes on changes nothing in it.

    Args:
        spec: the pipeline.
        folder: absolute path that the spec's relative paths start at.
        settings: what ``submit`` was given: ``experiment_name``, ``tags``...
        setup: what the file does before its runs: uploads, registrations.
    """

    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        spec: PipelineSpec,
        folder: str,
        settings: Mapping[str, Any] | None = None,
        setup: Sequence[SetupAction] = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.setup = setup
        self.spec = spec
        self.folder = folder
        self.settings = dict(settings or {})

    def execute(self, context: Context) -> dict[str, Any]:
        """Plans the run; the result tells how many steps it has and under which id it is kept."""
        home = open_workspace(self.spec.workspace)
        dag_run = context["dag_run"]
        run_id = layout.pipeline_run_id(home.uuid, self.dag_id, dag_run.run_id)
        plan = self._plan(home, context)
        write_plan(home, run_id, plan)
        for name, value in plan.parameters.items():
            self.log.info("parameter %s = %r", name, value)
        self.log.info("%d steps planned; the run is kept as %s", len(plan.steps), run_id)
        return {"pipeline_run_id": run_id, "steps": len(plan.steps), "parameters": plan.parameters}

    def _plan(self, home: Home, context: Context) -> RunPlan:
        conf = context["dag_run"].conf or {}
        settings = {**self.settings, **_settings(conf)}
        for name in parameters.unknown(self.spec.parameters, conf):
            self.log.warning("the run was given %r, which is no parameter of this pipeline", name)
        try:
            values = parameters.resolve(self.spec.parameters, context["params"])
            apply_setup(self.setup, self.folder, home, self.log.info)
            steps = self._steps(home)
        except (UserErrorException, SnapshotException) as error:
            raise AirflowFailException(str(error)) from error
        return RunPlan(
            dag_id=self.dag_id,
            run_id=context["dag_run"].run_id,
            experiment=str(
                settings.get("experiment_name") or settings.get("experiment") or self.dag_id
            ),
            workspace=self.spec.workspace,
            parameters=values,
            steps=steps,
            continue_on_step_failure=bool(
                settings.get("continue_on_step_failure", self.spec.continue_on_step_failure)
            ),
            tags={str(key): str(value) for key, value in dict(settings.get("tags") or {}).items()},
        )

    def _steps(self, home: Home) -> dict[str, PlannedStep]:
        taken: dict[str, str] = {}
        pinned = planned_inputs(self.spec, home, self.folder)
        steps = {}
        self._say_what_is_not_served()
        for node in self.spec.nodes:
            if node.source_directory not in taken:
                taken[node.source_directory] = self._snapshot(home, node)
            steps[node.id] = PlannedStep(
                taken[node.source_directory],
                "run",
                "reuse of earlier results is not in this release",
                pinned.get(node.id, {}),
            )
        return steps

    def _snapshot(self, home: Home, node: NodeSpec) -> str:
        folder = Path(self.folder, node.source_directory)
        snapshot = snapshots.take(folder, home, declared=node.declared_source)
        for warning in snapshot.warnings:
            self.log.warning("step %r: %s", node.name, warning)
        self.log.info(
            "source folder %s: %d file%s, %s",
            node.source_directory,
            snapshot.files,
            "" if snapshot.files == 1 else "s",
            snapshot.digest,
        )
        return snapshot.digest

    def _say_what_is_not_served(self) -> None:
        computes = {node.compute for node in self.spec.nodes} - {None, "local"}
        for compute in sorted(filter(None, computes)):
            self.log.info("compute %r is this worker in this release", compute)
        for node in self.spec.nodes:
            wanted = node.settings.environment
            packages = ", ".join([*wanted.pip_packages, *wanted.conda_packages])
            asked = wanted.name or wanted.image or packages
            if asked:
                self.log.warning(
                    "step %r asks for an environment (%s); it runs in this worker's Python as yet",
                    node.name,
                    asked,
                )


def planned_inputs(
    spec: PipelineSpec, home: Home, folder: str
) -> dict[str, dict[str, PlannedInput]]:
    """What every dataset input means in this run: node id -> input name -> dataset."""
    return {
        node_id: {
            name: PlannedInput(each.id, each.definition, each.name, each.version)
            for name, each in inputs.items()
        }
        for node_id, inputs in save_definitions(spec, home, folder).items()
    }


def _settings(conf: Mapping[str, Any]) -> dict[str, Any]:
    settings = conf.get(parameters.SETTINGS_KEY) or {}
    if not isinstance(settings, Mapping):
        raise AirflowFailException(
            f"conf[{parameters.SETTINGS_KEY!r}] must be an object, not {settings!r}."
        )
    return dict(settings)

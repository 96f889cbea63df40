"""PythonScriptStepOperator: a v1 script step as an ordinary task of a hand-written DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import XComArg
from airflow.sdk.exceptions import AirflowFailException

from airflow_aml.airflow import parameters
from airflow_aml.airflow.discovery import parsing_engine
from airflow_aml.airflow.planning import Locks, Named, planned_steps
from airflow_aml.airflow.settings import environment_setting, open_workspace
from airflow_aml.airflow.steps.local import LocalStepOperator
from airflow_aml.airflow.steps.shown import shown_command
from airflow_aml.definition.compile import compile_pipeline
from airflow_aml.definition.dataparameters import bind
from airflow_aml.definition.dataset import DatasetConsumptionConfig, FileDataset
from airflow_aml.definition.graph import Graph
from airflow_aml.definition.origin import defining_folder
from airflow_aml.definition.outputs import OutputFileDatasetConfig, PipelineData
from airflow_aml.definition.registered import place_of_uri, save_definitions
from airflow_aml.definition.spec import EnvironmentSpec, Files, LocalPath, PipelineSpec
from airflow_aml.definition.step import PythonScriptStep
from airflow_aml.definition.workspace import DEFAULT_WORKSPACE
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.facts import RunFacts, walk_steps
from airflow_aml.workspace import snapshots
from airflow_aml.workspace.home import Home, path_of_uri
from airflow_aml.workspace.plans import RunPlan

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.definition.runconfig import RunConfiguration


class PythonScriptStepOperator(LocalStepOperator):
    """Runs a Python script with v1's step contract, in any DAG, beside any other operator.

    Args:
        script_name: path of the script inside ``source_directory``.
        source_directory: folder that travels with the script, relative to the DAG file's folder,
            which is the default.
        arguments: command line: texts (Jinja works), numbers, ``OutputFileDatasetConfig`` for what
            the step writes, file datasets, and other steps' outputs as ``step.output["name"]``.
        inputs: inputs by name, for what the arguments do not say:
            ``{"prepped": prepare.output["prepped"]}``.
        outputs: names or ``OutputFileDatasetConfig`` of outputs that the arguments do not say.
        params: is Airflow's own; ``environment_variables`` reach the script.
        workspace: name of the workspace; the default one when not given.

    Each output is an XCom under its name, so ``train.output["model"]`` is both the edge and the
    reference: ``{"uri", "digest", "files", "bytes"}``.

    Raises:
        PipelineDefinitionError, PipelineTypeError: what ``PythonScriptStep`` refuses too.

    Example::

        train = PythonScriptStepOperator(
            task_id="train",
            script_name="train.py",
            source_directory="train",
            arguments=[
                "--data", prepare.output["prepped"], "--model", OutputFileDatasetConfig("model")
            ],
        )
    """

    template_fields: Sequence[str] = ("arguments", "inputs", "environment_variables", "command")
    template_fields_renderers = {"command": "bash"}

    def __init__(
        self,
        *,
        script_name: str,
        source_directory: str | None = None,
        arguments: Sequence[Any] | XComArg | None = None,
        inputs: Mapping[str, Any] | XComArg | None = None,
        outputs: Sequence[str | OutputFileDatasetConfig | PipelineData] | None = None,
        environment_variables: Mapping[str, str] | XComArg | None = None,
        runconfig: RunConfiguration | None = None,
        workspace: str = DEFAULT_WORKSPACE,
        **kwargs: Any,
    ):
        self.script_name = script_name
        self.source_directory = source_directory
        self.outputs = outputs
        self.runconfig = runconfig
        self.arguments = arguments
        self.inputs = inputs
        self.environment_variables = environment_variables
        folder = _definition_folder(kwargs.get("dag"))
        spec = _compile(
            self,
            kwargs["task_id"],
            workspace,
            folder,
            [_at_parse(item) for item in arguments] if isinstance(arguments, (list, tuple)) else [],
            [],
        )
        if limit := spec.nodes[0].settings.max_run_seconds:
            kwargs.setdefault("execution_timeout", timedelta(seconds=limit))
        super().__init__(node=spec.nodes[0], workspace=workspace, folder=folder, **kwargs)
        # The metaclass wants template fields assigned after BaseOperator's own constructor.
        self.arguments = arguments
        self.inputs = inputs
        self.environment_variables = environment_variables
        self.command = shown_command(self.node)
        self.spec = spec

    def assemble(self, context: Context) -> StepRun:
        """The step in this run; its arguments are rendered by now."""
        if self.has_dag():  # type: ignore[no-untyped-call]
            self.folder = str(Path(self.dag.fileloc).parent)
        # Rendered by now, so neither is an XComArg any more.
        inputs: Any = self.inputs or {}
        given: Any = self.arguments or ()
        home = open_workspace(self.workspace)
        named = [_named_input(name, value, home) for name, value in dict(inputs).items()]
        arguments = [_at_run(item, f"arguments[{i}]", home) for i, item in enumerate(given)]
        self.spec = _compile(self, self.task_id, self.workspace, self.folder, arguments, named)
        node = self.spec.nodes[0]
        variables = {**node.settings.environment_variables, **_texts(self.environment_variables)}
        self.node = replace(node, settings=replace(node.settings, environment_variables=variables))
        return super().assemble(context)

    def plan(self, home: Home, pipeline_run_id: str, context: Context) -> RunPlan:
        """This step's own plan: such a DAG has no task that plans for it."""
        folder = Path(self.folder, self.node.source_directory)
        snapshot = snapshots.take(folder, home, declared=self.node.declared_source)
        for warning in snapshot.warnings:
            self.log.warning("%s", warning)
        values = parameters.resolve(self.spec.parameters, context["params"])
        spec = bind(self.spec, values, home)
        pinned = save_definitions(spec, home, self.folder)
        named = self._named(spec, home)
        spec = spec.within(named)
        locks = self._locks(spec, home)
        facts = RunFacts(
            home=home,
            folder=self.folder,
            snapshots={self.node.source_directory: snapshot.digest},
            parameters=values,
            pinned=pinned,
            dag_id=self.dag_id,
            warn=self.log.warning,
            locks=locks,
        )
        return RunPlan(
            dag_id=self.dag_id,
            run_id=context["ti"].run_id,
            experiment=self.dag_id,
            workspace=self.workspace,
            parameters=values,
            steps=planned_steps(spec, walk_steps(spec, facts), pinned, locks=locks, named=named),
            continue_on_step_failure=True,
        )

    def _named(self, spec: PipelineSpec, home: Home) -> Named:
        if not self.node.settings.environment.registered:
            return {}
        from airflow_aml.reuse.software.registered import named_environments

        return named_environments(spec, home, lambda node: False, get=environment_setting)

    def _locks(self, spec: PipelineSpec, home: Home) -> Locks:
        if self.node.settings.environment == EnvironmentSpec():
            return {}
        from airflow_aml.reuse.software.locking import lock_steps

        return lock_steps(spec.nodes, home, get=environment_setting, say=self.log.info)


def _compile(
    step: PythonScriptStepOperator,
    task_id: str,
    workspace: str,
    folder: str,
    arguments: list[Any],
    inputs: list[Any],
) -> PipelineSpec:
    outputs = [
        OutputFileDatasetConfig(item) if isinstance(item, str) else item
        for item in step.outputs or ()
    ]
    definition = PythonScriptStep(
        step.script_name,
        name=task_id,
        arguments=arguments,
        inputs=inputs,
        outputs=outputs,
        runconfig=step.runconfig,
        source_directory=step.source_directory,
    )
    spec = compile_pipeline(
        Graph([definition]),
        folder=folder,
        workspace=workspace,
        description="",
        default_datastore=None,
        default_source_directory=None,
    )
    return replace(spec, nodes=(replace(spec.nodes[0], id=task_id),))


def _definition_folder(dag: Any) -> str:
    parsed = parsing_engine()
    if parsed is None and dag is not None:
        return str(Path(dag.fileloc).parent)
    return defining_folder(parsed.path if parsed else None)


def _at_parse(item: Any) -> Any:
    """A stand-in for what only a run knows, so that everything else is checked already."""
    if isinstance(item, XComArg):
        return f"<{getattr(item, 'key', 'result')} of an earlier task>"
    return item


def _at_run(item: Any, where: str, home: Home) -> Any:
    if item is None:
        raise AirflowFailException(
            f"{where}: the task it comes from has no such output in this run."
        )
    if isinstance(item, Mapping):
        return _dataset(item, where, home).as_mount()
    return item


def _named_input(name: str, value: Any, home: Home) -> Any:
    where = f"inputs[{name!r}]"
    if isinstance(value, DatasetConsumptionConfig):
        return DatasetConsumptionConfig(name, value.dataset, value.mode, value.path_on_compute)
    if isinstance(value, FileDataset):
        return value.as_named_input(name).as_mount()
    if value is None:
        raise AirflowFailException(
            f"{where}: the task it comes from has no such output in this run."
        )
    return _dataset(value, where, home).as_named_input(name).as_mount()


def _dataset(reference: Any, where: str, home: Home) -> FileDataset:
    uri = reference.get("uri") if isinstance(reference, Mapping) else reference
    if not isinstance(uri, str):
        raise AirflowFailException(
            f"{where}: {reference!r} is not the reference of a step's output."
        )
    try:
        if "://" in uri and not uri.startswith("file:"):
            return FileDataset(Files((place_of_uri(uri, home),)))
        path = path_of_uri(uri) if ":" in uri else uri
    except AirflowAmlError as error:
        raise AirflowFailException(f"{where}: {error}") from error
    return FileDataset(Files((LocalPath(path),)))


def _texts(variables: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in dict(variables or {}).items()}

"""Pipeline: steps, their order, and what becomes of them (reference 1.3, 2.1)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from airflow_aml.definition.compile import compile_pipeline
from airflow_aml.definition.datastore import Datastore, datastore_name
from airflow_aml.definition.engine import declaring_engine, engine, note_run, option_values
from airflow_aml.definition.graph import Graph
from airflow_aml.definition.names import check_mapping, warn_ignored
from airflow_aml.definition.origin import defining_file, defining_folder
from airflow_aml.definition.overlaps import warnings_of
from airflow_aml.definition.parameters import check_value
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.definition.texts import check_texts_in
from airflow_aml.definition.workspace import DEFAULT_WORKSPACE, Workspace
from airflow_aml.errors import PipelineDefinitionError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.published import PublishedPipeline
    from airflow_aml.definition.runs.pipelinerun import PipelineRun


class Pipeline:
    """Steps that make one whole; in Airflow, one DAG with a task for each step.

    The graph is built and checked here, and nothing runs or is uploaded (reference 0.1).

    Args:
        workspace: a ``Workspace`` or its name.
        steps: steps, lists of steps (which mean no order), ``StepSequence``; steps that are not
            listed but needed are added.
        description: shown on the DAG's page.
        default_datastore: for outputs that name none.
        default_source_directory: for steps that name none.

    Raises:
        PipelineDefinitionError: the steps do not make a pipeline; the text names the step.
    """

    def __init__(
        self,
        workspace: Union[Workspace, str, None],
        steps: Sequence[Any],
        description: Optional[str] = None,
        default_datastore: Union[Datastore, str, None] = None,
        default_source_directory: Optional[str] = None,
        resolve_closure: bool = True,
        **kwargs: Any,
    ):
        for name in kwargs:
            if name != "enable_email_notification":
                raise PipelineDefinitionError(f"parameter {name} is not recognized for Pipeline ")
        self.workspace = workspace
        self.description = description
        self.folder = defining_folder(_parsed_file())
        self.file = defining_file(_parsed_file())
        self.graph = Graph(steps, resolve_closure)
        self._spec: Optional[PipelineSpec] = None
        compile_options: Dict[str, Any] = {
            "folder": self.folder,
            "workspace": getattr(workspace, "name", workspace) or DEFAULT_WORKSPACE,
            "description": description or "",
            "default_datastore": _named(default_datastore),
            "default_source_directory": default_source_directory,
        }
        self._checked = compile_pipeline(self.graph, **compile_options)
        for sentence in warnings_of(self._checked.nodes):
            warnings.warn(sentence, stacklevel=2)
        listener = declaring_engine()
        if listener is not None:
            listener.built(self)

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline's meaning, as data.

        Raises:
            PipelineDefinitionError: the steps wait for each other in a circle.
        """
        if self._spec is None:
            nodes = tuple(self._checked.nodes[number] for number in self.graph.order())
            self._spec = replace(self._checked, nodes=nodes)
        return self._spec

    def validate(self) -> List[str]:
        """What is wrong with the pipeline, as texts; an empty list is fine. Never raises."""
        try:
            self.graph.order()
        except PipelineDefinitionError as error:
            return [str(error)]
        return []

    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        continue_on_step_failure: bool = False,
        regenerate_outputs: bool = False,
        parent_run_id: Optional[str] = None,
        credential_passthrough: Optional[bool] = None,
        tags: Optional[Mapping[str, str]] = None,
    ) -> PipelineRun:
        """Runs the pipeline; while a file is being loaded by Airflow, declares it instead.

        Args:
            pipeline_parameters: values for this run; types as strict as v1's (reference 2.6).
            continue_on_step_failure: let independent branches go on after a step failed.
            parent_run_id: has no effect.

        Raises:
            UserErrorException: a flag is neither True nor False, or something is no dict.
            PipelineDefinitionError: an unknown parameter, or a value of the wrong type.
        """
        values = self._check_parameters(check_mapping("pipeline_parameters=", pipeline_parameters))
        _check_flag("continue_on_step_failure", continue_on_step_failure)
        _check_flag("regenerate_outputs", regenerate_outputs)
        if parent_run_id is not None:
            warnings.warn("submit: parent_run_id= has no effect.", stacklevel=2)
        check_texts_in({"experiment_name": experiment_name, "tags": tags}, "submit")
        options = option_values(
            {
                "continue_on_step_failure": continue_on_step_failure,
                "regenerate_outputs": regenerate_outputs,
                "parent_run_id": parent_run_id,
                "tags": dict(check_mapping("submit: tags=", tags)),
            }
        )
        return note_run(engine().submit(self, experiment_name, values, **options))

    def _check_parameters(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        known = {parameter.name: parameter for parameter in self.spec.parameters}
        for name in given:
            if name not in known:
                raise PipelineDefinitionError(
                    f"Pipeline parameter with name {name} does not exist",
                    hint=f"This pipeline has {', '.join(sorted(known)) or 'none'}.",
                )
        return {name: check_value(known[name], value) for name, value in given.items()}

    def to_dag(self, dag_id: Optional[str] = None, **dag_options: Any) -> Any:
        """The pipeline as an Airflow ``DAG``; ``dag_options`` go to its constructor.

        Raises:
            UserErrorException: Airflow is not installed here.
        """
        try:
            from importlib import import_module

            discovery = import_module("airflow_aml.airflow.discovery")
        except ImportError as error:
            raise UserErrorException(f"to_dag needs Apache Airflow: {error}") from error
        return discovery.to_dag(self, dag_id, dag_options)

    def publish(
        self,
        name: Optional[str] = None,
        description: Optional[str] = None,
        version: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        **kwargs: Any,
    ) -> PublishedPipeline:
        """Stores the pipeline and its source folders as they are now; runs of it go by these.

        While a file is being loaded by Airflow this *declares* the pipeline.

        Args:
            name, description, version: free texts; others may have the same.
            continue_on_step_failure: let independent branches go on after a step failed.

        Raises:
            SnapshotException: a source folder cannot be read, or has no such script.
        """
        from airflow_aml.definition.published import check_texts, publish_pipeline

        warn_ignored("publish", kwargs)
        _check_flag("continue_on_step_failure", continue_on_step_failure, "publish")
        check_texts("publish", name=name, description=description, version=version)
        options: Dict[str, Any] = {
            "name": name,
            "description": description,
            "version": version,
            "continue_on_step_failure": continue_on_step_failure,
        }
        declare = getattr(declaring_engine(), "publish", None)
        if declare is not None:
            declared: PublishedPipeline = declare(self, **options)
            return declared
        return publish_pipeline(self, **options)

    @staticmethod
    def load_yaml(
        workspace: Union[Workspace, str, None],
        filename: str,
        _workflow_provider: Any = None,
        _service_endpoint: Any = None,
    ) -> Pipeline:
        """The pipeline that a YAML file describes (reference 2.13).

        Args:
            filename: relative to the folder of the defining file.

        Raises:
            PipelineDefinitionError: the file has no pipeline, or names what it does not have.
            UserErrorException: there is no such file, or it is not YAML.
        """
        from airflow_aml.definition.pipelineyaml import read_pipeline_file

        file = read_pipeline_file(workspace, filename)
        return Pipeline(workspace, file.steps(), description=file.description)

    def _set_experiment_name(self, name: str = "") -> None:
        """Has no effect; programs touch it, though it was private in v1."""

    def _repr_html_(self) -> str:
        from airflow_aml.definition.runs.notebook import pipeline_html

        return pipeline_html(self)

    def __repr__(self) -> str:
        names = ", ".join(step.name for step in self.graph.steps[:5])
        more = "..." if len(self.graph.steps) > 5 else ""
        return f"Pipeline(steps=[{names}{more}])"


def _check_flag(name: str, value: object, call: str = "submit") -> None:
    if value not in (True, False, None):
        raise UserErrorException(f"{call}: {name}= is True or False, not {value!r}.")


def _named(datastore: Union[Datastore, str, None]) -> Optional[str]:
    return None if datastore is None else datastore_name(datastore) or None


def _parsed_file() -> Optional[str]:
    path = getattr(declaring_engine(), "path", None)
    return path if isinstance(path, str) else None

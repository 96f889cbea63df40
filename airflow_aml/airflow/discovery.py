"""From a file that Airflow parses to its DAGs (architecture 7).

While Airflow executes a DAG file, every ``Pipeline`` that the file builds or submits is noted, and
its DAG handed to Airflow at once, the way ``with DAG(...)`` does it. What a file turns out to mean
is known only at its end (a second pipeline changes the first one's id; a submit makes the ones that
are only built helpers), so each note brings the set of DAGs up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, conf, get_parsing_context
from airflow.sdk.definitions._internal.contextmanager import DagContext

from airflow_aml.airflow.factory import build_dag
from airflow_aml.definition.declarations import Declaration, Declarations, EndpointSchedule
from airflow_aml.definition.engine import declaring_engine
from airflow_aml.definition.names import slug
from airflow_aml.definition.pipeline import Pipeline

if TYPE_CHECKING:
    from airflow_aml.definition.runs.declared import DeclaredPublishedPipeline
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.schedule_spec import ScheduleSpec

Declared = Declaration | EndpointSchedule


def might_contain_dag(file_path: str, zip_file: Any = None) -> bool:
    """For ``[core] might_contain_dag_callable``: Airflow's own rule, or a pipeline of ours.

    Airflow looks only into files that hold the words "airflow" and "dag" or "asset"; with this
    setting a pipeline file need not mention a DAG.
    """
    from airflow.utils.file import might_contain_dag_via_default_heuristic

    if might_contain_dag_via_default_heuristic(file_path, zip_file):
        return True
    if zip_file is not None:
        with zip_file.open(file_path) as stream:
            content = stream.read()
    else:
        content = Path(file_path).read_bytes()
    from airflow_aml.definition.loading import speaks_of_pipeline

    return speaks_of_pipeline(content)


class ParsedFile(Declarations):
    """The declarations of the file that Airflow is executing just now."""

    def __init__(self, path: str, root: str, module: Any):
        super().__init__(path, root)
        self.module = module
        self._dags: dict[str, tuple[Declared, DAG]] = {}

    def built(self, pipeline: Pipeline) -> None:
        """Notes a pipeline that was built."""
        super().built(pipeline)
        self._update()

    def submit(
        self, pipeline: Pipeline, experiment_name: str, parameters: Any, **options: Any
    ) -> PipelineRun:
        """Notes a pipeline that was submitted."""
        run = super().submit(pipeline, experiment_name, parameters, **options)
        self._update()
        return run

    def publish(
        self, pipeline: Pipeline, *arguments: Any, **options: Any
    ) -> DeclaredPublishedPipeline:
        """Notes a pipeline that was published."""
        published = super().publish(pipeline, *arguments, **options)
        self._update()
        return published

    def explicit(self, pipeline: Pipeline) -> str:
        """Notes a pipeline whose DAG the author makes."""
        dag_id = super().explicit(pipeline)
        self._update()
        return dag_id

    def schedule(self, pipeline: Pipeline, schedule: ScheduleSpec) -> None:
        """Notes a pipeline's schedule."""
        super().schedule(pipeline, schedule)
        self._update()

    def schedule_endpoint(self, schedule: ScheduleSpec, workspace: str) -> None:
        """Notes an endpoint's schedule."""
        super().schedule_endpoint(schedule, workspace)
        self._update()

    def reschedule(self, schedule: ScheduleSpec) -> None:
        """Notes that a schedule is another now."""
        super().reschedule(schedule)
        self._update()

    def _update(self) -> None:
        wanted: dict[str, Declared] = {**dict(self.declared()), **dict(self.endpoint_schedules())}
        for dag_id, (declaration, dag) in list(self._dags.items()):
            if wanted.get(dag_id) is not declaration:
                DagContext.autoregistered_dags.discard((dag, self.module))
                del self._dags[dag_id]
        only_dag, only_task = asked_for()
        for dag_id, declaration in wanted.items():
            if dag_id not in self._dags and only_dag in (None, dag_id):
                dag = declared_dag(dag_id, declaration, only=only_task)
                self._dags[dag_id] = (declaration, dag)
                DagContext.autoregistered_dags.add((dag, self.module))


def asked_for() -> tuple[str | None, str | None]:
    """The one DAG and task that a task's process parses the file for; None: all of them."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    # What a task starts inherits its variables, and may be another `airflow` command.
    if getattr(runner, "SUPERVISOR_COMMS", None) is None:
        return None, None
    context = get_parsing_context()
    return context.dag_id, context.task_id


def declared_dag(dag_id: str, declaration: Declared, only: str | None = None) -> DAG:
    """The DAG of what a file declares; of its tasks ``only`` one, if that is named."""
    if isinstance(declaration, EndpointSchedule):
        from airflow_aml.airflow.submitting import submitting_dag

        return submitting_dag(dag_id, declaration, idle=only is not None)
    pipeline = declaration.pipeline
    return build_dag(
        pipeline.spec,
        dag_id=dag_id,
        folder=pipeline.folder,
        defaults=declaration.parameters,
        settings=declaration.options,
        setup=declaration.setup,
        scheduled=declaration.schedule,
        only=only,
    )


def to_dag(pipeline: Pipeline, dag_id: str | None, dag_options: dict[str, Any]) -> DAG:
    """``Pipeline.to_dag``: the author decides; the file's other pipelines stay as they are."""
    file = declaring_engine()
    if isinstance(file, Declarations):
        default = file.explicit(pipeline)
    else:
        default = slug(Path(pipeline.folder).name, fallback="pipeline")
    return build_dag(pipeline.spec, dag_id=dag_id or default, folder=pipeline.folder, **dag_options)


def parsing_engine() -> ParsedFile | None:
    """The file that Airflow is executing, if this call comes from within one."""
    name = DagContext.current_autoregister_module_name
    module = sys.modules.get(name) if name else None
    if module is None or getattr(module, "__file__", None) is None:
        return None
    # Kept in the module itself: gone with it, never shared between two parses.
    parsed: ParsedFile | None = module.__dict__.get("__airflow_aml__")
    if parsed is None:
        path = str(module.__file__)
        parsed = ParsedFile(path, _bundle_root(path), module)
        module.__dict__["__airflow_aml__"] = parsed
    return parsed


def _bundle_root(path: str) -> str:
    """The folder of the bundle that is being parsed.

    Airflow tells it only to the importer that executes the file, which is further up the stack.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - see above
    while frame is not None:
        root = frame.f_locals.get("bundle_path")
        if root and frame.f_globals.get("__name__", "").startswith(
            "airflow.dag_processing.importers"
        ):
            return str(root)
        frame = frame.f_back
    folder = conf.get("core", "dags_folder", fallback="")
    return folder if folder and path.startswith(folder) else str(Path(path).parent)

"""Schedule: a pipeline that is run again and again (reference 1.3, 2.12).

A file in Airflow's DAGs folder declares it: the pipeline's DAG gets the recurrence as its schedule.
Other programs find it in the workspace, which knows it from its first run on, and turn it on and
off in Airflow.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from airflow_aml.codec import decode
from airflow_aml.definition.engine import declaring_engine, works_with_airflow
from airflow_aml.definition.names import check_mapping
from airflow_aml.definition.parameters import check_value, parse_text
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
from airflow_aml.definition.schedule_slots import Recurrence
from airflow_aml.definition.schedule_spec import ACTIVE, DISABLED, ScheduleSpec
from airflow_aml.definition.schedule_words import in_words
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import NotServedError, PipelineDefinitionError, UserErrorException
from airflow_aml.runtime.hidden import note_run

if TYPE_CHECKING:
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.runs.pipelinerun import PipelineRun

_BY_PIPELINE = "Give the Pipeline itself, pipeline_id=pipeline, or publish it in the same file."
_STORE_ONLY = "{} can only be specified for Datastore schedules."


class Schedule:
    """A pipeline's schedule; made by :meth:`create`, found by :meth:`get` and :meth:`list`."""

    def __init__(self, workspace: Any, spec: ScheduleSpec, file: Optional[Declarations] = None):
        self._workspace = workspace
        self._spec = spec
        self._file = file

    @staticmethod
    def create(
        workspace: Any,
        name: str,
        pipeline_id: Any,
        experiment_name: str,
        recurrence: Optional[ScheduleRecurrence] = None,
        description: Optional[str] = None,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        wait_for_provisioning: bool = False,
        wait_timeout: float = 3600,
        datastore: Any = None,
        polling_interval: Optional[int] = 5,
        data_path_parameter_name: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        path_on_datastore: Optional[str] = None,
    ) -> Schedule:
        """Declares that a pipeline is run on a schedule.

        Args:
            pipeline_id: of what the file has published; or the ``Pipeline`` itself.
            pipeline_parameters: values of the runs that the schedule starts; a text that begins
                with ``@`` may be an expression.
            wait_for_provisioning: there is nothing to wait for: Airflow reads the file.

        Raises:
            NotServedError: the pipeline was published elsewhere, a datastore is to be watched, or
                nothing loads this file.
            PipelineDefinitionError: something of it is wrong.
        """
        where = f"schedule {name!r}"
        if recurrence is not None and datastore is not None:
            raise PipelineDefinitionError(
                "Can not specify both a Recurrence and a Datastore", where=where
            )
        if datastore is not None:
            raise NotServedError(
                "Schedule.create(datastore=...) comes with the data change release.", where=where
            )
        if data_path_parameter_name is not None:
            raise PipelineDefinitionError(_STORE_ONLY.format("Data Path parameter name"))
        if path_on_datastore is not None:
            raise PipelineDefinitionError(_STORE_ONLY.format("Path on datastore parameter"))
        from airflow_aml.definition.workspace import Experiment

        check_text(description or "", f"{where}, description")
        file = _file(where)
        pipeline = _pipeline(pipeline_id, file, where)
        spec = ScheduleSpec(
            id=file.schedule_id(_text("name", name)),
            name=name,
            experiment=Experiment(workspace, experiment_name).name,
            recurrence=_checked(recurrence, where),
            description=description or "",
            parameters=_parameters(pipeline, pipeline_parameters, where),
            continue_on_step_failure=continue_on_step_failure,
        )
        file.schedule(pipeline, spec)
        return Schedule(workspace, spec, file)

    @staticmethod
    def create_for_pipeline_endpoint(*_: Any, **__: Any) -> Schedule:
        """Comes with the publishing release.

        Raises:
            NotServedError: always.
        """
        raise NotServedError(
            "Schedule.create_for_pipeline_endpoint comes with the publishing release."
        )

    @staticmethod
    def get(workspace: Any, id: str, **_: Any) -> Schedule:  # noqa: A002 - v1's name
        """The schedule of that id.

        Raises:
            UserErrorException: there is none.
        """
        for each in _all(workspace):
            if each.id == id:
                return each
        raise UserErrorException(
            f"the workspace has no schedule {id!r}.",
            hint="`airflow-aml schedule list` lists its schedules; each is there from its first"
            " run on.",
        )

    @staticmethod
    def list(
        workspace: Any,
        active_only: bool = True,
        pipeline_id: Optional[str] = None,
        pipeline_endpoint_id: Optional[str] = None,
        **_: Any,
    ) -> List[Schedule]:
        """The workspace's schedules; while a file is being loaded, those that it has declared.

        Args:
            pipeline_id: only those of this pipeline, as :attr:`pipeline_id` names it.

        Raises:
            NotServedError: ``pipeline_endpoint_id`` is given.
        """
        if pipeline_endpoint_id is not None:
            raise NotServedError(
                "Schedule.list(pipeline_endpoint_id=...) comes with the publishing release."
            )
        return [
            each
            for each in _all(workspace)
            if pipeline_id in (None, each.pipeline_id)
            and not (active_only and each.status != ACTIVE)
        ]

    get_all = list

    @staticmethod
    def get_schedules_for_pipeline_id(workspace: Any, pipeline_id: str, **_: Any) -> List[Schedule]:
        """The pipeline's schedules, those that are disabled among them."""
        return Schedule.list(workspace, active_only=False, pipeline_id=pipeline_id)

    @staticmethod
    def get_schedules_for_pipeline_endpoint_id(*_: Any, **__: Any) -> List[Schedule]:
        """Comes with the publishing release.

        Raises:
            NotServedError: always.
        """
        raise NotServedError(
            "Schedule.get_schedules_for_pipeline_endpoint_id comes with the publishing release."
        )

    @staticmethod
    def load_yaml(workspace: Any, filename: str, **_: Any) -> Dict[str, Any]:
        """What a YAML file says of a schedule: values for the arguments of :meth:`create`.

        Raises:
            UserErrorException: the file cannot be read, or something in it is wrong.
        """
        from airflow_aml.definition.schedule_yaml import load_schedule

        return load_schedule(filename)

    @property
    def id(self) -> str:
        """The same for the same name in the same file."""
        return self._spec.id

    @property
    def name(self) -> str:
        """Its name; several may have one."""
        return self._spec.name

    @property
    def description(self) -> str:
        """What the author says of it."""
        return self._spec.description

    @property
    def pipeline_id(self) -> str:
        """The id of the DAG that it starts."""
        return self._file.scheduled_dag(self.id) if self._file else self._spec.dag_id

    @property
    def recurrence(self) -> ScheduleRecurrence:
        """When it starts it."""
        return ScheduleRecurrence.of_spec(self._spec.recurrence)

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``; a DAG that is paused in Airflow, or gone, is disabled."""
        if self._file is None and self._spec.status == ACTIVE and works_with_airflow():
            return ACTIVE if _airflow().is_on(self.pipeline_id) else DISABLED
        return self._spec.status

    @property
    def continue_on_step_failure(self) -> Optional[bool]:
        """What its runs do after a step has failed; None: what the pipeline says."""
        return self._spec.continue_on_step_failure

    pipeline_endpoint_id = datastore_name = polling_interval = None
    data_path_parameter_name = path_on_datastore = None

    def update(
        self,
        name: Optional[str] = None,
        description: Optional[str] = None,
        recurrence: Optional[ScheduleRecurrence] = None,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        status: Optional[str] = None,
        wait_for_provisioning: bool = False,
        wait_timeout: float = 3600,
        datastore: Any = None,
        polling_interval: Optional[int] = None,
        data_path_parameter_name: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        path_on_datastore: Optional[str] = None,
    ) -> None:
        """Changes what is given. Outside the file that declares it, that can be the status alone.

        Raises:
            PipelineDefinitionError: a value is wrong, or of a datastore's schedule.
            NotServedError: the file has to be changed for it.
        """
        where = f"schedule {self.name!r}"
        if (datastore, data_path_parameter_name, path_on_datastore) != (None, None, None):
            raise PipelineDefinitionError(
                "Can not specify a Datastore for a Recurrence schedule.", where=where
            )
        if status not in (None, ACTIVE, DISABLED):
            raise PipelineDefinitionError("Status must be either Active or Disabled", where=where)
        changes: Dict[str, Any] = {
            "name": None if name is None else _text("name", name),
            "description": description,
            "recurrence": None if recurrence is None else _checked(recurrence, where),
            "continue_on_step_failure": continue_on_step_failure,
            "status": status,
        }
        if pipeline_parameters is not None and self._file is not None:
            pipeline = self._file.scheduled_pipeline(self.id)
            changes["parameters"] = _parameters(pipeline, pipeline_parameters, where)
        changes = {key: value for key, value in changes.items() if value is not None}
        if self._file is not None:
            self._spec = replace(self._spec, **changes)
            self._file.reschedule(self._spec)
            return
        if set(changes) - {"status"} or pipeline_parameters is not None:
            raise NotServedError(
                "Schedule.update changes nothing but the status of a schedule that a file in"
                " Airflow's DAGs folder declares.",
                where=where,
                hint="Change that file.",
            )
        if status is not None:
            self._switch(status, where)

    def enable(self, wait_for_provisioning: bool = False, wait_timeout: float = 3600) -> None:
        """Starts runs again; what was missed meanwhile is not run."""
        self.update(status=ACTIVE)

    def disable(self, wait_for_provisioning: bool = False, wait_timeout: float = 3600) -> None:
        """Starts no more runs.

        From outside the file this pauses the DAG, which holds up runs that are begun by hand, too.
        """
        self.update(status=DISABLED)

    def get_pipeline_runs(self) -> List[PipelineRun]:
        """The runs that it has started, newest first; empty while its file is being loaded."""
        return [] if self._file else [*self._runs()]

    def get_last_pipeline_run(self) -> Optional[PipelineRun]:
        """The newest of them; None if there is none."""
        return None if self._file else next(self._runs(), None)

    def _runs(self) -> Any:
        from airflow_aml.definition.homes import home_of
        from airflow_aml.definition.runs.pipelinerun import PipelineRun
        from airflow_aml.workspace.runs import heads

        note_run("*")
        for head in heads(home_of(self._workspace)):
            if head.dag_id == self.pipeline_id and head.run_id.startswith("scheduled__"):
                yield PipelineRun.get(self._workspace, head.id)

    def _switch(self, status: str, where: str) -> None:
        if not works_with_airflow():
            raise UserErrorException(
                "whether a schedule is on is Airflow's to say, and none is known here.",
                where=where,
                hint="Set AIRFLOW_AML_API_URL.",
            )
        if status == ACTIVE and self._spec.status == DISABLED:
            raise UserErrorException(
                "the file that declares it disables it.", where=where, hint="Change that file."
            )
        _airflow().switch(self.pipeline_id, status == ACTIVE)

    def __repr__(self) -> str:
        words = in_words(self._spec.recurrence)
        return f"Schedule(name={self.name!r}, id={self.id!r}, {words!r})"


def _all(workspace: Any) -> List[Schedule]:
    file: Any = declaring_engine()
    if hasattr(file, "schedules"):
        return [Schedule(workspace, spec, file) for spec in file.schedules]
    from airflow_aml.definition.homes import home_of
    from airflow_aml.workspace.schedules import schedules

    found = schedules(home_of(workspace))
    return [Schedule(workspace, decode(ScheduleSpec, each)) for each in found]


def _airflow() -> Any:
    return import_module("airflow_aml.airflow.remoteschedules")


def _file(where: str) -> Declarations:
    file: Any = declaring_engine()
    if not hasattr(file, "schedule_id"):
        raise NotServedError(
            "Schedule.create in a program that runs by itself comes with the publishing release.",
            where=where,
            hint="Put the file into Airflow's DAGs folder: there it declares the schedule.",
        )
    result: Declarations = file
    return result


def _pipeline(value: Any, file: Declarations, where: str) -> Pipeline:
    if isinstance(value, Pipeline):
        return value
    found = file.published(value) if isinstance(value, str) else None
    if found is not None:
        return found
    if isinstance(value, str):
        raise NotServedError(
            f"Schedule.create(pipeline_id={value!r}) is not served: this file has published no"
            " pipeline of that id.",
            where=where,
            hint=_BY_PIPELINE,
        )
    raise PipelineDefinitionError(
        f"pipeline_id= is no pipeline: {value!r}.", where=where, hint=_BY_PIPELINE
    )


def _checked(recurrence: Any, where: str) -> Recurrence:
    if not isinstance(recurrence, ScheduleRecurrence):
        raise PipelineDefinitionError(
            f"recurrence= is a ScheduleRecurrence, not {recurrence!r}.", where=where
        )
    return recurrence.spec


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise PipelineDefinitionError(f"a schedule's {what} is a text, not {value!r}.")
    return check_text(value, f"a schedule's {what}")


def _parameters(pipeline: Pipeline, given: Any, where: str) -> Dict[str, Any]:
    """The values, of the parameters' types; v1 sends texts, so a text of that type will do."""
    from airflow_aml.definition.schedule_expressions import check_expression, is_expression

    known = {each.name: each for each in pipeline.spec.parameters}
    values = {}
    for name, value in check_mapping(f"{where}: pipeline_parameters=", given).items():
        if name not in known:
            raise PipelineDefinitionError(
                f"Pipeline parameter with name {name} does not exist",
                where=where,
                hint=f"This pipeline has {', '.join(sorted(known)) or 'none'}.",
            )
        if is_expression(value):
            check_expression(value)
        elif isinstance(value, str):
            value = parse_text(known[name], value)  # noqa: PLW2901
        else:
            value = check_value(known[name], value)  # noqa: PLW2901
        values[name] = value
    return values

"""Schedule: a pipeline that is run again and again (reference 1.3, 2.12).

A file in Airflow's DAGs folder declares it: the pipeline's DAG gets the recurrence as its schedule,
or the folder whose changes start its runs. Other programs find it in the workspace, which knows it
from its first run on, and turn it on and off in Airflow. A program that runs by itself makes one of
a published pipeline or an endpoint, which any program may change.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence
from uuid import uuid4

from airflow_aml.codec import decode
from airflow_aml.definition.engine import declaring_engine, works_with_airflow
from airflow_aml.definition.homes import workspace_name
from airflow_aml.definition.schedule_changes import changed
from airflow_aml.definition.schedule_checks import (
    checked_name,
    checked_parameters,
    checked_start,
    scheduled_pipeline,
)
from airflow_aml.definition.schedule_published import endpoint_id, keep, kept, made, published_spec
from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
from airflow_aml.definition.schedule_spec import ACTIVE, DISABLED, ScheduleSpec
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import (
    ErrorResponseException,
    NotServedError,
    PipelineDefinitionError,
    UserErrorException,
)
from airflow_aml.runtime.hidden import note_run

if TYPE_CHECKING:
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.spec import ParameterSpec

_STATUSES = (None, ACTIVE, DISABLED)


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
        polling_interval: Optional[float] = 5,
        data_path_parameter_name: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        path_on_datastore: Optional[str] = None,
        *,
        per_file: bool = False,
        quiet_seconds: Optional[float] = None,
    ) -> Schedule:
        """Has a pipeline run on a schedule, or when files of a datastore change.

        Args:
            pipeline_id: of what the file has published, or the ``Pipeline`` itself; in a program,
                of any published pipeline.
            pipeline_parameters: values of the runs that the schedule starts; a text that begins
                with ``@`` may be an expression.
            wait_for_provisioning: a program goes on when its Airflow has the schedule, or after
                ``wait_timeout`` seconds.
            datastore: a ``Datastore``, or the name of one, in place of a recurrence.
            polling_interval: minutes from look to look, from a second on.
            data_path_parameter_name: the parameter that gets the path of the file that has
                changed; of several files, that of the folder that has all of them.
            path_on_datastore: the folder that is watched, with those below it; None: all of it.
            per_file: a run for each file, as in v1, not one for all that has changed meanwhile.
            quiet_seconds: for how long nothing of a file may have changed before it counts (2).

        Raises:
            NotServedError: the pipeline of a file was published elsewhere.
            PipelineDefinitionError: something of it is wrong.
            ErrorResponseException: no pipeline of that id is published.
        """
        where = f"schedule {name!r}"
        file = _file()
        patience = wait_timeout if wait_for_provisioning else 0
        pipeline = None if file is None else scheduled_pipeline(pipeline_id, file, where)
        meaning = pipeline.spec if pipeline else published_spec(workspace, pipeline_id, where)
        known = meaning.parameters
        data = (datastore, path_on_datastore, polling_interval, data_path_parameter_name)
        watch = (*data, per_file, quiet_seconds)
        spec = replace(
            _spec(file, workspace, name, experiment_name, description),
            parameters=checked_parameters(known, pipeline_parameters, where),
            continue_on_step_failure=continue_on_step_failure,
            **checked_start(where, recurrence, watch, known),
        )
        if file is None or pipeline is None:
            spec = replace(spec, pipeline=pipeline_id)
            return Schedule(workspace, made(workspace, spec, patience))
        file.schedule(pipeline, spec)
        return Schedule(workspace, spec, file)

    @staticmethod
    def create_for_pipeline_endpoint(
        workspace: Any,
        name: str,
        pipeline_endpoint_id: str,
        experiment_name: str,
        recurrence: Optional[ScheduleRecurrence] = None,
        description: Optional[str] = None,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        wait_for_provisioning: bool = False,
        wait_timeout: float = 3600,
        datastore: Any = None,
        polling_interval: Optional[float] = 5,
        data_path_parameter_name: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        path_on_datastore: Optional[str] = None,
        *,
        per_file: bool = False,
        quiet_seconds: Optional[float] = None,
    ) -> Schedule:
        """Declares that an endpoint's default version is run on a schedule: the one of that time.

        The schedule is a DAG of its own, whose runs submit the pipeline. All else is as in
        :meth:`create`; what depends on the pipeline is checked by each run.

        Args:
            pipeline_endpoint_id: the endpoint's id, or its name.

        Raises:
            PipelineDefinitionError: something of it is wrong.
            ErrorResponseException: a program names an endpoint that is not there.
        """
        where = f"schedule {name!r}"
        file = _file()
        patience = wait_timeout if wait_for_provisioning else 0
        data = (datastore, path_on_datastore, polling_interval, data_path_parameter_name)
        watch = (*data, per_file, quiet_seconds)
        spec = replace(
            _spec(file, workspace, name, experiment_name, description),
            endpoint=checked_name("pipeline_endpoint_id", pipeline_endpoint_id),
            parameters=checked_parameters(None, pipeline_parameters, where),
            continue_on_step_failure=continue_on_step_failure,
            **checked_start(where, recurrence, watch, None),
        )
        if file is None:
            spec = replace(spec, endpoint=endpoint_id(workspace, spec.endpoint))
            return Schedule(workspace, made(workspace, spec, patience))
        file.schedule_endpoint(spec, workspace_name(workspace))
        return Schedule(workspace, spec, file)

    @staticmethod
    def get(workspace: Any, id: str, **_: Any) -> Schedule:  # noqa: A002 - v1's name
        """The schedule of that id.

        Raises:
            ErrorResponseException: there is none.
        """
        for each in _all(workspace):
            if each.id == id:
                return each
        raise ErrorResponseException(
            f"the workspace has no schedule {id!r}.",
            hint="`airflow-aml schedule list` lists its schedules; what a file declares is there"
            " from its first run on.",
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
            pipeline_endpoint_id: only those of this endpoint, as the schedule names it.
        """
        return [
            each
            for each in _all(workspace)
            if pipeline_id in (None, each.pipeline_id)
            and pipeline_endpoint_id in (None, each.pipeline_endpoint_id)
            and not (active_only and each.status != ACTIVE)
        ]

    get_all = list

    @staticmethod
    def get_schedules_for_pipeline_id(workspace: Any, pipeline_id: str, **_: Any) -> List[Schedule]:
        """The pipeline's schedules, those that are disabled among them."""
        return Schedule.list(workspace, active_only=False, pipeline_id=pipeline_id)

    @staticmethod
    def get_schedules_for_pipeline_endpoint_id(
        workspace: Any, pipeline_endpoint_id: str, **_: Any
    ) -> List[Schedule]:
        """The endpoint's schedules, those that are disabled among them."""
        return Schedule.list(
            workspace, active_only=False, pipeline_endpoint_id=pipeline_endpoint_id
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
        """The same for the same name in the same file; of a program's schedule made anew."""
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
        """The published pipeline that a program has scheduled; of others the id of their DAG."""
        return self._spec.pipeline or self.dag_id

    @property
    def dag_id(self) -> str:
        """The DAG that it starts; of an endpoint's schedule, the one that submits."""
        return self._file.scheduled_dag(self.id) if self._file else self._spec.dag_id

    @property
    def recurrence(self) -> Optional[ScheduleRecurrence]:
        """When it starts it; None where data does."""
        if self._spec.data is not None:
            return None
        return ScheduleRecurrence.of_spec(self._spec.recurrence)

    @property
    def words(self) -> str:
        """When it starts runs, for people; v1 has no such property."""
        return self._spec.words

    @property
    def datastore_name(self) -> Optional[str]:
        """The datastore that is watched; empty for the workspace's default one."""
        return self._spec.data.datastore if self._spec.data else None

    @property
    def path_on_datastore(self) -> Optional[str]:
        """The folder that is watched."""
        return self._spec.data.path or None if self._spec.data else None

    @property
    def polling_interval(self) -> Optional[float]:
        """Minutes from look to look."""
        return self._spec.data.interval / 60 if self._spec.data else None

    @property
    def data_path_parameter_name(self) -> Optional[str]:
        """The parameter that gets the changed path."""
        return self._spec.data.parameter or None if self._spec.data else None

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``; a file's is disabled where Airflow has its DAG not on."""
        declared = self._file is None and not self._spec.workspace
        if declared and self._spec.status == ACTIVE and works_with_airflow():
            return ACTIVE if _airflow().is_on(self.dag_id) else DISABLED
        return self._spec.status

    @property
    def continue_on_step_failure(self) -> Optional[bool]:
        """What its runs do after a step has failed; None: what the pipeline says."""
        return self._spec.continue_on_step_failure

    @property
    def pipeline_endpoint_id(self) -> Optional[str]:
        """The endpoint whose default version it submits, as the schedule names it."""
        return self._spec.endpoint or None

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
        polling_interval: Optional[float] = None,
        data_path_parameter_name: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
        path_on_datastore: Optional[str] = None,
    ) -> None:
        """Changes what is given. Outside a file that declares it, that can be the status alone.

        Raises:
            PipelineDefinitionError: a value is wrong, or of the other kind of schedules.
            NotServedError: the file has to be changed for it.
        """
        where = f"schedule {self.name!r}"
        if status not in _STATUSES:
            raise PipelineDefinitionError("Status must be either Active or Disabled", where=where)
        given = {
            "name": name,
            "description": description,
            "recurrence": recurrence,
            "pipeline_parameters": pipeline_parameters,
            "datastore": datastore,
            "polling_interval": polling_interval,
            "data_path_parameter_name": data_path_parameter_name,
            "continue_on_step_failure": continue_on_step_failure,
            "path_on_datastore": path_on_datastore,
        }
        if self._file is not None or self._spec.workspace:
            known = self._parameters(where)
            self._spec = changed(self._spec, {**given, "status": status}, known)
            self._tell()
            return
        if any(value is not None for value in given.values()):
            raise NotServedError(
                "Schedule.update changes nothing but the status of a schedule that a file in"
                " Airflow's DAGs folder declares.",
                where=where,
                hint="Change that file.",
            )
        if status is not None:
            self._switch(status, where)

    def _parameters(self, where: str) -> Optional[Sequence[ParameterSpec]]:
        """Those of its pipeline; None where each run has to look."""
        if self._file is not None:
            return self._file.scheduled_parameters(self.id)
        if self._spec.endpoint:
            return None
        return published_spec(self._workspace, self._spec.pipeline, where).parameters

    def _tell(self) -> None:
        if self._file is not None:
            self._file.reschedule(self._spec)
        else:
            keep(self._workspace, self._spec)

    def enable(self, wait_for_provisioning: bool = False, wait_timeout: float = 3600) -> None:
        """Starts runs again; what was missed meanwhile is not run."""
        self.update(status=ACTIVE)

    def disable(self, wait_for_provisioning: bool = False, wait_timeout: float = 3600) -> None:
        """Starts no more runs.

        From outside a file that declares it this pauses the DAG, which holds up runs that are begun
        by hand, too.
        """
        self.update(status=DISABLED)

    def get_pipeline_runs(self) -> List[PipelineRun]:
        """The runs that it has started, newest first; empty while its file is being loaded."""
        return [] if self._file else [*self._runs()]

    def get_last_pipeline_run(self) -> Optional[PipelineRun]:
        """The newest of them; None if there is none."""
        return None if self._file else next(self._runs(), None)

    def _runs(self) -> Iterator[PipelineRun]:
        from airflow_aml.definition.homes import home_of
        from airflow_aml.definition.runs.pipelinerun import PipelineRun
        from airflow_aml.workspace.runs import heads

        note_run("*")
        for head in heads(home_of(self._workspace)):
            if self._spec.starts(head.dag_id, head.run_id):
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
        _airflow().switch(self.dag_id, status == ACTIVE)

    def __repr__(self) -> str:
        return f"Schedule(name={self.name!r}, id={self.id!r}, {self.words!r})"


def _all(workspace: Any) -> List[Schedule]:
    file: Any = declaring_engine()
    if hasattr(file, "schedules"):
        return [Schedule(workspace, spec, file) for spec in file.schedules]
    from airflow_aml.definition.homes import home_of
    from airflow_aml.workspace.schedules import schedules

    declared = [decode(ScheduleSpec, each) for each in schedules(home_of(workspace))]
    return [Schedule(workspace, each) for each in (*declared, *kept(workspace))]


def _airflow() -> Any:
    return import_module("airflow_aml.airflow.remoteschedules")


def _file() -> Optional[Declarations]:
    """The file that is being loaded; None in a program that runs by itself."""
    file: Any = declaring_engine()
    return file if hasattr(file, "schedule_id") else None


def _spec(
    file: Optional[Declarations], workspace: Any, name: Any, experiment_name: Any, description: Any
) -> ScheduleSpec:
    from airflow_aml.definition.experiment import Experiment

    return ScheduleSpec(
        id=file.schedule_id(checked_name("name", name)) if file else str(uuid4()),
        name=checked_name("name", name),
        experiment=Experiment(workspace, experiment_name).name,
        description=check_text(description or "", f"schedule {name!r}, description"),
    )

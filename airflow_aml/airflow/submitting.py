"""Schedules of endpoints: a DAG of one task, which submits the endpoint's default version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowSkipException

from airflow_aml.airflow import datachange, scheduling
from airflow_aml.airflow.datachange import Change
from airflow_aml.airflow.factory import RETRIES, RETRY_DELAY, TAG
from airflow_aml.airflow.settings import open_workspace
from airflow_aml.definition.schedule_spec import ScheduleSpec
from airflow_aml.definition.spec import ParameterSpec, PipelineSpec
from airflow_aml.definition.values import SETTINGS_KEY, from_texts
from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.definition.declarations import EndpointSchedule
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.published import Published

SUBMIT_TASK = "submit"


def submitting_dag(
    dag_id: str, declared: EndpointSchedule, idle: bool = False, **options: Any
) -> DAG:
    """The DAG of an endpoint's schedule.

    Args:
        idle: it is made to run its task.
        options: further arguments of ``DAG``.
    """
    schedule = declared.schedule
    dag = DAG(
        dag_id,
        schedule=scheduling.dag_schedule(schedule, declared.workspace, idle),
        catchup=False,
        description=schedule.description.partition("\n")[0]
        or f"Submits the default version of endpoint {schedule.endpoint}.",
        tags=sorted({TAG, f"experiment:{schedule.experiment}"[:100]}),
        **options,
    )
    SubmitOperator(
        task_id=SUBMIT_TASK,
        scheduled=schedule,
        workspace=declared.workspace,
        dag=dag,
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
    )
    return dag


class SubmitOperator(BaseOperator):
    """Submits the default version that an endpoint has when the task runs.

    Args:
        scheduled: the schedule, which names the endpoint.
        workspace: the name of the workspace that has it.
    """

    ui_color = "#e8f0fe"

    def __init__(self, *, scheduled: ScheduleSpec, workspace: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.scheduled = scheduled
        self.workspace = workspace

    def execute(self, context: Context) -> dict[str, Any]:
        """Has Airflow start the run; asked again by another try, it is the same run.

        Returns:
            Which version of the endpoint that was, its published pipeline and its DAG.

        Raises:
            AirflowFailException: there is no such endpoint, it or that version is disabled, or the
                pipeline does not take the schedule's values.
            AirflowSkipException: other runs have taken all files that have changed.
        """
        home = open_workspace(self.workspace)
        scheduling.remember(self.scheduled, home, context["dag_run"].dag_id)
        try:
            version, record = default_version(home, self.scheduled.endpoint)
            change = datachange.take(self.scheduled, home, context)
            if change is not None and not change.files:
                raise AirflowSkipException("other runs have taken all changed files")
            self._submit(record, change, context)
        except UserErrorException as error:
            raise AirflowFailException(str(error)) from error
        from airflow_aml.definition.published import dag_id_of

        return {"version": version, "pipeline_id": record.id, "dag_id": dag_id_of(record)}

    def _submit(self, record: Published, change: Change | None, context: Context) -> None:
        from airflow_aml.definition.published import dag_id_of

        schedule, dag_id = self.scheduled, dag_id_of(record)
        specs = PipelineSpec.from_dict(record.spec).parameters
        conf = {**self._values(specs, context), SETTINGS_KEY: self._settings()}
        parameter = self._path_parameter(specs) if change else None
        try:
            if change is not None and schedule.data is not None and schedule.data.per_file:
                run_id = context["dag_run"].run_id
                datachange.start_each(change, schedule, dag_id, conf, parameter, run_id)
                return
            said = None
            if change is not None:
                told = change.told
                said = datachange.note(told["paths"], told["files"], change.datastore)
            if change is not None and parameter is not None:
                conf[parameter.name] = datachange.changed_value(parameter, change)
            run_id = f"{schedule.submitted}{context['dag_run'].run_id}"
            datachange.start(dag_id, run_id, conf, said)
        except AirflowRuntimeError as error:
            raise AirflowFailException(
                f"Airflow started no run of {dag_id!r}, the DAG of published pipeline "
                f"{record.id}: {error}. Does AmlDagBundle read this workspace?"
            ) from error
        self.log.info("submitted %s as a run of %s", record.id, dag_id)

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"experiment": self.scheduled.experiment}
        if self.scheduled.continue_on_step_failure is not None:
            settings["continue_on_step_failure"] = self.scheduled.continue_on_step_failure
        return settings

    def _values(self, specs: tuple[ParameterSpec, ...], context: Context) -> dict[str, Any]:
        given = scheduling.worked_out(self.scheduled.parameters, context)
        self._refuse_unknown(given, specs)
        values, wrong = from_texts(specs, given)
        if wrong:
            raise UserErrorException(" ".join(wrong))
        return dict(values)

    def _path_parameter(self, specs: tuple[ParameterSpec, ...]) -> ParameterSpec | None:
        name = self.scheduled.data.parameter if self.scheduled.data else ""
        if not name:
            return None
        self._refuse_unknown({name: ""}, specs)
        return next(each for each in specs if each.name == name)

    def _refuse_unknown(self, given: Mapping[str, Any], specs: tuple[ParameterSpec, ...]) -> None:
        known = {each.name for each in specs}
        for name in given:
            if name not in known:
                raise UserErrorException(
                    f"Pipeline parameter with name {name} does not exist",
                    where=f"schedule {self.scheduled.name!r}",
                    hint=f"This pipeline has {', '.join(sorted(known)) or 'none'}.",
                )


def default_version(home: Home, endpoint: str) -> tuple[str, Published]:
    """The default version that an endpoint has now, and its published pipeline.

    Args:
        endpoint: its id, or its name.

    Raises:
        UserErrorException: there is none, or it or that version is disabled.
    """
    from airflow_aml.definition.published import dag_id_of, disabled
    from airflow_aml.workspace import published
    from airflow_aml.workspace.endpoints import Endpoints

    known = Endpoints(home)
    found = known.find(endpoint)
    if not known.is_enabled(found.id):
        raise UserErrorException(
            "Status must be Active, its Disabled", where=f"endpoint {found.name!r}"
        )
    version = known.default(found.id)
    record = published.read(home, known.versions(found.id)[version])
    if not published.is_enabled(home, record.id):
        raise disabled(record.id, dag_id_of(record))
    return version, record

"""Files that declare schedules: what Airflow makes of them, and what they may and may not say."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pendulum
import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction

from airflow_aml import Schedule, ScheduleRecurrence, Workspace
from airflow_aml.airflow.bundle import AmlDagBundle
from airflow_aml.airflow.timetable import RecurrenceTimetable
from airflow_aml.errors import NotServedError, UserErrorException

PROGRAMS = Path(__file__).parent.parent / "programs"

FILE = """\
    # Airflow lists this file's pipeline as a DAG.
    from airflow_aml import *

    day = PipelineParameter("day", "never")
    count = PipelineParameter("count", 1)
    step = PythonScriptStep(
        "sum.py", name="sum", source_directory="steps", arguments=["--day", day, "--count", count]
    )
    workspace = Workspace()
    pipeline = Pipeline(workspace, [step])
    nightly = ScheduleRecurrence("Day", 1, time_of_day="02:30", time_zone="Europe/Berlin")
    more = dict(pipeline_id=pipeline, experiment_name="sales", recurrence=nightly)
"""


@pytest.fixture
def declare(write, parse):
    """What Airflow makes of a file that goes on with these lines."""

    def parsed(*lines):
        write("steps/sum.py", "print('sum')")
        write("sales.py", FILE + "".join(f"    {line}\n" for line in lines))
        return parse()

    return parsed


def next_run(dag):
    """When Airflow will start the DAG's first run."""
    return dag.next_dagrun_info(last_automated_run_info=None).run_after


def test_a_declared_schedule_is_the_dags_timetable(declare, parse):
    """Schedule.create in a file schedules its DAG; Airflow reads the same DAG every time."""
    parsed = declare('schedule = Schedule.create(workspace, name="nightly", **more)')
    (dag,) = parsed.dags.values()
    text = json.dumps(DagSerialization.to_dict(dag), sort_keys=True)
    again = json.dumps(DagSerialization.to_dict(*parse().dags.values()), sort_keys=True)
    stored = DagSerialization.from_dict(json.loads(text))

    assert parsed.errors == {}
    assert dag.dag_id == "sales"
    assert dag.tags == {"azureml-v1", "experiment:sales"}
    assert again == text
    assert stored.timetable.summary == "Every day at 02:30 (Europe/Berlin)"
    assert stored.timetable.description == stored.timetable.summary
    assert stored.catchup is False
    assert abs(next_run(stored) - datetime.now(UTC)) < timedelta(minutes=1)


def test_to_dag_takes_a_recurrence(declare):
    """A recurrence is a schedule for to_dag, like a cron text, with catch-up if one wants it."""
    parsed = declare(
        "import datetime",
        "first = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)",
        'dag = pipeline.to_dag("mine", schedule=nightly, start_date=first, catchup=True)',
    )
    stored = DagSerialization.from_dict(DagSerialization.to_dict(parsed.dags["mine"]))

    assert parsed.errors == {}
    assert stored.timetable.summary == "Every day at 02:30 (Europe/Berlin)"
    assert next_run(stored) == datetime(2026, 1, 1, tzinfo=UTC)


def test_what_was_submitted_is_scheduled_too(declare):
    """submit and Schedule.create of one pipeline are one DAG, with the submit's values by hand."""
    parsed = declare(
        'pipeline.submit("tried", pipeline_parameters={"count": 5})',
        'Schedule.create(workspace, name="nightly", pipeline_parameters={"count": 7}, **more)',
    )
    (dag,) = parsed.dags.values()

    assert dag.params["count"] == 5
    assert dag.task_dict["reuse"].scheduled.parameters == {"count": 7}
    assert dag.task_dict["reuse"].settings == {"experiment_name": "sales"}


@pytest.mark.parametrize("by_run", [False, True])
def test_what_was_published_is_scheduled_by_its_id(declare, by_run):
    """v1's way: submit, publish, schedule what was published; of all that comes one DAG."""
    parsed = declare(
        'run = pipeline.submit("tried", regenerate_outputs=True)',
        f"published = {'run.publish_pipeline' if by_run else 'pipeline.publish'}(",
        '    name="sales", description="d", version="1.0")',
        'more["pipeline_id"] = published.id',
        'Schedule.create(workspace, name="nightly", description="every night", **more)',
    )

    assert parsed.errors == {}
    (dag,) = parsed.dags.values()
    assert dag.timetable.summary == "Every day at 02:30 (Europe/Berlin)"
    assert dag.task_dict["reuse"].settings == {"experiment_name": "sales"}


def test_a_course_program_as_it_stands_runs_every_day(tmp_path):
    """A v1 program that publishes once and schedules twice is two DAGs, dropped into the folder."""
    shutil.copytree(PROGRAMS / "seed_004", tmp_path / "dags" / "course")
    bundle = AmlDagBundle(name=f"v1-{tmp_path.name}", path=str(tmp_path / "dags"), published=())
    bundle.initialize()

    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)

    assert bag.import_errors == {}
    daily = bag.dags["course_program.training"]
    reactive = bag.dags["course_program.training_pipeline"]
    assert len(bag.dags) == 2
    assert daily.timetable.summary == "Every day"
    assert "experiment:Training_Pipeline" in daily.tags & reactive.tags
    assert reactive.task_dict["reuse"].scheduled.data.path == "data/training"


def test_two_schedules_of_one_pipeline_are_two_dags(declare):
    """Each schedule has a DAG of its own, and an id that is the same in every reading."""
    lines = (
        'nightly_one = Schedule.create(workspace, name="nightly", **more)',
        'hourly = Schedule.create(workspace, name="hourly", pipeline_id=pipeline,'
        ' experiment_name="hours", recurrence=ScheduleRecurrence("Hour", 1))',
        "assert hourly.pipeline_id == 'sales.hourly'",
        "known = Schedule.list(workspace)",
        "assert [each.name for each in known] == ['nightly', 'hourly']",
        "assert Schedule.get(workspace, hourly.id).name == 'hourly'",
        "(same,) = Schedule.get_schedules_for_pipeline_id(workspace, 'sales.hourly')",
        "assert same.id == hourly.id",
        "assert hourly.get_pipeline_runs() == [] and hourly.get_last_pipeline_run() is None",
    )
    first, second = declare(*lines), declare(*lines)
    ids = [
        {name: dag.task_dict["reuse"].scheduled.id for name, dag in parsed.dags.items()}
        for parsed in (first, second)
    ]

    assert first.errors == {}
    assert set(first.dags) == {"sales.nightly", "sales.hourly"}
    assert ids[0] == ids[1]
    assert first.dags["sales.hourly"].timetable.summary == "Every hour"


def test_a_schedule_that_is_changed_below(declare):
    """update, disable and enable in the file are part of what it declares."""
    parsed = declare(
        'schedule = Schedule.create(workspace, name="nightly", **more)',
        'schedule.update(name="weekly", recurrence=ScheduleRecurrence("Week", 2),'
        ' pipeline_parameters={"count": "3"}, continue_on_step_failure=True)',
    )
    (dag,) = parsed.dags.values()
    off = declare(
        'schedule = Schedule.create(workspace, name="nightly", **more)',
        "schedule.disable()",
        "assert schedule.status == 'Disabled' and Schedule.list(workspace) == []",
    )

    assert dag.timetable.summary == "Every 2 weeks"
    assert dag.task_dict["reuse"].scheduled.parameters == {"count": 3}
    assert off.errors == {}
    assert next(iter(off.dags.values())).timetable.can_be_scheduled is False


def test_a_schedule_from_a_yaml_file(declare, write):
    """v1's sample file gives what Schedule.create takes."""
    write(
        "weekly.yaml",
        """\
        Schedule:
            description: "Test create with recurrence"
            recurrence:
                frequency: Week # Can be "Minute", "Hour", "Day", "Week", or "Month".
                interval: 1 # how often fires
                start_time: 2019-06-07T10:50:00
                time_zone: UTC
                hours: null
                minutes: null
                time_of_day: 18:30
                week_days:
                - Friday
            pipeline_parameters: {'count': 1}
            wait_for_provisioning: True
            wait_timeout: 3600
            datastore_name: ~
            polling_interval: ~
            data_path_parameter_name: ~
            continue_on_step_failure: None
            path_on_datastore: ~
        """,
    )
    parsed = declare(
        'told = Schedule.load_yaml(workspace, "weekly.yaml")',
        'more["recurrence"] = told["recurrence"]',
        'Schedule.create(workspace, name="weekly", description=told["description"],'
        ' pipeline_parameters=told["pipeline_parameters"],'
        ' continue_on_step_failure=told["continue_on_step_failure"], **more)',
    )

    assert parsed.errors == {}
    (dag,) = parsed.dags.values()
    assert dag.timetable.summary == "Every week on Friday at 18:30 after 2019-06-07 10:50 (UTC)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Plan: {}", 'Schedule Yaml file must have a "Schedule:" section'),
        ("Schedule: {recurrence: {frequency: Day, interval: 1}}", "has no start_time, time_zone"),
        ("Schedule: {recurence: 1}", "does not know recurence"),
        ("Schedule: {", "weekly.yaml is no YAML"),
    ],
)
def test_a_yaml_file_that_is_wrong(declare, write, text, message):
    """A file that is no schedule is one error that names it."""
    write("weekly.yaml", text)
    (error,) = declare('Schedule.load_yaml(workspace, "weekly.yaml")').errors.values()

    assert message in error
    assert "weekly.yaml" in error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            'create(workspace, "n", "8c2f", "e", nightly)',
            "this file has published no pipeline of that id",
        ),
        ('create(workspace, "n", 5, "e", nightly)', "pipeline_id= is no pipeline: 5"),
        ('create(workspace, "n", pipeline, "e")', "recurrence= is a ScheduleRecurrence, not None"),
        ('create(workspace, "n", pipeline, "e", "daily")', "is a ScheduleRecurrence, not 'daily'"),
        ('create(workspace, "", **more)', "a schedule's name is a text, not ''"),
        ('create(workspace, "n", pipeline, "-", nightly)', "Experiment name must be between"),
        ('create(workspace, "n", datastore="s", **more)', "both a Recurrence and a Datastore"),
        (
            'create(workspace, "n", path_on_datastore="a", **more)',
            "Path on datastore parameter can only be specified for Datastore schedules",
        ),
        (
            'create(workspace, "n", data_path_parameter_name="a", **more)',
            "Data Path parameter name can only be specified for Datastore schedules",
        ),
        (
            'create(workspace, "n", pipeline_parameters={"days": 1}, **more)',
            "Pipeline parameter with name days does not exist This pipeline has count, day",
        ),
        (
            'create(workspace, "n", pipeline_parameters={"count": "x"}, **more)',
            "Expected type of the pipeline parameter count is int",
        ),
        (
            'create(workspace, "n", pipeline_parameters={"day": "@tomorrow(1)"}, **more)',
            "there is no tomorrow()",
        ),
        ('create(workspace, "n", **more).update(status="Off")', "Status must be either Active or"),
        (
            'create(workspace, "n", **more).update(datastore="s")',
            "Can not specify a Datastore for a Recurrence schedule",
        ),
        ('create(workspace, "n", per_file=True, **more)', "per_file can only be specified for"),
        ('create(workspace, "n", quiet_seconds=1, **more)', "quiet_seconds can only be specified"),
        ('get(workspace, "8c2f")', "the workspace has no schedule '8c2f'"),
    ],
)
def test_what_a_file_cannot_declare(declare, call, message):
    """What is wrong with a schedule is the file's import error, with its line."""
    (error,) = declare(f"Schedule.{call}").errors.values()

    assert message.replace("exist This", "exist. This") in error
    assert "sales.py:13" in error


def test_a_bad_recurrence_is_the_files_error(declare):
    """Hour 25 and interval 0 are told where the schedule is made, whichever way it is made."""
    hour = 'ScheduleRecurrence("Day", 1, hours=[25])'
    (by_schedule,) = declare(
        f'Schedule.create(workspace, "n", pipeline, "e", {hour})'
    ).errors.values()
    (by_dag,) = declare(f"dag = pipeline.to_dag(schedule={hour})").errors.values()

    assert "Hours must be between 0 and 23" in by_schedule
    assert "Hours must be between 0 and 23" in by_dag


@pytest.mark.parametrize("turned", [False, True])
def test_to_dag_and_a_schedule_are_one_too_many(declare, turned):
    """A pipeline whose DAG the author makes has that DAG's schedule, and none beside it."""
    lines = ["dag = pipeline.to_dag()", 'Schedule.create(workspace, "nightly", **more)']
    (error,) = declare(*(reversed(lines) if turned else lines)).errors.values()

    assert "this pipeline has a DAG by to_dag and a schedule by Schedule.create" in error


def test_the_workspace_knows_a_schedule_from_its_first_run_on(declare, run_dag, workspace):
    """A run of the DAG keeps the schedule in the workspace, where other programs find it."""
    (dag,) = declare(
        'Schedule.create(workspace, "nightly", description="All sales.", **more)'
    ).dags.values()
    assert Schedule.list(Workspace()) == []

    assert run_dag(dag).state == "success"

    (schedule,) = Schedule.list(Workspace())
    assert Schedule.get(Workspace(), schedule.id).name == "nightly"
    assert (schedule.status, schedule.pipeline_id) == ("Active", "sales")
    assert (schedule.description, schedule.datastore_name) == ("All sales.", None)
    assert schedule.recurrence.spec == dag.timetable.recurrence
    assert Schedule.list(Workspace(), pipeline_id="other") == []
    assert schedule.get_pipeline_runs() == []  # that run was begun by hand
    assert schedule.get_last_pipeline_run() is None
    with pytest.raises(NotServedError, match=r"Schedule\.update changes nothing but the status"):
        schedule.update(recurrence=ScheduleRecurrence("Day", 2))
    with pytest.raises(UserErrorException, match="Set AIRFLOW_AML_API_URL"):
        schedule.disable()


def test_airflow_asks_the_timetable():
    """Start and end of the DAG bound the timetable; a run by hand is of its moment."""
    timetable = RecurrenceTimetable(ScheduleRecurrence("Hour", 1, "2020-01-01T00:30:00").spec)
    now = pendulum.now("UTC")
    free = TimeRestriction(None, None, catchup=False)

    info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=free)
    assert info is not None
    assert (info.run_after.minute, info.run_after.second) == (30, 0)
    assert now.subtract(minutes=5) < info.run_after <= now.add(hours=1)
    before = DataInterval.exact(info.run_after.subtract(hours=1))
    next_one = timetable.next_dagrun_info(last_automated_data_interval=before, restriction=free)
    assert next_one == info
    later = TimeRestriction(now.add(days=1), None, catchup=False)
    begun = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=later)
    assert begun is not None
    assert now.add(days=1) <= begun.run_after <= now.add(days=1, hours=1)
    over = TimeRestriction(None, now.subtract(days=1), catchup=False)
    assert timetable.next_dagrun_info(last_automated_data_interval=None, restriction=over) is None
    assert timetable.infer_manual_data_interval(run_after=now) == DataInterval.exact(now)

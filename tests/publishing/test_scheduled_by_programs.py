"""A program that runs by itself schedules what it has published: the workspace keeps that, and an
AmlDagBundle makes a DAG of it."""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_aml import (
    PipelineEndpoint,
    PublishedPipeline,
    Schedule,
    ScheduleRecurrence,
    Workspace,
)
from airflow_aml.airflow.published import refresh
from airflow_aml.airflow.timetable import RecurrenceTimetable
from airflow_aml.errors import (
    ErrorResponseException,
    PipelineDefinitionError,
    UserErrorException,
    WorkspaceException,
)
from tests.serving import serving

NIGHTLY = ScheduleRecurrence("Day", 1, hours=[2], minutes=[30])


@pytest.fixture
def mirrored(tmp_path, workspace, parse):
    """Brings the dags folder up to date with the workspace, and parses it."""

    def bring():
        changed = refresh(workspace, tmp_path / "dags" / "published")
        return changed, parse()

    return bring


@pytest.fixture
def schedule(pipeline):
    """A schedule, as a v1 program makes it."""
    with pytest.warns(UserWarning, match="no Airflow is known here. One whose AmlDagBundle reads"):
        return Schedule.create(
            Workspace(),
            name="Every night",
            pipeline_id=pipeline.publish("Train", "Trains nightly").id,
            experiment_name="nights",
            recurrence=NIGHTLY,
            description="All of it.",
            pipeline_parameters={"rate": "0.5"},
        )


def test_a_scheduled_pipeline_is_a_dag_that_runs_without_its_files(
    schedule, mirrored, run_dag, tmp_path
):
    """Its timetable is the recurrence, its experiment the schedule's, its sources the published."""
    shutil.rmtree(tmp_path / "dags")

    _, parsed = mirrored()
    assert parsed.errors == {}
    dag = parsed.dags[schedule.dag_id]
    ran = run_dag(dag)

    assert isinstance(dag.timetable, RecurrenceTimetable)
    assert dag.timetable.recurrence == NIGHTLY.spec
    assert schedule.dag_id == f"Every_night-{schedule.id[:8]}"
    assert (dag.dag_display_name, dag.description) == ("Every night", "All of it.")
    assert dag.is_paused_upon_creation is False
    assert any("nights" in tag for tag in dag.tags)
    assert ran.states == {"reuse": "success", "train": "success"}
    assert (ran.output("train", "out") / "rate.txt").read_text() == "0.1"  # begun by hand
    assert dag.task_dict["reuse"].scheduled.parameters == {"rate": 0.5}
    assert [each.id for each in Schedule.list(Workspace())] == [schedule.id]


def test_any_program_finds_and_changes_it(schedule, mirrored):
    """By its id and its pipeline's; what is changed is another DAG at the next look."""
    found = Schedule.get(Workspace(), schedule.id)
    (of_pipeline,) = Schedule.get_schedules_for_pipeline_id(Workspace(), schedule.pipeline_id)
    assert (found.name, found.status, of_pipeline.id) == ("Every night", "Active", schedule.id)
    assert found.get_pipeline_runs() == []
    changed, _ = mirrored()
    assert f"schedules/{schedule.id}.py" in changed
    assert mirrored()[0] == []

    found.disable()
    changed, parsed = mirrored()
    assert changed == [f"schedules/{schedule.id}.py"]
    assert parsed.dags[schedule.dag_id].schedule is None
    assert Schedule.list(Workspace()) == []
    assert Schedule.get(Workspace(), schedule.id).status == "Disabled"

    hourly = ScheduleRecurrence("Hour", 1)
    found.update(status="Active", recurrence=hourly, pipeline_parameters={"rate": "2"})
    dag = mirrored()[1].dags[schedule.dag_id]
    assert dag.timetable.recurrence == hourly.spec
    assert dag.task_dict["reuse"].scheduled.parameters == {"rate": 2.0}


def test_each_create_makes_another(pipeline, mirrored):
    """As in v1, also of one name; of changes at the same time none is half there."""
    made = pipeline.publish("p")
    with pytest.warns(UserWarning, match="no Airflow is known"):
        first, second = (
            Schedule.create(Workspace(), "same", made.id, "e", NIGHTLY) for _ in range(2)
        )
    assert {first.dag_id, second.dag_id} <= set(mirrored()[1].dags)

    with ThreadPoolExecutor(8) as pool:
        texts = [f"text {number}" for number in range(16)]
        list(pool.map(lambda text: first.update(description=text), texts))
    assert Schedule.get(Workspace(), first.id).description in texts
    assert Schedule.get(Workspace(), second.id).description == ""


def test_what_cannot_be_scheduled_is_told(pipeline):
    """An unknown pipeline, one that is not published or is disabled, an unknown parameter, no
    recurrence, an unknown datastore."""
    published = pipeline.publish("p").id

    def create(pipeline_id, recurrence=NIGHTLY, **more):
        return Schedule.create(Workspace(), "s", pipeline_id, "e", recurrence, **more)

    with pytest.raises(UserErrorException, match="there is no published pipeline with the id 'x'"):
        create("x")
    with pytest.raises(PipelineDefinitionError, match="A program gives pipeline"):
        create(pipeline)
    with pytest.raises(PipelineDefinitionError, match="parameter with name x does not exist"):
        create(published, pipeline_parameters={"x": 1})
    with pytest.raises(PipelineDefinitionError, match="recurrence= is a ScheduleRecurrence"):
        create(published, recurrence=None)
    with pytest.raises(UserErrorException, match="there is no datastore 'lake' in the workspace"):
        create(published, recurrence=None, datastore="lake")
    with pytest.raises(PipelineDefinitionError, match="a schedule's name has a NUL"):
        Schedule.create(Workspace(), "a\0b", published, "e", NIGHTLY)
    PublishedPipeline.get(Workspace(), published).disable()
    with pytest.raises(UserErrorException, match=r"'p' \(.*\) is disabled, so that no run"):
        create(published)
    assert Schedule.list(Workspace()) == []


def test_a_damaged_one_is_one_import_error(schedule, mirrored, workspace):
    """Its neighbours are DAGs all the same; a program that lists schedules is told, too."""
    folder = workspace.root / "registry" / "scheduled"
    other = schedule.id.translate(str.maketrans("0123456789", "1234567890"))
    (folder / f"{other}.1.json").write_text("[]")
    (folder / f"{other}.2.json").write_text('{"scheduled": 2}')

    _, parsed = mirrored()

    assert schedule.dag_id in parsed.dags
    (error,) = parsed.errors.values()
    assert "this document was written by a later release" in error
    with pytest.raises(WorkspaceException, match="later release"):
        Schedule.list(Workspace())
    (folder / f"{other}.3.json").write_text("[]")
    assert "this document is damaged" in str(mirrored()[1].errors)


def test_a_schedule_whose_pipeline_is_gone_says_so(schedule, mirrored, workspace):
    """Somebody has removed the pipeline's document."""
    (workspace.root / "registry" / "published" / f"{schedule.pipeline_id}.json").unlink()

    (error,) = mirrored()[1].errors.values()

    assert f"the published pipeline {schedule.pipeline_id} of schedule 'Every night'" in error


def test_while_its_pipeline_is_disabled_no_time_comes(schedule, mirrored):
    """Airflow keeps the DAG, without times; when the pipeline is enabled again they are back."""
    made = PublishedPipeline.get(Workspace(), schedule.pipeline_id)
    assert mirrored()[1].dags[schedule.dag_id].timetable.recurrence == NIGHTLY.spec

    made.disable()
    assert mirrored()[1].dags[schedule.dag_id].schedule is None

    made.enable()
    assert mirrored()[1].dags[schedule.dag_id].timetable.recurrence == NIGHTLY.spec


def test_a_published_pipeline_may_watch_a_folder(pipeline, mirrored, workspace):
    """With a datastore in place of the recurrence the DAG waits for that folder's files."""
    made = pipeline.publish("p")
    with pytest.warns(UserWarning, match="no Airflow is known"):
        schedule = Schedule.create(
            Workspace(),
            "landed",
            made.id,
            "e",
            datastore="workspaceblobstore",
            path_on_datastore="landing",
        )

    (asset,) = mirrored()[1].dags[schedule.dag_id].timetable.asset_condition.objects

    assert "/datastores/workspaceblobstore/landing" in asset.uri


def test_an_endpoint_is_scheduled_by_a_program(pipeline, mirrored):
    """By its name or id; its DAG submits, and any program changes it as other schedules."""
    ws, create = Workspace(), Schedule.create_for_pipeline_endpoint
    endpoint = PipelineEndpoint.publish(ws, "scoring", "", pipeline)
    store = ws.get_default_datastore()
    with pytest.warns(UserWarning, match="no Airflow is known here"):
        made = create(ws, "Every night", "scoring", "nights", NIGHTLY, "All.", {"rate": "0.5"})
    with pytest.warns(UserWarning, match="no Airflow is known here"):
        landed = create(ws, "landed", endpoint.id, "e", datastore=store, path_on_datastore="in")

    parsed = mirrored()[1]
    dag = parsed.dags[made.dag_id]
    assert parsed.errors == {}
    assert dag.task_ids == ["submit"]
    assert dag.timetable.recurrence == NIGHTLY.spec
    assert (dag.dag_display_name, dag.description) == ("Every night", "All.")
    assert dag.is_paused_upon_creation is False
    assert parsed.dags[landed.dag_id].timetable.asset_condition

    found, _ = Schedule.get_schedules_for_pipeline_endpoint_id(ws, endpoint.id)
    assert (found.id, found.status, found.get_pipeline_runs()) == (made.id, "Active", [])
    hourly = ScheduleRecurrence("Hour", 1)
    found.update(recurrence=hourly, pipeline_parameters={"rate": 1})
    dag = mirrored()[1].dags[made.dag_id]
    assert dag.timetable.recurrence == hourly.spec
    assert dag.task_dict["submit"].scheduled.parameters == {"rate": 1}
    found.disable()
    assert mirrored()[1].dags[made.dag_id].schedule is None
    assert [each.id for each in Schedule.list(ws)] == [landed.id]
    with pytest.raises(ErrorResponseException, match="no pipeline endpoint named 'other'"):
        create(ws, "s", "other", "e", NIGHTLY)


@pytest.fixture
def airflow(monkeypatch):
    """A server that has no DAG at first, as an Airflow that has not read the workspace yet."""
    answers = []

    with serving(lambda *_: answers.pop(0) if answers else (404, b"{}")) as url:
        monkeypatch.setenv("AIRFLOW_AML_API_URL", url)
        monkeypatch.setenv("AIRFLOW_AML_API_TOKEN", "token")
        yield answers


def test_a_program_waits_until_airflow_has_its_schedule(pipeline, airflow):
    """wait_for_provisioning= goes on when the DAG is there; that it is not there is a warning."""
    made = pipeline.publish("p").id

    def create(seconds):
        return Schedule.create(
            Workspace(), "s", made, "e", NIGHTLY, wait_for_provisioning=True, wait_timeout=seconds
        )

    airflow += [(404, b"{}"), (200, b'{"is_paused": false}')]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = create(30)
    with pytest.warns(UserWarning, match=r"after 0.1 s Airflow has no DAG 's-.*Does its AmlDagBu"):
        second = create(0.1)

    assert airflow == []
    assert {each.id for each in Schedule.list(Workspace(), active_only=False)} == {
        first.id,
        second.id,
    }


@pytest.mark.parametrize("name", ["a/b", "../x", "<script>alert(1)</script>", "'; DROP TABLE dag"])
def test_names_are_free_texts(pipeline, mirrored, name):
    """Slashes, HTML and SQL in names of schedules and endpoints are kept, and lead nowhere else."""
    ws = Workspace()
    endpoint = PipelineEndpoint.publish(ws, name, name, pipeline)
    with pytest.warns(UserWarning, match="no Airflow is known here"):
        made = Schedule.create_for_pipeline_endpoint(ws, name, name, "e", NIGHTLY)

    changed, parsed = mirrored()

    assert parsed.errors == {}
    assert parsed.dags[made.dag_id].dag_display_name == name
    assert not set(made.dag_id) & set("/<>'; .")
    assert f"schedules/{made.id}.py" in changed
    assert PipelineEndpoint.get(ws, name=name).id == endpoint.id
    assert Schedule.get(ws, made.id).name == name

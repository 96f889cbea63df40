"""Schedules of endpoints: each run submits the version that is the default one at that time."""

from __future__ import annotations

import json

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from airflow_aml import PipelineEndpoint, Workspace
from airflow_aml.airflow.submitting import default_version
from airflow_aml.cli import main
from airflow_aml.errors import UserErrorException
from tests.publishing.conftest import pipeline  # noqa: F401 - a fixture

FILE = """\
    # Airflow lists this file's schedules of Pipelines as DAGs.
    from airflow_aml import *

    workspace = Workspace()
    hourly = ScheduleRecurrence("Hour", 1)
    create = Schedule.create_for_pipeline_endpoint
"""


@pytest.fixture
def declare(write, parse):
    """What Airflow makes of a file that goes on with these lines."""

    def parsed(*lines):
        write("scoring.py", FILE + "".join(f"    {line}\n" for line in lines))
        return parse()

    return parsed


def test_a_schedule_of_an_endpoint_is_a_dag(declare) -> None:
    """It has one task, the schedule, and the experiment's tag; the file needs no pipeline."""
    parsed = declare(
        'schedule = create(workspace, "hourly", "8c2f", "scores", hourly, "Scores all.",'
        ' {"rate": "0.5", "day": "@utcNow()"})',
        "assert schedule.pipeline_endpoint_id == '8c2f'",
        "assert Schedule.list(workspace, pipeline_endpoint_id='8c2f')[0].id == schedule.id",
        "assert Schedule.list(workspace, pipeline_endpoint_id='other') == []",
        "(same,) = Schedule.get_schedules_for_pipeline_endpoint_id(workspace, '8c2f')",
        "assert same.pipeline_id == 'scoring'",
    )
    (dag,) = parsed.dags.values()
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))

    assert parsed.errors == {}
    assert (dag.dag_id, dag.description) == ("scoring", "Scores all.")
    assert dag.task_ids == ["submit"]
    assert stored.timetable.summary == "Every hour"
    assert dag.tags == {"azureml-v1", "experiment:scores"}


def test_several_schedules_of_endpoints_are_several_dags(declare) -> None:
    """One may go by time and another by data; they are changed and disabled like others."""
    parsed = declare(
        'create(workspace, "hourly", "8c2f", "scores", hourly)',
        'landed = create(workspace, "landed", "8c2f", "scores", datastore="lake",'
        ' path_on_datastore="in", data_path_parameter_name="path")',
        "landed.update(polling_interval=1, pipeline_parameters={'rate': 1})",
        'create(workspace, "off", "8c2f", "scores", hourly).disable()',
    )
    landed = DagSerialization.from_dict(DagSerialization.to_dict(parsed.dags["scoring.landed"]))
    ((_, asset),) = list(landed.timetable.asset_condition.iter_assets())

    assert parsed.errors == {}
    assert set(parsed.dags) == {"scoring.hourly", "scoring.landed", "scoring.off"}
    assert asset.uri == "aml://default/datastores/lake/in?every=60.0&quiet=2.0"
    assert parsed.dags["scoring.off"].timetable.can_be_scheduled is False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('"n", "", "e", hourly', "a schedule's pipeline_endpoint_id is a text, not ''"),
        ('"n", 5, "e", hourly', "a schedule's pipeline_endpoint_id is a text, not 5"),
        ('"", "8c2f", "e", hourly', "a schedule's name is a text, not ''"),
        ('"n", "8c2f", "-", hourly', "Experiment name must be between"),
        ('"n", "8c2f", "e"', "recurrence= is a ScheduleRecurrence, not None"),
        ('"n", "8c2f", "e", hourly, datastore="lake"', "both a Recurrence and a Datastore"),
        ('"n", "8c2f", "e", hourly, "", {"a": "@tomorrow(1)"}', "there is no tomorrow()"),
        ('"n", "8c2f", "e", hourly, "", 5', "pipeline_parameters= takes a dict, not 5"),
    ],
)
def test_what_a_file_cannot_declare(declare, call, message) -> None:
    """What is wrong with it is the file's import error."""
    (error,) = declare(f"create(workspace, {call})").errors.values()

    assert message in error


def test_the_terminal_shows_it(write, capsys) -> None:
    """`schedule show` lists schedules of endpoints with their times."""
    path = write("scoring.py", FILE + '    create(workspace, "hourly", "8c2f", "e", hourly)\n')

    assert main(["schedule", "show", str(path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["schedules"]
    assert (row["name"], row["dag_id"], row["recurrence"]) == ("hourly", "scoring", "Every hour")


def test_the_default_version_of_that_time(workspace, pipeline) -> None:  # noqa: F811
    """An endpoint is found by id or name; what is disabled is refused by name."""
    first, second = pipeline.publish("first"), pipeline.publish("second")
    endpoint = PipelineEndpoint.publish(Workspace(), "scoring", "", first)
    assert default_version(workspace, endpoint.id)[1].id == first.id
    endpoint.add_default(second)

    assert default_version(workspace, "scoring")[0] == "1"
    assert default_version(workspace, endpoint.id)[1].id == second.id
    second.disable()
    with pytest.raises(UserErrorException, match="is disabled, so that no run of it begins"):
        default_version(workspace, "scoring")
    endpoint.disable()
    with pytest.raises(UserErrorException, match="Status must be Active"):
        default_version(workspace, "scoring")
    with pytest.raises(UserErrorException, match="there is no pipeline endpoint named 'other'"):
        default_version(workspace, "other")

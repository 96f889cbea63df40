"""Over REST a run is told which data to read, in v1's documents."""

from __future__ import annotations

import pytest

from airflow_aml import Dataset, Workspace


@pytest.fixture
def made(reading):
    """The published pipeline."""
    return reading


@pytest.fixture
def post(made, call):
    """Submits with these assignments."""

    def send(**body):
        return call("POST", made.endpoint, json={"ExperimentName": "e", **body})

    return send


def conf(made, call, run_id):
    """What Airflow's run was given."""
    runs = call("GET", f"/api/v2/dags/{made.dag_id}/dagRuns").json()["dag_runs"]
    from airflow_aml.definition.homes import home_of
    from airflow_aml.workspace.layout import pipeline_run_id

    uuid = home_of(Workspace()).uuid
    (run,) = [
        run for run in runs if pipeline_run_id(uuid, made.dag_id, run["dag_run_id"]) == run_id
    ]
    return {key: value for key, value in run["conf"].items() if key != "_aml"}


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"DataSetReference": {"Name": "sales", "Version": 1}}, "sales:1"),
        ({"DataSetReference": {"Name": "sales"}}, "sales:latest"),
        (
            {"LiteralValue": {"DataStoreName": "workspaceblobstore", "RelativePath": "sold1"}},
            "azureml://datastores/workspaceblobstore/paths/sold1",
        ),
    ],
)
def test_data_is_assigned_in_v1s_documents(made, call, post, reference, text):
    """A path by datastore and path, a dataset by name and version or place; both are echoed."""
    path = {"DataStoreName": "workspaceblobstore", "RelativePath": "sold2"}

    answer = post(
        DataPathAssignments={"raw": path}, DataSetDefinitionValueAssignments={"sales": reference}
    )

    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert (run["DataPathAssignments"], run["Warnings"]) == ({"raw": path}, [])
    assert run["DataSetDefinitionValueAssignments"] == {"sales": reference}
    assert conf(made, call, run["Id"]) == {"raw": "workspaceblobstore/sold2", "sales": text}


def test_a_saved_dataset_is_assigned_by_its_id(made, call, post):
    """As v1's own client sends it; as a text it does as well."""
    saved = Dataset.get_by_name(Workspace(), "sales", 1).id

    run = post(
        DataSetDefinitionValueAssignments={"sales": {"SavedDataSetReference": {"Id": saved}}}
    ).json()
    text = post(ParameterAssignments={"sales": saved, "raw": "/sold1"}).json()

    assert conf(made, call, run["Id"]) == {"sales": saved}
    assert conf(made, call, text["Id"]) == {"sales": saved, "raw": "/sold1"}


def test_data_that_cannot_be_is_told_at_once(post):
    """All problems in one answer; what is not there is one, too."""
    answer = post(
        DataPathAssignments={"raw": "x"},
        DataSetDefinitionValueAssignments={"sales": {"SavedDataSetReference": 3}},
    )
    absent = post(
        DataPathAssignments={"raw": {"DataStoreName": "lake", "RelativePath": "a"}},
        DataSetDefinitionValueAssignments={"sales": {"DataSetReference": {"Name": "none"}}},
    )

    assert (answer.status_code, absent.status_code) == (400, 400)
    assert len(answer.json()["Error"]["Details"]) == 2
    said = [each["Message"] for each in absent.json()["Error"]["Details"]]
    assert ["lake" in said[0], "none" in said[1]] == [True, True]


def test_an_assignment_of_another_kind_is_ignored_with_a_warning(post):
    """A path for a dataset parameter is none of this pipeline's, as v1 takes it."""
    answer = post(DataPathAssignments={"sales": {"DataStoreName": "x", "RelativePath": "y"}})

    assert answer.status_code == 200
    assert answer.json()["Warnings"] == [
        "DataPathAssignments: 'sales' is not known to this pipeline, and ignored."
    ]

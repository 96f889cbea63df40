"""Run.get_context() in a script, and data read by scripts as steps run them."""

from __future__ import annotations

import pytest

from airflow_aml import Dataset, Run
from airflow_aml.errors import NotServedError, RunEnvironmentException


@pytest.fixture
def in_a_run(ws, monkeypatch):
    """The environment that a step's script has."""
    values = {
        "AZUREML_RUN_ID": "the-run",
        "AZUREML_ARM_WORKSPACE_NAME": "default",
        "AZUREML_ARM_PROJECT_NAME": "my.dag_id",
    }

    def enter(**more):
        for name, value in {**values, **more}.items():
            monkeypatch.setenv(name, value)
        return Run.get_context()

    return enter


def test_a_script_learns_its_run_and_workspace(in_a_run, workspace):
    """run.id, run.experiment.workspace: half of all scripts ask for them."""
    run = in_a_run()

    assert run.id == "the-run"
    assert run.experiment.name == "my.dag_id"
    assert run.experiment.workspace.name == "default"
    assert run.experiment.workspace.get_default_datastore().name == "workspaceblobstore"
    assert run.get_status() == "Running"


def test_inputs_are_paths_or_datasets(in_a_run, ws, store, put):
    """Mounted and downloaded ones as paths, direct ones as datasets."""
    from airflow_aml.definition.registered import pin
    from airflow_aml.workspace.home import open_home

    put("iris.csv", "a\n1\n2\n")
    table = Dataset.Tabular.from_delimited_files((store, "iris.csv"))
    home = open_home(str(put("x").parents[2]))
    pinned = pin(table.source, home, "/")

    run = in_a_run(
        AZUREML_DATASET_ENVIRONMENT_VARS="iris_data:direct,files:mount",
        AZURE_ML_INPUT_iris_data=pinned.id,
        AZURE_ML_INPUT_files="/mounted/here",
    )

    assert run.input_datasets["files"] == "/mounted/here"
    iris_dataset = run.input_datasets["iris_data"]
    assert iris_dataset.to_pandas_dataframe()["a"].tolist() == [1, 2]
    assert list(run.input_datasets) == ["iris_data", "files"]
    with pytest.raises(KeyError, match="no input 'gone'; it has 'iris_data', 'files'"):
        run.input_datasets["gone"]
    assert Dataset.get_by_id(run.experiment.workspace, pinned.id).id == pinned.id


def test_outputs_are_paths(in_a_run):
    """run.output_datasets[name] is the folder to write."""
    run = in_a_run(
        AZUREML_DATASET_FILE_OUTPUTS="a;b", AZURE_ML_OUTPUT_a="/x", AZURE_ML_OUTPUT_b="/y"
    )

    assert dict(run.output_datasets) == {"a": "/x", "b": "/y"}
    with pytest.raises(KeyError, match="no output"):
        run.output_datasets["c"]


def test_outside_a_run_there_is_an_offline_one(ws, capsys):
    """v1's _OfflineRun: it prints what it would log, and has no workspace."""
    run = Run.get_context()

    run.log("accuracy", 0.9)
    run.upload_file("model.pkl", "here.pkl")

    assert run.id.startswith("OfflineRun_")
    printed = capsys.readouterr().out
    assert "Attempted to log scalar metric accuracy:\n0.9" in printed
    assert "Attempted to track file model.pkl at here.pkl" in printed
    with pytest.raises(AttributeError):
        run.experiment  # noqa: B018
    with pytest.raises(RunEnvironmentException):
        Run.get_context(allow_offline=False)


def test_what_comes_later_says_so(in_a_run):
    """What belongs to a later release is said by name."""
    with pytest.raises(NotServedError, match=r"Run.take_snapshot is not served: a step's source"):
        in_a_run().take_snapshot("a")

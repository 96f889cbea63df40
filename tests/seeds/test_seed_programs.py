"""The documents that define the product: their samples run, only the imports are changed.

Left out of seeds 001 to 003, as they belong to later issues: setting up and attaching computes
(AmlCompute, Databricks, Data Lake Analytics) and DatabricksStep, for which a name stands here;
published pipelines, their REST calls and endpoints; schedules.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml import Dataset, Datastore
from airflow_aml.workspace import datasets

SEEDS = Path(__file__).parent


@pytest.fixture
def seed(tmp_path, parse, run_dag):
    """Drops a seed's folder into the dags folder, as an author would, and runs its DAG."""

    def drop(name, conf=None):
        shutil.copytree(SEEDS / name, tmp_path / "dags" / f"seed_{name}")
        parsed = parse()
        assert parsed.errors == {}
        (dag,) = parsed.dags.values()
        assert dag.dag_id == f"seed_{name}_pipeline"
        return dag, run_dag(dag, conf)

    return drop


def test_seed_000_prepares_and_trains(seed):
    """Two steps without data between them: both run, in no order."""
    dag, ran = seed("000")

    assert ran.states == {"reuse": "success", "prepare_data": "success", "train_model": "success"}
    assert dag.task_dict["train_model"].task_display_name == "train model"


def test_seed_001_trains_on_a_file(seed):
    """A raw dataset in inputs beside its named form in arguments, and a PipelineData output."""
    _, ran = seed("001")

    assert ran.state == "success"
    assert (ran.output("train", "output_data") / "model.txt").read_text() == "4 words"


def test_seed_002_prepares_trains_and_compares(seed, capfd, workspace):
    """OutputFileDatasetConfig in all its forms of the guide, a parameter, target=."""
    _, ran = seed("002", {"pipeline_arg": "chosen"})

    assert ran.state == "success"
    results = (ran.output("train", "training_results") / "results.txt").read_text()
    assert results == "one.txt.prepared,two.txt.prepared"
    assert "compared one.txt.prepared,two.txt.prepared with chosen" in "".join(capfd.readouterr())
    assert datasets.versions(workspace, "prepared_output_data") == [1]
    place = ran.output("prepare", "output_1")
    assert place.parent == workspace.root / "datastores" / "workspaceblobstore" / "outputdataset"


def test_seed_002_reads_a_table_in_a_script(seed, capfd):
    """input_datasets of a direct input, hash_paths, target=, regenerate_outputs=False."""
    _, ran = seed("002_more", {"pipeline_arg": "given"})

    assert ran.state == "success"
    said = "".join(capfd.readouterr())
    assert "irises: ['setosa', 'virginica'] in workspace default" in said
    assert "trained with given" in said


def test_seed_003_uploads_trains_and_compares(seed, capfd, workspace):
    """upload_files, one input both in inputs and downloaded in arguments, PipelineData."""
    _, ran = seed("003", {"pipeline_arg": 20})

    assert ran.state == "success"
    assert (workspace.root / "datastores/workspaceblobstore/train-dataset/iris.csv").is_file()
    assert (ran.output("train", "output_data1") / "rows.txt").read_text() == "2"
    compared = (ran.output("compare", "out_data3") / "compared.txt").read_text()
    assert compared == "2 of 2 rows, limit 20"
    assert "irises: ['setosa', 'virginica']" in "".join(capfd.readouterr())


def test_a_workspace_may_be_given_as_its_name(seed, workspace):
    """The guides give `workspace="ws"` where an object is meant; the data calls take both."""
    seed("002")

    found = Dataset.get_by_name("ws", "prepared_output_data")
    assert found.version == 1
    assert sorted(found.to_path()) == ["/one.txt.prepared", "/two.txt.prepared"]
    assert [each.name for each in Dataset.get_all(workspace="ws").values()] == [found.name]
    assert Datastore.get("ws", "workspaceblobstore").name == "workspaceblobstore"


def test_a_seed_runs_as_a_program_too(tmp_path, workspace):
    """`python pipeline.py` submits for real, waits, and prints the run's log."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(SEEDS / "001", folder)

    done = subprocess.run(
        [sys.executable, str(folder / "pipeline.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert "PipelineRunId:" in done.stdout
    assert "Finished  train.py" in done.stdout
    (model,) = workspace.root.glob("data/*/output_data/model.txt")
    assert model.read_text() == "4 words"

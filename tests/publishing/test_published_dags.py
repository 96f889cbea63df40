"""Published pipelines in Airflow: a folder of small files, brought up to date by what changed."""

from __future__ import annotations

import shutil
import time
from uuid import uuid4

import pytest

from airflow_aml import PublishedPipeline, Workspace
from airflow_aml.airflow.published import refresh


@pytest.fixture
def mirrored(tmp_path, workspace, parse):
    """Brings the dags folder up to date with the workspace, and parses it."""

    def bring():
        folder = tmp_path / "dags" / "published"
        changed = refresh(workspace, folder)
        parsed = parse()
        return changed, parsed

    return bring


def test_a_published_pipeline_runs_in_airflow_without_its_files(
    pipeline, mirrored, run_dag, tmp_path
):
    """The DAG has the published parameters and scripts, though the program's folder is gone."""
    made = pipeline.publish("Train", "Trains nightly", "3")
    shutil.rmtree(tmp_path / "dags")

    _, parsed = mirrored()
    assert parsed.errors == {}
    dag = parsed.dags[made.dag_id]
    ran = run_dag(dag, {"rate": 0.5})

    assert (dag.dag_display_name, dag.description) == ("Train (version 3)", "Trains nightly")
    assert dag.is_paused_upon_creation is False
    assert ran.states == {"reuse": "success", "train": "success"}
    assert (ran.output("train", "out") / "rate.txt").read_text() == "0.5"
    assert [run.experiment_name for run in _runs(made)] == [made.dag_id]


def test_a_refresh_does_what_changed(pipeline, mirrored, tmp_path):
    """New ones appear, disabled ones say so, and the rest is left alone."""
    first, second = pipeline.publish("first"), pipeline.publish("second")
    shutil.rmtree(tmp_path / "dags")

    changed, parsed = mirrored()
    assert sorted(changed) == sorted([f"{first.id}.py", f"{second.id}.py"])
    assert not any("disabled" in dag.tags for dag in parsed.dags.values())

    second.disable()
    changed, parsed = mirrored()
    assert changed == [f"{second.id}.py"]
    assert parsed.dags[second.dag_id].dag_display_name == "second (disabled)"
    assert "disabled" in parsed.dags[second.dag_id].tags

    second.enable()
    assert mirrored()[0] == [f"{second.id}.py"]
    assert mirrored()[0] == []


def test_a_run_of_a_disabled_one_is_refused_by_its_first_task(pipeline, mirrored, run_dag):
    """Where Airflow has not heard of it yet, the run itself looks."""
    made = pipeline.publish("p")
    _, parsed = mirrored()
    made.disable()

    ran = run_dag(parsed.dags[made.dag_id])

    assert ran.states == {"reuse": "failed", "train": "upstream_failed"}


def test_a_damaged_one_is_one_import_error(pipeline, mirrored, workspace):
    """Its neighbours are DAGs all the same."""
    made, other = pipeline.publish("p"), str(uuid4())
    path = workspace.root / "registry" / "published" / f"{other}.json"
    path.write_text("{")

    _, parsed = mirrored()

    assert made.dag_id in parsed.dags
    (error,) = parsed.errors.values()
    assert "this document is damaged" in error


def test_500_published_pipelines_cost_little_when_nothing_changed(pipeline, workspace, tmp_path):
    """A refresh with nothing new takes one listing: far less than two seconds."""
    made = pipeline.publish("p")
    folder = workspace.root / "registry" / "published"
    text = (folder / f"{made.id}.json").read_text()
    for _ in range(499):
        other = str(uuid4())
        (folder / f"{other}.json").write_text(text.replace(made.id, other))

    assert len(refresh(workspace, tmp_path / "mirror")) == 500
    started = time.monotonic()
    assert refresh(workspace, tmp_path / "mirror") == []
    assert time.monotonic() - started < 2
    assert len(PublishedPipeline.list(Workspace())) == 500


def _runs(made):
    from airflow_aml import PipelineRun

    return PipelineRun.get_pipeline_runs(Workspace(), made.id)


def test_the_bundle_has_them_beside_its_programs(pipeline, workspace, tmp_path):
    """One bundle for what needs no file in the DAGs folder."""
    from airflow.dag_processing.dagbag import BundleDagBag

    from airflow_aml.airflow.bundle import AmlDagBundle

    made = pipeline.publish("p")
    (tmp_path / "programs").mkdir()
    bundle = AmlDagBundle(name=f"aml-{tmp_path.name}", path=str(tmp_path / "programs"))
    bundle.initialize()

    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)

    assert bag.import_errors == {}
    assert list(bag.dags) == [made.dag_id]

"""What Airflow's task pages lead to: links that are made from rows of its own database."""

from __future__ import annotations

import pytest
from airflow.models.taskinstancekey import TaskInstanceKey

from airflow_aml.airflow.links import ReusedResultLink, RunFilesLink, RunFolderLink
from airflow_aml.airflow.plugin import AmlPlugin
from airflow_aml.workspace import layout

PROGRAM = """
    # airflow dag
    from airflow_aml import OutputFileDatasetConfig, Pipeline, PipelineParameter, PythonScriptStep
    how = PipelineParameter("how", "go")
    out = OutputFileDatasetConfig("out")
    write = PythonScriptStep("write.py", name="write", source_directory="src", arguments=[out])
    read = PythonScriptStep("read.py", name="read", source_directory="src",
        arguments=[how, out.as_input("in")])
    main = Pipeline("team", [read])
"""
WRITE = """
    import os, sys
    open(os.path.join(sys.argv[1], "t"), "w").write("t")
    from airflow_aml import Run
    Run.get_context().upload_file("seen.png", __file__)
"""
READ = """
    import sys
    if sys.argv[1] == "fail":
        sys.exit("cannot read that")
"""
PAGE = "https://files.example.com/aml"


@pytest.fixture
def ran(write, one_dag, run_dag):
    """Runs a pipeline of two steps."""
    write("src/write.py", WRITE)
    write("src/read.py", READ)
    write("two.py", PROGRAM)
    return lambda **parameters: run_dag(one_dag(), parameters)


def address(link, ran, task_id: str) -> str:
    key = TaskInstanceKey(ran.dag_run.dag_id, task_id, ran.dag_run.run_id, 1, -1)
    return link.get_link(None, ti_key=key)


def test_a_step_leads_to_its_record_where_the_workspace_is_served(ran, workspace, monkeypatch):
    """To its folder and to its files; a failed one, too. A reused one leads to what it reuses."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE_URL", f"{PAGE}/")
    first, second = ran(), ran(how="fail")

    folder = address(RunFolderLink(), first, "write")
    assert folder.startswith(f"{PAGE}/runs/{first.xcom('reuse')['pipeline_run_id']}/steps/")
    place = workspace.root / folder[len(PAGE) + 1 :]
    assert (place / "report.json").is_file()
    files = address(RunFilesLink(), first, "write")
    assert files == f"{folder}files/"
    assert (place / "files/seen.png").is_file()

    run_id = second.xcom("reuse")["pipeline_run_id"]
    failed = layout.step(run_id, layout.step_run_id(run_id, "read"))
    assert address(RunFolderLink(), second, "read") == f"{PAGE}/{failed}/"
    assert (workspace.root / failed / "files/logs/azureml/stderrlogs.txt").is_file()
    assert address(RunFolderLink(), second, "write") == ""
    assert address(ReusedResultLink(), second, "write").startswith("/dags/")


@pytest.mark.parametrize("setting", ["", "  ", "/srv/aml", "file:///srv/aml"])
def test_a_workspace_that_nobody_serves_has_no_links(ran, monkeypatch, setting):
    """Airflow shows none for an empty address."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE_URL", setting)
    assert address(RunFolderLink(), ran(), "write") == ""


def test_another_workspace_is_not_taken_for_the_one_that_is_served(ran, workspace, monkeypatch):
    """The pipeline's workspace has a URL of its own in [aml] workspaces."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE_URL", PAGE)
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACES", f'{{"team": "{workspace.url}-team"}}')
    assert address(RunFolderLink(), ran(), "write") == ""


def test_a_step_that_was_never_started_has_none(ran, monkeypatch):
    """Nor has a task that is not there."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE_URL", PAGE)
    done = ran()
    assert address(RunFolderLink(), done, "nothing") == ""
    again = ran()
    assert address(RunFolderLink(), again, "read") == ""


def test_airflow_knows_every_link():
    """By a name of its own each."""
    names = [link.name for link in AmlPlugin.operator_extra_links]
    assert sorted(names) == ["MLflow run", "Reused result", "Run files", "Run folder"]

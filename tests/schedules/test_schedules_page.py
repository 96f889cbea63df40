"""The examples of docs/schedules.md, as they stand."""

from __future__ import annotations

import pytest

from airflow_aml import Pipeline, PythonScriptStep, Schedule, Workspace
from airflow_aml.definition.origin import loading
from scripts import check_docs, templates

PAGE = templates.PROJECT / "docs" / "schedules.md"


def blocks() -> list[str]:
    """The page's Python."""
    return [
        part.text
        for part in check_docs.parts(PAGE)
        if isinstance(part, check_docs.Block) and part.language == "python"
    ]


def test_the_pages_example_is_the_dag_that_the_page_says(write, parse):
    """Airflow makes of the page's file a DAG with the schedule that the page shows in words."""
    example = blocks()[0]
    write("steps/sum_up.py", "print('summed up')")
    write("sales.py", example)

    parsed = parse()
    (dag,) = parsed.dags.values()

    assert parsed.errors == {}
    assert f"*{dag.timetable.summary}*." in PAGE.read_text(encoding="utf-8")


def test_the_pages_watched_folder_is_a_dag(write, parse):
    """The example of a folder whose changes start runs is a DAG with that folder's Asset."""
    write("steps/add_up.py", "print('added up')")
    write("landed.py", blocks()[1])

    parsed = parse()
    (dag,) = parsed.dags.values()
    (asset,) = dag.timetable.asset_condition.objects

    assert parsed.errors == {}
    assert "/datastores/workspaceblobstore/landing?every=60.0" in asset.uri


def test_the_pages_program_schedules_what_was_published(write, workspace, capsys):
    """It prints the DAG that the workspace's bundle makes of the schedule."""
    write("src/train.py", "")
    with loading(str(write("publish.py", ""))):
        step = PythonScriptStep("train.py", source_directory="src")
        Pipeline(Workspace(), [step]).publish("Train")

    with pytest.warns(UserWarning, match="no Airflow is known here"):
        exec(blocks()[-1], {})

    (schedule,) = Schedule.list(Workspace())
    assert capsys.readouterr().out == f"{schedule.dag_id}\n"
    assert schedule.dag_id.startswith("Daily-")

"""The example of docs/schedules.md, as it stands."""

from __future__ import annotations

from scripts import check_docs, templates

PAGE = templates.PROJECT / "docs" / "schedules.md"


def examples() -> list[str]:
    """The Python blocks of the page."""
    return [
        part.text
        for part in check_docs.parts(PAGE)
        if isinstance(part, check_docs.Block) and part.language == "python"
    ]


def test_the_pages_example_is_the_dag_that_the_page_says(write, parse):
    """Airflow makes of the page's file a DAG with the schedule that the page shows in words."""
    write("steps/sum_up.py", "print('summed up')")
    write("sales.py", examples()[0])

    parsed = parse()
    (dag,) = parsed.dags.values()

    assert parsed.errors == {}
    assert f"*{dag.timetable.summary}*." in PAGE.read_text(encoding="utf-8")


def test_the_pages_watched_folder_is_a_dag(write, parse):
    """The example of a folder whose changes start runs is a DAG with that folder's Asset."""
    write("steps/add_up.py", "print('added up')")
    write("landed.py", examples()[1])

    parsed = parse()
    (dag,) = parsed.dags.values()
    (asset,) = dag.timetable.asset_condition.objects

    assert parsed.errors == {}
    assert "/datastores/workspaceblobstore/landing?every=60.0" in asset.uri

"""The example of docs/schedules.md, as it stands."""

from __future__ import annotations

from scripts import check_docs, templates


def test_the_pages_example_is_the_dag_that_the_page_says(write, parse):
    """Airflow makes of the page's file a DAG with the schedule that the page shows in words."""
    page = templates.PROJECT / "docs" / "schedules.md"
    (example,) = [
        part.text
        for part in check_docs.parts(page)
        if isinstance(part, check_docs.Block) and part.language == "python"
    ]
    write("steps/sum_up.py", "print('summed up')")
    write("sales.py", example)

    parsed = parse()
    (dag,) = parsed.dags.values()

    assert parsed.errors == {}
    assert f"*{dag.timetable.summary}*." in page.read_text(encoding="utf-8")

"""airflow-aml gc, and the DAG that does the same every week."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_aml.cli import main
from airflow_aml.reuse.index import Index
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from tests.reuse.conftest import a_key, record_of

TEMPLATE = Path(__file__).parents[2] / "dags_templates" / "maintenance.py"


def result(home: Home, days: int, step_run: str) -> Path:
    """A recorded output of so many days ago."""
    place = home.path(layout.data(step_run, "model"))
    place.mkdir(parents=True)
    (place / "weights").write_text("12345")
    then = datetime.now(UTC) - timedelta(days=days)
    created = then.isoformat(timespec="microseconds")
    for path in (place / "weights", place, place.parent):
        os.utime(path, (then.timestamp(), then.timestamp()))
    Index(home).add(
        record_of(home, a_key(), {"model": place}, step_run_id=step_run, created=created)
    )
    return place


@pytest.fixture
def results(workspace: Home) -> list[Path]:
    """One of a year ago and one of yesterday."""
    ids = ("11111111-1111-5111-8111-111111111111", "22222222-2222-5222-8222-222222222222")
    return [result(workspace, days, each) for days, each in zip((365, 1), ids, strict=True)]


def test_gc_says_what_would_go_and_removes_it(results, capsys):
    """A dry run removes nothing; the real one removes the same and tells the bytes freed."""
    old, new = results

    assert main(["gc", "--dry-run", "--older-than", "4w"]) == 0
    said = capsys.readouterr().out
    assert "1 data, 1 record would be removed" in said
    assert old.exists()
    assert main(["gc", "--dry-run", "--older-than", "0h", "--keep-last", "0"]) == 0
    assert "2 data, 2 records would be removed" in capsys.readouterr().out
    assert main(["gc", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["bytes"] >= 5
    assert {each["kind"] for each in answer["items"]} == {"data", "record"}
    assert not old.exists()
    assert new.exists()
    assert main(["gc"]) == 0
    assert capsys.readouterr().out == "nothing removed, 0 B freed\n"


def test_gc_keeps_so_many(results, capsys):
    """--keep-last goes before age."""
    assert main(["gc", "--keep-last", "2"]) == 0
    assert all(place.exists() for place in results)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--older-than", "soon", "'soon' is no age such as 12h, 30d or 8w"),
        ("--keep-last", "-1", "'-1' is no whole number from 0 up"),
        ("--keep-last", "1.5", "'1.5' is no whole number from 0 up"),
    ],
)
def test_gc_refuses(workspace, capsys, option, value, said):
    """What is no age and no count, and tells what would be one."""
    with pytest.raises(SystemExit) as ended:
        main(["gc", option, value])
    assert ended.value.code == 2
    assert f"argument {option}: {said}\n" in capsys.readouterr().err


def test_maintenance_dag(results, one_dag, run_dag, write):
    """The template does the same as a task of its own DAG."""
    shutil.copy(TEMPLATE, write("maintenance.py", ""))

    ran = run_dag(one_dag())

    assert ran.state == "success"
    assert ran.xcom("collect_garbage")["removed"] == 0, "three of each stay"
    ran = run_dag(one_dag(), {"keep_last": 1})
    assert ran.xcom("collect_garbage")["removed"] == 2
    assert [place.exists() for place in results] == [False, True]

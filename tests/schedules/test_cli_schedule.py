"""``airflow-aml schedule``."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from airflow_aml.cli import main

FILE = """\
    # Airflow lists this file's pipeline as a DAG.
    from airflow_aml import Pipeline, Schedule, ScheduleRecurrence, Workspace

    workspace = Workspace()
    weekly = ScheduleRecurrence(
        "Week", 1, "2026-01-01T00:00:00", "E. Africa Standard Time",
        week_days=["Monday", "Friday"], time_of_day="07:15",
    )
    pipeline = Pipeline(workspace, [])
    Schedule.create(workspace, "weekly", pipeline, "sales", weekly)
    Schedule.create(workspace, "now", pipeline, "sales", ScheduleRecurrence("Hour", 6)).disable()
"""


def test_what_a_folder_declares_and_when_it_runs(write, capsys):
    """`schedule show` tells each schedule in words, and its next times on its own clock."""
    path = write("sales.py", FILE)

    assert main(["schedule", "show", str(path.parent), "--count", "4", "--json"]) == 0
    weekly, now = json.loads(capsys.readouterr().out)["schedules"]
    times = [datetime.fromisoformat(each) for each in weekly["next"]]

    assert (weekly["name"], weekly["dag_id"], weekly["status"]) == (
        "weekly",
        "sales.weekly",
        "Active",
    )
    assert {f"{each:%H:%M %z}" for each in times} == {"07:15 +0300"}
    assert sorted(times) == times
    assert {f"{each:%a}" for each in times} == {"Mon", "Fri"}
    assert (now["status"], now["recurrence"]) == ("Disabled", "Every 6 hours")
    assert main(["schedule", "show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "    Every week on Monday and Friday at 07:15 after 2026-01-01 00:00" in shown
    assert ", disabled)" in shown


def test_a_file_with_a_wrong_schedule(write, capsys):
    """A file that cannot be read is told, and the others are shown nevertheless."""
    write("sales.py", FILE)
    path = write("wrong.py", FILE.replace("07:15", "27:15"))

    assert main(["schedule", "show", str(path.parent)]) == 1
    told = capsys.readouterr()
    assert "Time of day hour value must be between 0 and 23, not 27" in told.err
    assert "weekly  (DAG sales.weekly" in told.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["enable", "weekly"], "there is no schedule 'weekly'; there is none."),
        (["show", "nowhere"], "there is no file or folder nowhere"),
        (["show", ".", "--count", "-1"], "--count is 0 to 1000, not -1"),
    ],
)
def test_what_is_not_there(workspace, capsys, words, message):
    """A schedule or file that is not there is one line, and exit code 1."""
    assert main(["schedule", *words]) == 1
    assert message in capsys.readouterr().err


def test_an_empty_workspace_has_no_schedules(workspace, capsys):
    """`schedule list` says so where there are none yet."""
    assert main(["schedule", "list"]) == 0
    assert main(["schedule", "list", "--json"]) == 0
    plain, document = capsys.readouterr().out.splitlines()
    assert plain == "no schedules: what a file declares is listed from its first run on"
    assert json.loads(document) == {"schedules": []}

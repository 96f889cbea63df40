"""Following the log of a step that goes on."""

from __future__ import annotations

from airflow_aml.definition.runs.records import StoredRecord
from airflow_aml.definition.runs.tail import Tail
from airflow_aml.workspace.home import open_home
from airflow_aml.workspace.journal import STREAMS


def test_lines_are_told_once_and_whole(tmp_path):
    """What is half written waits for its end, and a step that is tried again begins anew."""
    home = open_home(str(tmp_path))
    log = home.path(f"runs/run/steps/step/files/{STREAMS[0]}")
    tail = Tail(StoredRecord(home, "run", "step"))
    assert tail.new_lines(ended=False) == ""
    log.parent.mkdir(parents=True)

    told = []
    for text in ("one\ntw", "one\ntwo\n", "new\n", "new\nlä"):
        log.write_text(text, encoding="utf-8")
        told.append(tail.new_lines(ended=False))

    assert told == ["one\n", "two\n", "new\n", ""]
    assert [tail.new_lines(ended=True), tail.new_lines(ended=True)] == ["lä\n", ""]

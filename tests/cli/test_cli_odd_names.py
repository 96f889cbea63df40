"""What airflow-aml prints of names and values that a terminal would obey, or has no room for."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml import Experiment, Workspace
from airflow_aml.cli import main

RED, TITLE = "evil\x1b[31m\nred", "stage\x1b]0;mine\x07"
LONG = "loss of " + "the long fold " * 10


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run with such names."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    begun = Experiment(Workspace(), "odd").start_logging()
    begun.log(RED, 1)
    begun.log(LONG, 0.5)
    begun.log("note", ("word " * 40).strip())
    begun.tag(TITLE, "a\rb")
    begun.fail("no \x1b[1mdata")
    return str(begun.id)


def on_a_terminal(*words: str) -> list[str]:
    """The lines that a verb writes to a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "airflow_aml.cli", *words]
    with subprocess.Popen(command, stdout=theirs, env={**os.environ, "COLUMNS": "60"}) as process:
        os.close(theirs)
        told = b""
        try:
            while data := os.read(ours, 1 << 16):
                told += data
        except OSError:  # Linux' way to say that nobody writes any more
            pass
        assert process.wait() == 0
    os.close(ours)
    return told.decode().splitlines()


def test_no_name_reaches_the_terminal_as_an_order(run: str, capsys: pytest.CaptureFixture) -> None:
    """Control characters are shown escaped, by each verb; where it is no terminal, all is whole."""
    told = ""
    for words in (["runs"], ["runs", "show", run], ["runs", "compare", run, run], ["explain", run]):
        assert main(words) == 0
        told += capsys.readouterr().out
    assert "".join(each for each in told if not each.isprintable()).strip("\n") == ""
    for text in (r"evil\x1b[31m\nred", r"stage\x1b]0;mine\x07", r"a\rb", r"no \x1b[1mdata"):
        assert text in told
    assert told.count(LONG) == 2
    assert told.count(("word " * 40).strip()) == 3
    assert "0 ran, 0 of 1 step reused\n" in told
    assert main(["runs", "never"]) == 0
    assert capsys.readouterr().out == "no runs\n"


def test_tables_fit_the_terminal(run: str) -> None:
    """What has no room is shortened."""
    shown = on_a_terminal("runs", "show", run)
    compared = on_a_terminal("runs", "compare", run, run)

    assert max(map(len, shown[1:] + compared[2:])) == 60  # the ids above are to be copied
    assert any(line.startswith("  loss of the long fold") and "…  0.5" in line for line in shown)
    assert any(line.count("word word…") == 2 or line.count("…  word") for line in compared)

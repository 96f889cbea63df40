"""Interrupting an Airflow that runs or starts leaves no process behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import airflow_processes as processes
from scripts.templates import PROJECT

PROGRAM = """
import sys, time
from pathlib import Path
from scripts.local_airflow import LocalAirflow
with LocalAirflow(Path(sys.argv[1])):
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("log", ["db-migrate", "scheduler"])
def test_interrupted_start_leaves_nothing(tmp_path: Path, number: signal.Signals, log: str) -> None:
    """Ctrl-C and SIGTERM end everything, whether the database is prepared or Airflow starts."""
    home = tmp_path / "home"
    started = home / "logs" / f"{log}.log"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(home)], cwd=PROJECT) as program:
        deadline = time.monotonic() + 300
        while not started.exists():
            assert program.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)

        program.send_signal(number)

        assert program.wait(timeout=60) != 0
    sessions = {pid for pid, _ in json.loads((home / "processes.json").read_text()).values()}
    assert processes.survivors(sessions, str(home)) == []

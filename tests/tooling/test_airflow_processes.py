"""Ending processes: nothing that came from them may go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scripts import airflow_processes as processes

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
escaped = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"],
                           start_new_session=True)
print(escaped.pid, flush=True)
time.sleep(300)
"""


def wait_for(found: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def stubborn(tmp_path: Path) -> processes.RunningProcess:
    """A process that ignores SIGTERM and has a child in a session of its own."""
    command = [sys.executable, "-c", STUBBORN]
    environment = {**os.environ, processes.MARKER: str(tmp_path)}
    process = processes.spawn("stubborn", command, environment, tmp_path, tmp_path / "log")
    wait_for(process.last_lines)
    return process


def test_end_leaves_nothing(stubborn: processes.RunningProcess, tmp_path: Path) -> None:
    """A process that ignores SIGTERM and its child with its own session are both gone."""
    child = psutil.Process(int(stubborn.last_lines()))

    processes.end({stubborn.popen.pid}, str(tmp_path), patience=0.5)

    assert stubborn.exit_code() is not None
    assert not processes.is_alive(child)


def test_end_finds_an_orphan_by_its_marker(
    stubborn: processes.RunningProcess, tmp_path: Path
) -> None:
    """A child that lost its parent and its session is found by its environment."""
    child = psutil.Process(int(stubborn.last_lines()))
    stubborn.popen.kill()
    stubborn.popen.wait()

    processes.end(set(), str(tmp_path), patience=0.5)

    assert not processes.is_alive(child)


def test_end_spares_others(tmp_path: Path) -> None:
    """A process with another marker goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)"],
        env={**os.environ, processes.MARKER: "another"},
    ) as other:
        processes.end(set(), str(tmp_path))

        assert other.poll() is None
        other.kill()


def test_recorded_session_of_another_process_is_not_ours() -> None:
    """A number that was given out again since it was recorded is left alone."""
    me = psutil.Process()

    ours = processes.orphaned_sessions({"same": (me.pid, me.create_time())})
    others = processes.orphaned_sessions({"reused": (me.pid, me.create_time() - 5)})
    older = processes.orphaned_sessions({"before boot": (me.pid, psutil.boot_time() - 5)})

    assert (ours, others, older) == ({me.pid}, set(), set())


def test_terminating_signals_unwind() -> None:
    """SIGTERM inside the block raises; afterwards the signal means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(processes.Terminated) as caught, processes.signals_raise():
        signal.raise_signal(signal.SIGTERM)

    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before

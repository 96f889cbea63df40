"""Signs of life: how others know of a process on a host that they cannot look at."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from airflow_aml.workspace.heartbeat import beat, beating, is_silent
from airflow_aml.workspace.home import open_home

MINUTES = 60.0


def test_who_beats_lives(tmp_path: Path) -> None:
    """While the process is at work it is not silent, afterwards at once; before, nobody knows."""
    home = open_home(str(tmp_path))
    sign = tmp_path / "runs/a run/alive.json"

    assert is_silent(home, "a run") is None
    with beating(home, "a run", every=0.01):
        first = sign.read_text()
        deadline = time.monotonic() + 10
        while sign.read_text() == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sign.read_text() != first
        assert is_silent(home, "a run") is False
    assert is_silent(home, "a run") is True


def test_a_folder_is_its_own_clock(tmp_path: Path) -> None:
    """What a host with a wrong clock has written counts by when it got there."""
    home = open_home(str(tmp_path))
    sign = tmp_path / "runs/a run/alive.json"
    beat(home, "a run")

    sign.write_text(json.dumps({"t": time.time() - 600 * MINUTES, "ended": False}))
    assert is_silent(home, "a run") is False
    before = time.time() - 11 * MINUTES
    os.utime(sign, (before, before))
    assert is_silent(home, "a run") is True
    assert list(sign.parent.iterdir()) == [sign]


def test_an_object_store_has_no_clock() -> None:
    """There hosts may differ by half an hour, and a silent one is given that time."""
    home = open_home("memory://signs-of-life")
    beat(home, "a run")
    assert is_silent(home, "a run") is False

    for minutes, silent in ((40, False), (46, True)):
        sign = {"t": time.time() - minutes * MINUTES, "ended": False}
        home.store.write("runs/a run/alive.json", json.dumps(sign).encode())
        assert is_silent(home, "a run") is silent


def test_a_sign_that_is_no_sign(tmp_path: Path) -> None:
    """A damaged document says nothing, and a store that cannot be written stops nobody."""
    home = open_home(str(tmp_path))
    beat(home, "a run")
    (tmp_path / "runs/a run/alive.json").write_text("[]")

    assert is_silent(home, "a run") is None
    (tmp_path / "runs/another").write_text("in the way")
    with beating(home, "another"):
        pass

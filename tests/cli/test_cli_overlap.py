"""airflow-aml run: steps that do not wait for each other run at the same time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

COMMAND = str(Path(sys.executable).with_name("airflow-aml"))

ARMS = """
    from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace

    arms = [OutputFileDatasetConfig(name) for name in ("left", "right")]
    steps = [PythonScriptStep("arm.py", name=arm.name, source_directory="src",
                              arguments=[arm, arm.name]) for arm in arms]
    join = PythonScriptStep("arm.py", name="join", source_directory="src",
                            arguments=[OutputFileDatasetConfig("all"), "join",
                                       *[arm.as_input(arm.name) for arm in arms]])
    pipeline = Pipeline(Workspace("ws"), [join])
"""

# Each arm ends only when it has seen the other one begin.
ARM = """
    import os, sys, time
    out, name = sys.argv[1:3]
    notes = os.environ["NOTES"]
    open(os.path.join(notes, name), "w").write(str(os.getpid()))
    other = {"left": "right", "right": "left"}.get(name, "left")
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(notes, other)):
        if time.monotonic() > deadline:
            sys.exit(name + " is alone")
        time.sleep(0.05)
    while os.path.exists(os.path.join(notes, "hang")):
        time.sleep(0.05)
    if os.path.exists(os.path.join(notes, name + " fails")):
        sys.exit("no such luck")
    open(os.path.join(out, "x.txt"), "w").write(name)
"""


MEETING = """
    from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace

    def step(name, *inputs):
        out = OutputFileDatasetConfig(name)
        read = [each.as_input("data") for each in inputs]
        return out, PythonScriptStep("slow.py", name=name, source_directory="src",
                                     arguments=[out, *read])

    data, first = step("first")
    pipeline = Pipeline(Workspace("ws"), [step("left", data)[1], step("right", data)[1]])
"""


@pytest.fixture
def notes(tmp_path, write, workspace, monkeypatch) -> Path:
    """The pipeline in the dags folder, and the folder in which its scripts meet."""
    write("p.py", ARMS)
    write("src/arm.py", ARM)
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv("NOTES", str(folder))
    return folder


@pytest.fixture
def begin(tmp_path):
    """Starts a run; it is gone at the end of the test."""
    started = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [COMMAND, "run", "p.py", "--json"],
            cwd=tmp_path / "dags",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def scripts(notes: Path) -> list[int]:
    """The processes of the two arms, once both are there."""
    deadline = time.monotonic() + 120
    while not all((notes / name).exists() for name in ("left", "right")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int((notes / name).read_text()) for name in ("left", "right")]


def test_two_arms_meet(notes, begin):
    """Both are at work at once, what joins them comes after, and all of it is told once."""
    run = begin()
    told, lines = run.communicate(timeout=240)

    assert run.returncode == 0, lines
    outcome = json.loads(told)
    assert [step["status"] for step in outcome["steps"]] == ["Finished"] * 3
    for name in ("left", "right", "join"):
        assert lines.count(f"Finished  {name}\n") == 1
    assert "Traceback" not in lines


def test_two_runs_meet(write, workspace, begin):
    """Each waits for what the other is making, first for one step, then in both arms."""
    write("p.py", MEETING)
    write("src/slow.py", "import sys, time\ntime.sleep(3)\nopen(sys.argv[1] + '/x', 'w').close()\n")

    runs = begin(), begin()
    told = [json.loads(run.communicate(timeout=120)[0]) for run in runs]

    first, second = ([step["status"] for step in each["steps"]] for each in told)
    assert [{*both} for both in zip(first, second, strict=True)] == [{"Finished", "Reused"}] * 3


def test_one_arm_fails(notes, begin):
    """The other one ends as it would have, and what joins them is not started."""
    (notes / "left fails").touch()

    run = begin()
    told, lines = run.communicate(timeout=240)

    assert run.returncode == 1, lines
    steps = {step["name"]: step for step in json.loads(told)["steps"]}
    assert {name: step["status"] for name, step in steps.items()} == {
        "left": "Failed",
        "right": "Finished",
        "join": "NotStarted",
    }
    assert "no such luck" in steps["left"]["reason"]
    assert steps["join"]["reason"] == "depends on 'left', which failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_both_arms_end_with_the_run(notes, begin, number):
    """Ctrl-C, SIGTERM, or the end of the run's own process: no script goes on."""
    (notes / "hang").touch()
    run = begin()
    arms = [psutil.Process(pid) for pid in scripts(notes)]

    os.kill(run.pid, number)

    run.communicate(timeout=60)
    assert run.returncode != 0
    assert psutil.wait_procs(arms, timeout=30)[1] == []

"""airflow-aml run: what it says when things go wrong, and names in any language."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_aml.airflow.telling import Telling
from airflow_aml.errors import WorkspaceException

COMMAND = str(Path(sys.executable).with_name("airflow-aml"))

NAMES = """
    from airflow_aml import OutputFileDatasetConfig, Pipeline, PipelineParameter, PythonScriptStep

    words = PipelineParameter("wörter", "")
    data = OutputFileDatasetConfig("data")
    write = PythonScriptStep("schön.py", name="Zählen 数", source_directory="quellen-ü",
                             arguments=[data, words])
    read = PythonScriptStep("schön.py", name="Lesen 🎉", source_directory="quellen-ü",
                            arguments=[OutputFileDatasetConfig("ergebnis"), data.as_input("in_")])
    pipeline = Pipeline("ws", [read], description="Zählt Wörter.")
"""

STEPS = """
    from airflow_aml import Dataset, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace

    out = OutputFileDatasetConfig("out")
    first = PythonScriptStep("step.py", name="first", source_directory="src", arguments=[out, {}])
    then = PythonScriptStep("step.py", name="then", source_directory="src",
                            arguments=[OutputFileDatasetConfig("then_out"), out.as_input("in_")])
    beside = PythonScriptStep("step.py", name="beside", source_directory="src", arguments=["x"])
    aside = PythonScriptStep("step.py", name="aside", source_directory="src", arguments=["x", "y"])
    aside.run_after(beside)
    pipeline = Pipeline(Workspace("ws"), [first, then, aside])
"""


@pytest.fixture
def run(tmp_path, workspace):
    """Runs a file of the dags folder."""

    def call(*words, code=0):
        done = subprocess.run(
            [COMMAND, "run", *words],
            cwd=tmp_path / "dags",
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


def test_names_need_not_be_ascii(run, write):
    """File, folder, script, step, parameter and value; a second run finds the first one's."""
    write("prognose_zürich.py", NAMES)
    write("quellen-ü/schön.py", "import sys; print('bekam', sys.argv[2])")

    first = run("prognose_zürich.py", "-p", "wörter=日本 🎉")
    again = json.loads(run("prognose_zürich.py", "-p", "wörter=日本 🎉", "--json").stdout)

    assert "Finished  Zählen 数" in first.stdout
    assert "Zählen 数 | bekam 日本 🎉\n" in first.stderr
    assert [step["status"] for step in again["steps"]] == ["Reused", "Reused"]
    assert "'prognose_zürich'" in again["steps"][0]["reason"]


def test_what_the_first_task_finds_wrong_is_one_sentence(run, write):
    """On stderr and as the run's reason; each step says why it was not started."""
    write("src/step.py", "")
    asked = "Dataset.get_by_name(Workspace('ws'), 'sales').as_named_input('sales').as_mount()"
    write("p.py", STEPS.replace("{}", asked))

    done = run("p.py", "--json", code=1)

    outcome = json.loads(done.stdout)
    assert outcome["reason"].startswith("step 'first', input 'sales': there is no dataset named")
    assert f"reuse | error: {outcome['reason']}\n" in done.stderr
    assert {step["status"] for step in outcome["steps"]} == {"NotStarted"}
    reasons = [step["reason"] for step in outcome["steps"]]
    assert reasons[0] == "the run could not be planned"
    assert reasons[1] == "depends on 'first', which was not started"


def test_a_step_that_fails_tells_why_others_did_not_start(run, write):
    """The run's reason is the failed step's; its lines are told once while it runs."""
    write("src/step.py", "import sys; sys.exit('no such table' if sys.argv[1] != 'x' else 0)")
    write("p.py", STEPS.replace("{}", "'now'"))

    done = run("p.py", "--json", code=1)

    outcome = json.loads(done.stdout)
    steps = {step["name"]: step for step in outcome["steps"]}
    assert "step.py of step 'first' ended with exit code 1" in outcome["reason"]
    assert "no such table" in steps["first"]["reason"]
    assert (steps["then"]["status"], steps["then"]["reason"]) == (
        "NotStarted",
        "depends on 'first', which failed",
    )
    assert steps["aside"]["status"] == "NotStarted"
    # Airflow starts either of the two that can start before the other.
    told = steps["beside" if steps["beside"]["status"] == "NotStarted" else "aside"]
    assert "does not continue on step failure" in told["reason"]
    assert f"NotStarted  {told['name']}\n" in done.stderr
    assert f"Running  {told['name']}\n" not in done.stderr
    assert done.stderr.count("no such table") == 1


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_run_and_its_script(write, tmp_path, workspace, kind):
    """As SIGTERM does, at once: no traceback, and nothing left running or lying about.

    What a run that was killed outright has left is removed by the next one.
    """
    write("src/step.py", "import os, time; print('pid', os.getpid(), flush=True); time.sleep(300)")
    write("p.py", STEPS.replace("{}", "'now'"))
    killed = subprocess.Popen(["true"])
    killed.wait()
    (workspace.root / f"engine/run-{os.uname().nodename}-{killed.pid}-1").mkdir(parents=True)
    running = subprocess.Popen(
        [COMMAND, "run", "p.py"],
        cwd=tmp_path / "dags",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    said = ""
    try:
        for line in running.stderr:
            said += line
            if said.count("| pid ") == 2:  # of two steps that run at the same time
                os.killpg(running.pid, kind)
                break
        said += running.stderr.read()
        assert running.wait(timeout=60) == 130
    finally:
        running.kill()
        running.stderr.close()

    scripts = [int(line.split()[0]) for line in said.split("| pid ")[1:]]
    assert said.endswith("the next run reuses them\nairflow-aml: interrupted\n")
    assert "Traceback" not in said
    assert [pid for pid in scripts if Path(f"/proc/{pid}").exists()] == []
    assert not list((workspace.root / "engine").glob("run-*"))


def test_a_run_outlives_the_shell_that_started_it(write, tmp_path, workspace):
    """As with nohup, or in a program that submits and ends: the step goes on to its end."""
    write("src/step.py", "import time; print('began', flush=True); time.sleep(8); print('done')")
    write("p.py", STEPS.replace("{}", "'now'"))
    log = tmp_path / "log.txt"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f"setsid {COMMAND} run p.py > {log} 2>&1 & exec sleep 600"],
        cwd=tmp_path / "dags",
        stdout=subprocess.DEVNULL,
    )
    try:
        while "| began" not in log.read_text() if log.exists() else True:
            assert shell.poll() is None
            time.sleep(0.2)
    finally:
        shell.kill()
        shell.wait()
    deadline = time.monotonic() + 120
    while "| done" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.5)

    assert "| done" in log.read_text()
    assert "is gone" not in log.read_text()


def test_a_workspace_without_room_for_the_run_is_one_line(run, write, workspace):
    """What cannot be made, why, and which setting names another place."""
    (workspace.root / "engine").write_text("a file where a folder has to be")
    write("src/step.py", "")
    write("p.py", STEPS.replace("{}", "'now'"))

    (line,) = run("p.py", code=1).stderr.splitlines()

    assert line.startswith(f"airflow-aml: {workspace.root}/engine: ")
    assert "Not a directory. Set AIRFLOW__AML__WORKSPACE" in line


def test_our_own_mistakes_keep_their_traceback():
    """An error that is nobody's sentence is told with all that helps to find it."""
    lines: list[str] = []
    telling = Telling({}, lines.append)

    for error in (WorkspaceException("the workspace is gone."), ZeroDivisionError("oops")):
        try:
            raise error
        except type(error) as caught:
            telling.line("error", "task 'a' failed", caught)

    assert lines[0] == "airflow | error: the workspace is gone."
    assert lines[1] == "airflow | error: task 'a' failed"
    assert lines[2].endswith("Traceback (most recent call last):")
    assert lines[-1].endswith("ZeroDivisionError: oops")

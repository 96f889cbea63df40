"""Run.submit_child: scripts that a step's script, or a program with a run of its own, starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_aml import Experiment, Run, ScriptRunConfig, Workspace
from airflow_aml.errors import NotServedError
from airflow_aml.runtime.child import child_of
from tests.runtime.laboratory import Lab, is_alive, pid_in, wait_for

FOLD = """
import os, sys, time
from pathlib import Path
from airflow_aml import Run
run = Run.get_context()
rate, how = float(sys.argv[1]), sys.argv[2]
print("rate", rate, "below", run.parent.name, run.tags, flush=True)
run.log("auc", rate / 2)
run.tag("asked", os.environ.get("ASKED", "-"))
run.parent.log("rates", rate)
Path("outputs/model.txt").write_text(str(rate))
if how == "fail":
    sys.exit("no convergence")
if how == "wait":
    Path(sys.argv[3]).write_text(str(os.getpid()))
    time.sleep(300)
run.complete()
"""

START = """
from airflow_aml import Run, ScriptRunConfig
run = Run.get_context()
def start(rate, how="go", *more, **options):
    config = ScriptRunConfig(".", "fold.py", arguments=[rate, how, *more], **options)
    config.run_config.environment_variables["ASKED"] = "yes"
    return run.submit_child(config, tags={"rate": rate})
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def step(lab: Lab, script: str, outcome: str = "finished") -> list[str]:
    report = lab.run(lab.job(START + script, files={"fold.py": FOLD}))
    assert report.outcome == outcome, (report.message, lab.lines)
    return lab.lines


def test_two_scripts_side_by_side(lab: Lab) -> None:
    """Lines come with the child's name; metrics, tags and files are the child's own."""
    lines = step(
        lab,
        """
open("outputs/mine.txt", "w").write("the step's own")
children = [start(rate) for rate in (0.5, 0.25)]
for child in children:
    details = child.wait_for_completion(show_output=True)
    print(child.name, details["status"], child.get_metrics(), child.get_tags())
    print(child.name, child.get_file_names())
    child.download_file("outputs/model.txt", child.name + ".txt")
    print(open(child.name + ".txt").read())
print([(each.name, each.get_status()) for each in run.get_children()], run.get_metrics())
""",
    )
    assert {
        "[fold_1] rate 0.5 below a step {'rate': '0.5'}",
        "[fold_2] rate 0.25 below a step {'rate': '0.25'}",
    } <= set(lines)
    assert "fold_1 Completed {'auc': 0.25} {'rate': '0.5', 'asked': 'yes'}" in lines
    files = "['logs/azureml/stdoutlogs.txt', 'outputs/model.txt']"
    assert f"fold_2 {files}" in lines
    children, _, metrics = lines[-1].rpartition(" {")
    assert children == "[('fold_2', 'Completed'), ('fold_1', 'Completed')]"
    assert sorted(eval("{" + metrics)["rates"]) == [0.25, 0.5]


def test_a_script_that_fails(lab: Lab) -> None:
    """It is the child that has failed; whether the step goes on is its script's matter."""
    lines = step(
        lab,
        """
child = start(1, "fail")
print(child.wait_for_completion(raise_on_error=False)["error"])
print(child.get_status())
start(2, "fail").wait_for_completion()
""",
        outcome="script_failed",
    )
    assert "[fold_1] no convergence" in lines
    assert "Failed" in lines
    assert any("fold.py of step 'fold_1' ended with exit code 1" in line for line in lines)
    assert any("ActivityFailedException: Activity Failed: child run 'fold_2'" in x for x in lines)


def test_a_step_waits_for_the_scripts_that_it_did_not_wait_for(lab: Lab) -> None:
    """Its script ends, and they still do their work."""
    job = lab.job(START + "start(0.5); print('over')", files={"fold.py": FOLD})
    assert lab.run(job).outcome == "finished"
    assert any(line.startswith("[fold_1] rate 0.5") for line in lab.lines)
    assert list(Path(job.record).glob("of/*/files/outputs/model.txt"))


def test_cancel_ends_the_script(lab: Lab, tmp_path: Path) -> None:
    """And the processes that it has started; a child that took too long has failed."""
    note = tmp_path / "pid"
    lines = step(
        lab,
        f"""
import os, time
child = start(1, "wait", {str(note)!r})
while not os.path.exists({str(note)!r}) or not open({str(note)!r}).read(): time.sleep(0.05)
child.cancel(); child.cancel()
print(child.get_status(), child.wait_for_completion()["status"])
late = start(1, "wait", {str(note)!r}, max_run_duration_seconds=1)
print(late.wait_for_completion(raise_on_error=False)["error"]["error"]["message"])
""",
    )
    assert lines[-1] == "it ran for longer than 1 seconds"
    assert "Canceled Canceled" in lines
    assert not is_alive(pid_in(note))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_nothing_outlives_the_step(lab: Lab, tmp_path: Path, how: str) -> None:
    """Whether it is stopped, or its script is killed outright."""
    note, own = tmp_path / "pid", tmp_path / "own"
    script = f"""
import os
open({str(own)!r}, "w").write(str(os.getpid()))
start(1, "wait", {str(note)!r}).wait_for_completion()
"""
    child = child_of(lab.job(START + script, files={"fold.py": FOLD}))
    running = threading.Thread(target=child.run, args=(lab.lines.append,))
    running.start()
    pid = pid_in(note)
    if how == "stop":
        child.stop()
    else:
        os.kill(pid_in(own), signal.SIGKILL)
    running.join()
    wait_for(lambda: not is_alive(pid), 20.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("run.submit_child('fold.py')", "takes a ScriptRunConfig, not a str"),
        ("start(object())", "is a text, number or path, not a object"),
        ("run.submit_child(ScriptRunConfig('.', 'fold.py'), x=1)", "x= is not served"),
        ("run.submit_child(ScriptRunConfig('none', 'x.py'))", "does not exist"),
        ("run.submit_child(ScriptRunConfig('.', 'no.py'))", "script not found at: /"),
        ("run.parent.submit_child(ScriptRunConfig('.', 'x.py'))", "the run's own script"),
        ("run.experiment.submit(ScriptRunConfig('.', 'fold.py'))", "no run inside a step"),
    ],
)
def test_what_cannot_be_a_child_is_said_at_once(lab: Lab, call: str, said: str) -> None:
    """One error, and no child run."""
    lines = step(
        lab,
        f"""
try:
    {call}
except Exception as error:
    print(error)
print(list(run.get_children()))
""",
    )
    assert said in lines[-2]
    assert lines[-1] == "[]"


SEARCH = """
import sys
from airflow_aml import Run, ScriptRunConfig
run, depth = Run.get_context(), int(sys.argv[1])
run.log("depth", depth)
if depth:
    run.submit_child(ScriptRunConfig(".", "search.py", arguments=[depth - 1])).wait_for_completion()
    with run.child_run("part") as part, part.child_run("piece") as piece:
        piece.log("size", depth)
if depth == 2:
    print([(each.name, each.get_metrics()) for each in run.get_children(recursive=True)])
"""


def test_scripts_that_start_scripts_that_start_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs below are found with what they have, by the script on top and from outside."""
    (tmp_path / "search.py").write_text(SEARCH)
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    experiment = Experiment(Workspace(), "deep")
    run = experiment.submit(ScriptRunConfig(tmp_path, "search.py", [2]))
    assert run.get_details()["status"] == "Running"  # and no more is known yet
    run.wait_for_completion()

    below = [(each.name, each.get_metrics()) for each in run.get_children(recursive=True)]

    assert below == [
        ("part", {}),
        ("piece", {"size": 2}),
        ("search_1", {"depth": 1}),
        ("part", {}),
        ("piece", {"size": 1}),
        ("search_1", {"depth": 0}),
    ]
    assert {each.get_status() for each in run.get_children(recursive=True)} == {"Completed"}
    assert str(below) in run.get_details_with_logs()["logFiles"]["logs/azureml/stdoutlogs.txt"]
    *_, deepest = run.get_children(recursive=True)
    assert Run.get(Workspace(), deepest.id).get_metrics() == {"depth": 0}


INTERACTIVE = """
from airflow_aml import Experiment, ScriptRunConfig, Workspace
run = Experiment(Workspace(), "search").start_logging()
child = run.submit_child(ScriptRunConfig("src", "fold.py", arguments=[0.5, "go"]))
child.wait_for_completion()
with run.child_run("by hand") as other:
    other.log("auc", 0.1)
print([(each.name, each.get_status(), each.get_metrics()) for each in run.get_children()])
run.complete()
print(run.id)
"""


def test_a_program_with_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards any other program finds the children below it, with all that they have."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/fold.py").write_text(FOLD)
    (tmp_path / "program.py").write_text(INTERACTIVE)
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    *_, listed, run_id = done.stdout.splitlines()
    assert listed == (
        "[('by hand', 'Completed', {'auc': 0.1}), ('fold_1', 'Completed', {'auc': 0.25})]"
    )
    own = Run.get(Workspace(), run_id)
    hand, fold = own.get_children()
    assert re.fullmatch(r"search_\d+_[0-9a-f]{8}", fold.id)
    assert (hand.name, hand.get_status(), hand.get_metrics()) == (
        "by hand",
        "Completed",
        {"auc": 0.1},
    )
    assert (fold.get_status(), fold.get_tags()) == ("Completed", {"asked": "-"})
    fold.download_file("outputs/model.txt", "there.txt")
    assert Path("there.txt").read_text() == "0.5"
    with pytest.raises(NotServedError, match="the run's own script"):
        own.submit_child(ScriptRunConfig("src", "fold.py"))
    assert len(list(Experiment(Workspace(), "search").get_runs())) == 1

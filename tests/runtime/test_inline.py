"""The runtime inside a task's own process: its end, its signals and its time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from laboratory import Lab, is_alive, pid_in, wait_for

from airflow_aml.runtime.inline import InlineRuntime, can_run_inline
from airflow_aml.runtime.job import Text

pytestmark = pytest.mark.skipif(not can_run_inline(), reason="Linux alone has pidfd_open")

TASK = """
import signal, sys, time
from airflow_aml.runtime.inline import InlineRuntime
from airflow_aml.runtime.job import StepJob

class TimeIsUp(BaseException):
    pass

def too_late(number, frame):
    raise TimeIsUp

job = StepJob.read(sys.argv[1])
runtime = InlineRuntime(job, lambda line: print(line, flush=True))
signal.signal(signal.SIGTERM, lambda *_: runtime.stop("its task was killed"))
signal.signal(signal.SIGALRM, too_late)
if len(sys.argv) > 2:
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))
started = time.monotonic()
try:
    report = runtime.run()
    print(report.outcome, report.exit_code, report.message)
except TimeIsUp:
    print("time is up", signal.getsignal(signal.SIGALRM) is too_late)
print(time.monotonic() - started < 4)
"""

SLEEPER = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
for name, pid in (("script", os.getpid()), ("child", child.pid)):
    with open(os.path.join(sys.argv[1], name + ".tmp"), "w") as stream:
        stream.write(str(pid))
    os.rename(os.path.join(sys.argv[1], name + ".tmp"), os.path.join(sys.argv[1], name))
time.sleep(600)
"""


def task_of(lab: Lab, tmp_path: Path, *more: str):
    """A process that runs a sleeping step inside itself; the step's job, and its processes."""
    job = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),), outputs=("out",))
    command = [sys.executable, "-c", TASK, str(job.write()), *more]
    task = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return job, task, [pid_in(tmp_path / name) for name in ("script", "child")]


def test_lines_and_report(lab: Lab) -> None:
    """Every line arrives as text, from both streams, the unfinished one too."""
    lines: list[str] = []
    job = lab.job("import sys; print('one\\ntwo'); sys.stderr.write('t' * 70000 + ' end')")
    report = InlineRuntime(job, lines.append).run()
    assert (report.outcome, report.exit_code) == ("finished", 0)
    assert lines[:2] == ["one", "two"]
    assert "".join(lines[2:]) == "t" * 70000 + " end"


def test_task_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """A kill -9 of the task ends every process of the step and removes its folders."""
    job, task, pids = task_of(lab, tmp_path)
    task.kill()
    task.wait()
    wait_for(lambda: not any(map(is_alive, pids)))
    wait_for(lambda: not os.path.exists(job.work))
    wait_for(lambda: not os.path.exists(job.outputs[0].staging))


def test_killed_by_airflow(lab: Lab, tmp_path: Path) -> None:
    """A signal's handler asks for the end: the script is gone when the run returns."""
    _, task, pids = task_of(lab, tmp_path)
    task.send_signal(signal.SIGTERM)
    printed = task.communicate(timeout=15)[0].splitlines()
    message = "The step was stopped: its task was killed."
    assert printed == [f"stopped {-signal.SIGTERM} {message}", "True"]
    assert not any(map(is_alive, pids))


def test_ctrl_c_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    """An interrupt in mid-step ends every process of it, also one in a session of its own."""
    job, task, pids = task_of(lab, tmp_path)
    task.send_signal(signal.SIGINT)
    task.communicate(timeout=30)
    assert not any(map(is_alive, pids))
    assert not os.path.exists(job.work)


def test_time_limit(lab: Lab, tmp_path: Path) -> None:
    """Airflow's alarm ends the step first, and is raised then; its handler is back in place."""
    _, task, pids = task_of(lab, tmp_path, "1.5")
    assert task.communicate(timeout=15)[0].splitlines()[0] == "time is up True"
    assert not any(map(is_alive, pids))


def test_parent_of_the_task_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """A task whose supervisor was killed ends its step."""
    job = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),))
    command = [sys.executable, "-c", TASK, str(job.write())]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"],
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = [pid_in(tmp_path / name) for name in ("script", "child")]
    supervisor.kill()
    assert "the process that started this one is gone" in supervisor.communicate(timeout=15)[0]
    assert not any(map(is_alive, pids))


def test_nothing_is_left_open(lab: Lab) -> None:
    """A process that runs many steps, as ``dag.test()`` does, keeps no descriptor of them."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert InlineRuntime(lab.job("pass"), print).run().outcome == "finished"
    assert len(os.listdir("/proc/self/fd")) == before

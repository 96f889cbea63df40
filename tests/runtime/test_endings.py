"""Every end is an end: stops, kills, and parents that disappear leave no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from laboratory import Lab, is_alive, pid_in, wait_for

from airflow_aml.runtime.child import Child, child_of, report_of, run_job
from airflow_aml.runtime.job import StepReport, Text
from airflow_aml.runtime.sweep import end_attempt, living

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="needs /proc")

SLEEPER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
for name, pid in (("script", os.getpid()), ("child", child.pid), ("runtime", os.getppid())):
    with open(os.path.join(sys.argv[1], name + ".tmp"), "w") as stream:
        stream.write(str(pid))
    os.rename(os.path.join(sys.argv[1], name + ".tmp"), os.path.join(sys.argv[1], name))
print("ready")
time.sleep(600)
"""

DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER

PARENT = """
import sys
from airflow_aml.runtime.child import run_job
from airflow_aml.runtime.job import StepJob
report = run_job(StepJob.read(sys.argv[1]), lambda line: print(line, flush=True))
print(report.outcome, flush=True)
"""


def start(lab: Lab, tmp_path: Path, script: str = SLEEPER, **members):
    """A step that runs in a thread, as soon as its script is ready."""
    job = lab.job(script, arguments=(Text(str(tmp_path)),), **members)
    child = child_of(job)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(child.run(lab.lines.append)))
    thread.start()
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script", "child")]
    return job, child, thread, codes, pids


def all_gone(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))


def test_stop_ends_everything(lab: Lab, tmp_path: Path) -> None:
    """A stop, as by a task kill, ends script, children and runtime, and the report says so."""
    job, child, thread, codes, pids = start(lab, tmp_path)
    child.stop()
    thread.join()
    assert all_gone(pids)
    report = StepReport.read(job.report_path)
    assert (report.outcome, report.exit_code) == ("stopped", -signal.SIGTERM)
    assert "SIGTERM was received" in report.message
    assert codes == [128 + signal.SIGTERM]
    assert lab.leftovers() == []


def test_script_may_say_goodbye(lab: Lab, tmp_path: Path) -> None:
    """A script that handles SIGTERM has the time to finish, and its last lines are seen."""
    script = "import signal, sys\ndef bye(*_): print('saved'); sys.exit(0)\n"
    job, child, thread, codes, pids = start(
        lab, tmp_path, script + "signal.signal(signal.SIGTERM, bye)\n" + SLEEPER
    )
    wait_for(lambda: lab.lines == ["ready"])
    child.stop()
    thread.join()
    assert all_gone(pids)
    assert lab.lines == ["ready", "saved"]
    report = StepReport.read(job.report_path)
    assert (report.outcome, report.exit_code, codes) == ("stopped", 0, [128 + signal.SIGTERM])


def test_script_that_ignores_sigterm(lab: Lab, tmp_path: Path) -> None:
    """A script that ignores SIGTERM is killed after its time."""
    job, child, thread, _, pids = start(lab, tmp_path, DEAF, kill_after=0.5)
    started = time.monotonic()
    child.stop()
    thread.join()
    assert 0.4 < time.monotonic() - started < 6
    assert all_gone(pids)
    report = StepReport.read(job.report_path)
    assert (report.outcome, report.exit_code) == ("stopped", -signal.SIGKILL)


def test_runtime_that_is_stuck(lab: Lab, tmp_path: Path) -> None:
    """A runtime that cannot answer is killed with all the rest when its time is over."""
    job, child, thread, codes, pids = start(lab, tmp_path, kill_after=0.1)
    child._patience = 1.0
    os.kill(pids[0], signal.SIGSTOP)
    child.stop()
    thread.join()
    assert all_gone(pids)
    assert codes == [-signal.SIGKILL]
    assert report_of(job, codes[0], stopped=child.stopping).outcome == "stopped"


def test_runtime_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """After a kill -9 of the runtime its script is found and ended, and the report says lost."""
    job, child, thread, codes, pids = start(lab, tmp_path)
    os.kill(pids[0], signal.SIGKILL)
    thread.join()
    assert all_gone(pids)
    report = report_of(job, codes[0], stopped=child.stopping)
    assert (report.outcome, report.fatal, report.exit_code) == ("error", False, None)
    assert "lost without a report (SIGKILL)" in report.message


def test_parent_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """When the process that started the runtime disappears, the step ends and tidies up itself."""
    path = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),)).write()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(path)])
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script", "child")]
    parent.kill()
    parent.wait()
    wait_for(lambda: all_gone(pids))
    assert not path.parent.exists()


def test_grandparent_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """When the supervisor above disappears, the process between notices and stops the step."""
    path = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),)).write()
    (tmp_path / "parent.py").write_text(PARENT)
    program = (
        "import subprocess, sys\n"
        "process = subprocess.Popen([sys.executable, *sys.argv[1:]])\n"
        "print(process.pid, flush=True)\n"
        "process.wait()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "parent.py"), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as above:
        parent = int(above.stdout.readline())
        pids = [pid_in(tmp_path / name) for name in ("runtime", "script", "child")]
        above.kill()
        wait_for(lambda: all_gone([parent, *pids]))


def test_everybody_killed_but_the_daemon(lab: Lab, tmp_path: Path) -> None:
    """Whoever knows the attempt's name can end all of it, later and from elsewhere."""
    script = "import os; os.setsid() if os.getpgrp() != os.getpid() else None\n" + DEAF
    path = lab.job(script, arguments=(Text(str(tmp_path)),)).write()
    attempt = path.parent.name.removeprefix("work-")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(path)])
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script", "child")]
    os.kill(pids[0], signal.SIGSTOP)
    parent.kill()
    parent.wait()
    os.kill(pids[0], signal.SIGKILL)
    wait_for(lambda: not is_alive(pids[0]))
    assert sorted(living(attempt)) == sorted(pids[1:])
    assert end_attempt(attempt, 0.2) == 2
    assert all_gone(pids)
    assert end_attempt(attempt, 0.2) == 0


def test_stop_before_and_during_staging(lab: Lab, tmp_path: Path) -> None:
    """A stop that comes before the script has started is a stop as well."""
    job = lab.job("open('started', 'w')", outputs=("out",))
    child = child_of(job)
    child.stop()
    code = child.run(lab.lines.append)
    assert report_of(job, code, stopped=child.stopping).outcome == "stopped"
    assert lab.leftovers() == []


@pytest.mark.parametrize("delay", [0.01, 0.03, 0.05, 0.08, 0.12, 0.2])
def test_stop_at_any_moment(lab: Lab, delay: float) -> None:
    """Whenever a stop comes, the step is either finished or stopped, and nothing is left."""
    job = lab.job("import time; open('outputs/x', 'w'); time.sleep(0.05)", outputs=("out",))
    child = child_of(job)
    timer = threading.Timer(delay, child.stop)
    timer.start()
    code = child.run(lab.lines.append)
    timer.join()
    report = report_of(job, code, stopped=child.stopping)
    assert report.outcome in ("finished", "stopped")
    committed = os.path.exists(job.outputs[0].destination)
    assert committed is (report.outcome == "finished")
    assert living(job.attempt) == []


HANDLED = """
import signal, sys
from airflow_aml.runtime.child import child_of, report_of
from airflow_aml.runtime.job import StepJob
job = StepJob.read(sys.argv[1])
child = child_of(job)
signal.signal(signal.SIGTERM, lambda *_: child.stop())
def late(*_):
    raise TimeoutError("execution_timeout")
signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))
try:
    code = child.run(lambda line: print(line, flush=True))
    print(report_of(job, code, stopped=child.stopping).outcome)
except TimeoutError as error:
    print("raised", error)
"""


def test_stop_from_a_signal_handler(lab: Lab, tmp_path: Path) -> None:
    """Airflow's way: the task process's own SIGTERM handler stops the step, then all goes on."""
    script = SLEEPER.replace("time.sleep(600)\n", "") + "while True: print('x' * 100)\n"
    path = lab.job(script, arguments=(Text(str(tmp_path)),)).write()
    task = subprocess.Popen(
        [sys.executable, "-c", HANDLED, str(path), "0"], stdout=subprocess.PIPE, text=True
    )
    reader_lines: list[str] = []
    reader = threading.Thread(target=lambda: reader_lines.extend(task.stdout))
    reader.start()
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script", "child")]
    task.terminate()
    assert task.wait(timeout=12) == 0
    reader.join()
    assert reader_lines[-1] == "stopped\n"
    assert all_gone(pids)


def test_timeout_that_is_raised_inside(lab: Lab, tmp_path: Path) -> None:
    """An execution timeout, raised out of nowhere, ends the step before it goes on."""
    path = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),)).write()
    command = [sys.executable, "-c", HANDLED, str(path), "0.7"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("raised execution_timeout\n")
    assert all_gone([pid_in(tmp_path / name) for name in ("runtime", "script", "child")])


def test_condition_that_stops(lab: Lab, tmp_path: Path) -> None:
    """A run that was cancelled elsewhere stops as soon as somebody asks."""
    job = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),))
    report = run_job(job, lab.lines.append, stop=(tmp_path / "child").exists)
    assert report.outcome == "stopped"
    assert living(job.attempt) == []


def test_line_that_the_reader_cannot_take(lab: Lab, tmp_path: Path) -> None:
    """An error in what reads the lines ends the step, and is the caller's to see."""

    def refuse(line: str) -> None:
        raise RuntimeError(line)

    job = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),))
    with pytest.raises(RuntimeError, match="ready"):
        run_job(job, refuse)
    assert living(job.attempt) == []


def test_reader_that_goes_away(lab: Lab, tmp_path: Path) -> None:
    """When nobody reads the output any more, the step ends."""
    path = lab.job("while True: print('x' * 1000)").write()
    command = [sys.executable, "-m", "airflow_aml.runtime", str(path)]
    runtime = subprocess.Popen(command, stdout=subprocess.PIPE)
    runtime.stdout.read(10_000)
    runtime.stdout.close()
    assert runtime.wait(timeout=10) == 128 + signal.SIGTERM
    assert "nobody reads" in StepReport.read(path.parent / "report.json").message


@pytest.mark.parametrize("stdin", ["closed", "null", "file"])
def test_stdin_that_nobody_holds_is_not_watched(lab: Lab, tmp_path: Path, stdin: str) -> None:
    """Without the flag, the end of stdin means nothing."""
    path = lab.job("import time; time.sleep(0.3); print('done')").write()
    source = {"closed": "<&-", "null": "</dev/null", "file": f"<{path}"}[stdin]
    command = f'"{sys.executable}" -m airflow_aml.runtime "{path}" {source}'
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "done\n")


def test_ctrl_c_in_a_terminal(lab: Lab, tmp_path: Path) -> None:
    """SIGINT stops a runtime that was started by hand."""
    path = lab.job(SLEEPER, arguments=(Text(str(tmp_path)),)).write()
    command = [sys.executable, "-m", "airflow_aml.runtime", str(path)]
    runtime = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script", "child")]
    runtime.send_signal(signal.SIGINT)
    assert runtime.wait(timeout=10) == 128 + signal.SIGTERM
    assert all_gone(pids)


def test_secrets_are_not_passed_on(lab: Lab, monkeypatch) -> None:
    """Neither the runtime nor the script is given Airflow's connection strings."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgres://pässwörd")
    monkeypatch.setenv("AIRFLOW_CONN_X", "pässwörd")
    monkeypatch.setenv("_AIRFLOW__STARTUP_MSG", "pässwörd")
    script = (
        "import os\n"
        "print('pässwörd' in open(f'/proc/{os.getppid()}/environ').read())\n"
        "print('pässwörd' in open('/proc/self/environ').read())\n"
    )
    lab.run(script)
    assert lab.lines == ["False", "False"]


def test_command_that_is_no_runtime(tmp_path: Path) -> None:
    """A child that is another program entirely is followed and ended just the same."""
    lines: list[str] = []
    child = Child([sys.executable, "-c", "print('x'); exit(4)"], attempt="none", kill_after=0.1)
    assert (child.run(lines.append), lines) == (4, ["x"])

"""The runtime as a fork: it has nothing of its parent's but the code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from laboratory import Lab, is_alive, pid_in, wait_for

from airflow_aml.runtime.job import StepReport, Text

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux alone")

PARENT = """
import os, signal, sys, threading
from airflow_aml.runtime.child import child_of, report_of
from airflow_aml.runtime.forked import fork_runtime
from airflow_aml.runtime.job import StepJob

print("of the parent", end=" ")  # not flushed
kept = open(sys.argv[2], "w")
job = StepJob.read(sys.argv[1])
if "thread" in sys.argv:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: child.stop())
signal.signal(signal.SIGUSR1, lambda *_: print("the parent's handler"))
child = child_of(job, forked=fork_runtime())
code = child.run(lambda line: print(line, flush=True))
report = report_of(job, code, stopped=child.stopping)
print(code, report.outcome)
"""

SCRIPT = """
import json, os, signal
above = os.getppid()
links = [f"/proc/{above}/fd/{name}" for name in os.listdir(f"/proc/{above}/fd")]
status = dict(line.split(":", 1) for line in open(f"/proc/{above}/status"))
print(json.dumps({
    "files": [os.readlink(link) for link in links if os.path.lexists(link)],
    "command": open(f"/proc/{above}/cmdline").read().replace(chr(0), " "),
    "folder": os.readlink(f"/proc/{above}/cwd"),
    "caught": int(status["SigCgt"], 16), "blocked": int(status["SigBlk"], 16),
    "sessions": len({os.getsid(pid) for pid in (0, above, PARENT)}),
    "secret": "AIRFLOW__API__SECRET" in os.environ,
}))
"""

UNUSED = """
import os, time
from airflow_aml.runtime.forked import fork_runtime
numbers = []
for _ in range(3):
    forked = fork_runtime()
    numbers.append(forked.pid)
    del forked
    os.waitid(os.P_PID, numbers[-1], os.WEXITED | os.WNOWAIT)
print(*[os.path.exists(f"/proc/{pid}") for pid in numbers])
"""

SLEEPER = """
import os, sys, time
for name, pid in (("script", os.getpid()), ("runtime", os.getppid())):
    with open(os.path.join(sys.argv[1], name + ".tmp"), "w") as stream:
        stream.write(str(pid))
    os.rename(os.path.join(sys.argv[1], name + ".tmp"), os.path.join(sys.argv[1], name))
time.sleep(600)
"""


def parent_of(lab: Lab, tmp_path: Path, script: str, *more: str):
    """A process that forks the runtime of a step, and the step's job."""
    job = lab.job(script, arguments=(Text(str(tmp_path)),))
    command = [sys.executable, "-c", PARENT, str(job.write()), str(tmp_path / "kept.txt"), *more]
    environ = {**os.environ, "AIRFLOW__API__SECRET": "x"}
    return job, subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


def facts_of(lab: Lab, tmp_path: Path, *more: str) -> tuple[dict, list[str]]:
    script = SCRIPT.replace("PARENT", "int(open(f'/proc/{above}/stat').read().split()[3])")
    _, parent = parent_of(lab, tmp_path, script, *more)
    first, *rest = parent.communicate()[0].splitlines()
    return json.loads(first.removeprefix("of the parent ")), rest


def test_nothing_of_the_parent(lab: Lab, tmp_path: Path) -> None:
    """Files, handlers, signal mask, session, variables and unwritten text stay the parent's."""
    facts, rest = facts_of(lab, tmp_path)
    assert "-c" in facts["command"]  # it is a fork: no command of its own
    assert not [name for name in facts["files"] if "kept.txt" in name]
    assert facts["folder"].startswith(str(tmp_path))
    assert not facts["caught"] & 1 << (signal.SIGUSR1 - 1)
    assert facts["caught"] & 1 << (signal.SIGTERM - 1)
    assert facts["blocked"] == 0
    assert facts["sessions"] == 3
    assert not facts["secret"]
    assert rest == ["0 finished"]


def test_beside_another_thread(lab: Lab, tmp_path: Path) -> None:
    """Where a fork could copy a lock that is held, the runtime is a program of its own."""
    facts, rest = facts_of(lab, tmp_path, "thread")
    assert "-m airflow_aml.runtime" in facts["command"]
    assert rest == ["0 finished"]


def test_parent_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """A kill -9 of the process that forked it ends the step."""
    _, parent = parent_of(lab, tmp_path, SLEEPER)
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script")]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(map(is_alive, pids)))


def test_stopped_by_the_parents_handler(lab: Lab, tmp_path: Path) -> None:
    """A task kill: the parent's handler of SIGTERM stops the fork, which has one of its own."""
    job, parent = parent_of(lab, tmp_path, SLEEPER)
    pids = [pid_in(tmp_path / name) for name in ("runtime", "script")]
    parent.terminate()
    printed = parent.communicate(timeout=15)[0]
    assert printed.split()[-2:] == [str(128 + signal.SIGTERM), "stopped"]
    wait_for(lambda: not any(map(is_alive, pids)))
    assert StepReport.read(job.report_path).exit_code == -signal.SIGTERM


def test_killed_outright(lab: Lab, tmp_path: Path) -> None:
    """A kill -9 of the fork ends its script, and the step counts as lost."""
    _, parent = parent_of(lab, tmp_path, SLEEPER)
    runtime, script = (pid_in(tmp_path / name) for name in ("runtime", "script"))
    os.kill(runtime, signal.SIGKILL)
    printed = parent.communicate(timeout=15)[0]
    assert printed.split()[-2:] == ["-9", "error"]
    assert not is_alive(script)


def test_never_used() -> None:
    """A fork that gets no job ends when nobody refers to it; the next one clears its remains."""
    command = [sys.executable, "-c", UNUSED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
    assert done.stderr == ""

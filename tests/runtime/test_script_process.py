"""Running a script: how it ends, what it says, what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from laboratory import Lab, is_alive, pid_in

from airflow_aml.runtime.job import RUNTIME_ERROR, StepJob, StepReport, Text


def test_script_that_ends_well(lab: Lab) -> None:
    """A script that ends well is finished, with its command and its time."""
    job = lab.job("import sys; print('hello', sys.argv[1:])", arguments=(Text("--x"), Text("a b")))
    code, report = lab.run_with_code(job)
    assert (code, report.outcome, report.exit_code) == (0, "finished", 0)
    assert report.command == (sys.executable, "-u", "step.py", "--x", "a b")
    assert lab.lines == ["hello ['--x', 'a b']"]
    assert 0 < report.seconds < 10
    assert report.warnings == ()


@pytest.mark.parametrize("number", [1, 2, 77, 121, 255])
def test_exit_code_is_the_scripts(lab: Lab, number: int) -> None:
    """A script's exit code is the runtime's, and the report tells its last words."""
    script = f"import sys; sys.stderr.write('first\\nlast'); sys.exit({number})"
    code, report = lab.run_with_code(lab.job(script))
    assert (code, report.outcome, report.exit_code) == (number, "script_failed", number)
    assert report.stderr_tail == ("first", "last")
    assert f"exit code {number}" in report.message


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "SIGKILL.*memory"), (signal.SIGSEGV, "SIGSEGV"), (signal.SIGTERM, "SIGTERM")],
)
def test_signal_is_named(lab: Lab, number: int, words: str) -> None:
    """A script ended by a signal that is not ours has failed, and the signal is named."""
    script = f"import os; os.kill(os.getpid(), {int(number)})"
    code, report = lab.run_with_code(lab.job(script))
    assert (code, report.outcome, report.exit_code) == (128 + number, "script_failed", -number)
    import re

    assert re.search(words, report.message)


def test_traceback_is_in_the_tail(lab: Lab) -> None:
    """An exception's traceback is in the log and at the end of the report."""
    report = lab.run("def f():\n    raise ValueError('no such column: ü')\nf()\n")
    assert report.stderr_tail[-1] == "ValueError: no such column: ü"
    assert lab.lines == list(report.stderr_tail)


def test_many_lines_pass_quickly(lab: Lab) -> None:
    """A hundred thousand lines arrive, in order, all of them, in little time."""
    script = "import sys\nfor n in range(100_000): sys.stdout.write(f'line {n} of many\\n')\n"
    started = time.monotonic()
    report = lab.run("import os, sys\nsys.stdout = open(1, 'w', buffering=65536)\n" + script)
    assert time.monotonic() - started < 5
    assert report.outcome == "finished"
    assert lab.lines == [f"line {n} of many" for n in range(100_000)]


def test_tail_is_bounded(lab: Lab) -> None:
    """However much a script says on stderr, the report keeps its last lines, cut to size."""
    script = (
        "import sys\n"
        "for n in range(1000): print(n, file=sys.stderr)\n"
        "print('x' * 30_000, file=sys.stderr)\n"
        "sys.exit(1)\n"
    )
    report = lab.run(script)
    assert len(report.stderr_tail) == 40
    assert report.stderr_tail[0] == "961"
    assert report.stderr_tail[-1] == "x" * 2000


def test_bytes_that_are_no_text(lab: Lab) -> None:
    """Bytes that are not UTF-8 are shown escaped, in the log and in the report."""
    script = (
        "import sys\n"
        "sys.stdout.buffer.write(b'caf\\xe9 \\xff\\n')\n"
        "sys.stderr.buffer.write(b'\\x00\\xfe bad\\n')\n"
        "sys.exit(3)\n"
    )
    report = lab.run(script)
    assert sorted(lab.lines) == ["\x00\\xfe bad", "caf\\xe9 \\xff"]
    assert report.stderr_tail == ("\x00\\xfe bad",)


def test_last_line_without_an_end(lab: Lab) -> None:
    """A last line that was never ended is a line too, on both streams."""
    report = lab.run("import sys; sys.stdout.write('out'); sys.stderr.write('err')")
    assert sorted(lab.lines) == ["err", "out"]
    assert report.stderr_tail == ("err",)


def test_two_streams_do_not_mix_in_a_line(lab: Lab) -> None:
    """Half a line on one stream does not run into a line of the other."""
    script = (
        "import os, time\n"
        "for n in range(5):\n"
        "    os.write(1, b'half and '); time.sleep(0.01)\n"
        "    os.write(2, b'error line\\n'); time.sleep(0.01)\n"
        "    os.write(1, b'half\\n'); time.sleep(0.01)\n"
    )
    lab.run(script)
    assert sorted(lab.lines) == ["error line"] * 5 + ["half and half"] * 5


def test_lines_come_as_they_are_printed(lab: Lab) -> None:
    """A line is seen while the script still runs."""
    seen: list[tuple[str, float]] = []
    from airflow_aml.runtime.child import run_job

    job = lab.job("import time\nprint('one')\ntime.sleep(1)\nprint('two')\n")
    run_job(job, lambda line: seen.append((line, time.monotonic())))
    assert [line for line, _ in seen] == ["one", "two"]
    assert seen[1][1] - seen[0][1] > 0.8


def test_progress_bars_are_cut(lab: Lab) -> None:
    """A line of a megabyte comes in pieces, and a carriage return at its end is dropped."""
    script = "import sys; sys.stdout.write('ü' * 500_000 + '\\r\\n' + 'done\\r\\n')"
    lab.run(script)
    assert lab.lines[-1] == "done"
    assert "".join(lab.lines[:-1]) == "ü" * 500_000
    assert max(map(len, lab.lines)) <= 65536


def test_script_gets_no_input(lab: Lab) -> None:
    """A script that asks for input finds none, and does not wait."""
    report = lab.run("print(repr(input('really? ')))")
    assert report.outcome == "script_failed"
    assert report.stderr_tail[-1].startswith("EOFError")


def test_background_process_that_holds_the_output(lab: Lab, tmp_path: Path) -> None:
    """A process that a script leaves running is ended, is named, and nobody waits for it."""
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "print('bye')\n"
    )
    started = time.monotonic()
    report = lab.run(script)
    assert time.monotonic() - started < 8
    assert (report.outcome, lab.lines) == ("finished", ["bye"])
    assert not is_alive(pid_in(tmp_path / "pid"))
    assert len(report.warnings) == 1
    assert "1 process behind (sleep)" in report.warnings[0]


DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for fd in range(3):
            os.close(fd)
        with open(sys.argv[1] + ".tmp", "w") as stream:
            stream.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".tmp", sys.argv[1])
        time.sleep(600)
    os._exit(0)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


def test_daemon_in_a_session_of_its_own(lab: Lab, tmp_path: Path) -> None:
    """A daemon that left session, group and parent and ignores SIGTERM ends with its step."""
    report = lab.run(DAEMON, arguments=(Text(str(tmp_path / "pid")),))
    assert report.outcome == "finished"
    assert not is_alive(pid_in(tmp_path / "pid"))
    assert "process behind" in report.warnings[0]


def test_helpers_that_end_by_themselves_are_not_mentioned(lab: Lab) -> None:
    """A helper that ends a moment after its script is no reason for a warning."""
    report = lab.run("import subprocess; subprocess.Popen(['sleep', '0.1'])")
    assert (report.outcome, report.warnings) == ("finished", ())


def test_process_that_hid_its_mark_still_ends(lab: Lab, tmp_path: Path) -> None:
    """A process of the script's group ends with it even where its environment says nothing."""
    script = (
        "import subprocess\n"
        "child = subprocess.Popen(['env', '-i', '/bin/sleep', '600'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    )
    assert lab.run(script).outcome == "finished"
    assert not is_alive(pid_in(tmp_path / "pid"))


def test_missing_script_is_named(lab: Lab) -> None:
    """A script that the source folder does not hold is named, beside what it holds."""
    code, report = lab.run_with_code(lab.job("", script="train.py"))
    assert (code, report.outcome, report.fatal) == (RUNTIME_ERROR, "error", True)
    said = "The source folder of the step 'a step' holds no script 'train.py'"
    assert report.message.startswith(said)
    assert "It holds: step.py" in report.message
    assert report.exit_code is None


@pytest.mark.parametrize("script", ["../step.py", "/etc/hostname", ".", "sub/../../x"])
def test_script_outside_of_the_folder_is_refused(lab: Lab, script: str) -> None:
    """A script is inside its source folder, or it is not run."""
    report = lab.run(lab.job("", script=script))
    assert (report.outcome, report.fatal) == ("error", True)


def test_interpreter_that_is_not_there(lab: Lab) -> None:
    """An interpreter that cannot be started is named."""
    report = lab.run(lab.job("", interpreter="/nowhere/python"))
    assert (report.outcome, report.fatal) == ("error", True)
    assert "/nowhere/python" in report.message


def test_arguments_that_are_too_long(lab: Lab) -> None:
    """Arguments that the system does not take are an error, not a traceback."""
    report = lab.run(lab.job("", arguments=(Text("x" * 3_000_000),)))
    assert (report.outcome, report.fatal) == ("error", True)
    assert "too long" in report.message
    report = lab.run(lab.job("", arguments=(Text("a\0b"),)))
    assert (report.outcome, report.fatal) == ("error", True)


def test_arguments_are_never_a_shells(lab: Lab) -> None:
    """Quotes, dollars, newlines and empty texts arrive as they are."""
    values = ["", "a b", "'\"", "$HOME", "`id`", ";ls", "*", "\n", "ü", "--", "-"]
    report = lab.run(
        lab.job(
            "import json, sys; print(json.dumps(sys.argv[1:]))",
            arguments=tuple(Text(value) for value in values),
        )
    )
    import json

    assert json.loads(lab.lines[0]) == values
    assert report.command[3:] == tuple(values)


def test_damaged_snapshot_may_be_tried_again(lab: Lab) -> None:
    """A snapshot that cannot be read is the infrastructure's fault."""
    job = lab.job("print(1)")
    Path(job.snapshot).write_bytes(b"")
    report = lab.run(job)
    assert (report.outcome, report.fatal) == ("error", False)
    assert "Run the pipeline again" in report.message


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 99}', "nonsense", '{"version": 1}'])
def test_job_that_is_none(tmp_path: Path, text: str) -> None:
    """What is not a job of this release still gets a report that says so."""
    (tmp_path / "job.json").write_text(text)
    command = [sys.executable, "-m", "airflow_aml.runtime", str(tmp_path / "job.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (RUNTIME_ERROR, "")
    report = StepReport.read(tmp_path / "report.json")
    assert report.outcome == "error"
    assert "cannot be read" in report.message


def test_job_without_its_defaults(lab: Lab) -> None:
    """A job that another program wrote, without what is default, is read as well."""
    import json

    from airflow_aml.codec import encode

    job = lab.job("print('hi')", arguments=(Text("x"),), outputs=("out",))
    path = job.write()
    assert StepJob.read(path) == job
    path.write_text(json.dumps(encode(job)))
    assert StepJob.read(path) == job
    command = [sys.executable, "-m", "airflow_aml.runtime", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "hi\n")


def test_terminal_use(lab: Lab) -> None:
    """Started by hand, with nothing on stdin, it runs and keeps the two streams apart."""
    path = lab.job("import sys; print('out'); print('err', file=sys.stderr)").write()
    command = [sys.executable, "-m", "airflow_aml.runtime", str(path)]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "out\n", "err\n")
    no_job = subprocess.run(command[:-1], capture_output=True, text=True, check=False)
    assert (no_job.returncode, "usage" in no_job.stderr) == (RUNTIME_ERROR, True)


def test_cwd_is_a_copy(lab: Lab) -> None:
    """A script runs in a copy of its sources, with outputs and logs, and may change it freely."""
    script = (
        "import os\n"
        "print(sorted(os.listdir()))\n"
        "os.remove('step.py'); open('new', 'w').close(); os.chmod('.', 0o700)\n"
    )
    job = lab.job(script, files={"lib/util.py": ""})
    assert lab.run(job).outcome == "finished"
    assert lab.lines == ["['lib', 'logs', 'outputs', 'step.py']"]
    assert os.path.isdir(os.path.join(job.work, "src"))


def test_sources_are_importable(lab: Lab) -> None:
    """Modules beside the script and at the top of the source folder are found."""
    script = "import helper, common.tools; print(helper.x, common.tools.y, __file__)"
    files = {"deep/run.py": script, "deep/helper.py": "x = 1", "common/tools.py": "y = 2"}
    assert lab.run(lab.job("", script="deep/run.py", files=files)).outcome == "finished"
    assert lab.lines[0].startswith("1 2 ")
    assert lab.lines[0].endswith("deep/run.py")

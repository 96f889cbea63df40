"""Who waits for a run in a terminal sees a table of its steps, drawn again and again."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress

PROGRAM = """
from airflow_aml import Experiment, Pipeline, PythonScriptStep, Workspace

run = Experiment(Workspace(), "shown").submit(Pipeline(Workspace(), [PythonScriptStep("a.py")]))
run.wait_for_completion(show_output=True)
"""


def test_the_steps_are_drawn_over(tmp_path):
    """Without an Airflow to ask, too; what the script prints is in its log, not on the table."""
    (tmp_path / "a.py").write_text("print('a line of the script')")
    (tmp_path / "program.py").write_text(PROGRAM)
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW__AML__WORKSPACE": str(tmp_path / "ws"), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how the end of a terminal is told
        while part := os.read(ours, 1 << 16):
            shown += part
    os.close(ours)

    assert program.wait() == 0, shown.decode()
    text = shown.decode()
    assert "\x1b[2A\x1b[JPipelineRun Status: Finished\r\n  a.py  \x1b[32mFinished\x1b[0m" in text
    assert "1 step: 1 ran in" in text
    assert "a line of the script" not in text

"""A run that was killed holds up no later one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_aml import Workspace
from airflow_aml.cli import main

COMMAND = [str(Path(sys.executable).with_name("airflow-aml")), "run", "p.py"]

SCRIPT = """
    import os, sys, time
    out, place = sys.argv[1:]
    if not os.path.exists(place):
        open(place, "w").close()
        time.sleep(600)
    open(os.path.join(out, "t"), "w").close()
"""


def test_the_run_after_a_killed_one_starts_at_once(write, tmp_path, workspace, capsys):
    """kill -9 of all that belongs to a run leaves its lease; its process is seen to be gone."""
    begun = tmp_path / "begun"
    write("slow/slow.py", SCRIPT)
    write(
        "p.py",
        f"""
        from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep
        slow = PythonScriptStep("slow.py", name="slow", source_directory="slow",
                                arguments=[OutputFileDatasetConfig("out"), {str(begun)!r}])
        pipeline = Pipeline("ws", [slow])
        """,
    )
    folder = tmp_path / "dags"
    with subprocess.Popen(
        COMMAND, cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True
    ) as first:
        deadline = time.monotonic() + 120
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(first.pid, signal.SIGKILL)
    listed = subprocess.run(
        [COMMAND[0], "runs"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert " Failed " in listed.stdout
    assert main(["explain", "latest"]) == 0
    assert "Failed  slow  it was lost: the process that ran it is gone" in capsys.readouterr().out
    (experiment,) = Workspace().experiments.values()
    (run,) = experiment.get_runs()
    assert next(run.get_steps()).reason == "it was lost: the process that ran it is gone"
    assert run.get_details()["endTimeUtc"] >= run.get_details()["startTimeUtc"]

    second = subprocess.run(
        COMMAND, cwd=folder, capture_output=True, text=True, timeout=90, check=False
    )

    assert second.returncode == 0, second.stderr
    assert "  Finished  slow" in second.stdout

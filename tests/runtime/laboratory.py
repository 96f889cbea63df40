"""Steps that really run: sources, a workspace, and jobs made from them."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Callable

from airflow_aml.runtime.child import child_of, report_of, run_job
from airflow_aml.runtime.job import JobOutput, StepJob, StepReport
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.snapshots import take


class Lab:
    """A workspace, and steps to run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home: Home = open_home(str(folder / "workspace"))
        self.lines: list[str] = []

    def job(self, text: str = "", /, *, outputs: tuple = (), **members) -> StepJob:
        """A job whose script is that text; ``outputs`` are names, or JobOutputs to complete."""
        attempt = uuid.uuid4().hex
        source = self.folder / f"src-{attempt}"
        source.mkdir()
        (source / "step.py").write_text(text, encoding="utf-8")
        for name, content in members.pop("files", {}).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(content, encoding="utf-8")
        work = self.folder / f"work-{attempt}"
        work.mkdir()
        run_id = members.pop("run_id", attempt)
        job = StepJob(
            attempt=attempt,
            run_id=run_id,
            root_run_id="root",
            step="a step",
            work=str(work),
            snapshot=str(take(source, self.home).path),
            script=members.pop("script", "step.py"),
            interpreter=members.pop("interpreter", sys.executable),
            record=str(self.folder / f"record-{attempt}"),
            kill_after=members.pop("kill_after", 5.0),
            **members,
        )
        return replace(job, outputs=tuple(self._output(job, each) for each in outputs))

    def _output(self, job: StepJob, output: str | JobOutput) -> JobOutput:
        given = JobOutput(output, "", "") if isinstance(output, str) else output
        staging = self.home.path(f"{layout.staging(job.attempt)}/{given.name}")
        destination = self.home.path(layout.data(job.run_id, given.name))
        return replace(
            given,
            staging=given.staging or str(staging),
            destination=given.destination or str(destination),
        )

    def run(self, job: StepJob | str, **members) -> StepReport:
        """Runs a job, or a script, and remembers its lines."""
        job = self.job(job, **members) if isinstance(job, str) else job
        self.lines = []
        return run_job(job, self.lines.append)

    def run_with_code(self, job: StepJob) -> tuple[int, StepReport]:
        """Runs a job; the runtime's own exit code beside the report."""
        self.lines = []
        code = child_of(job).run(self.lines.append)
        return code, report_of(job, code)

    def leftovers(self) -> list[str]:
        """What attempts have left in the workspace's staging area."""
        staging = self.home.path("staging")
        return sorted(os.listdir(staging)) if staging.exists() else []


def is_alive(pid: int) -> bool:
    """Whether that process runs; one that nobody has reaped does not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> object:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def pid_in(path: Path) -> int:
    """The process id that a script wrote into that file, as soon as it is there."""
    return int(wait_for(lambda: path.exists() and path.read_text().strip()))

"""Runs of the pipeline in ``chain``: what is killed of them and when, and what is left after it.

The moment is found by looking at the files of the workspace, as they appear one after the other.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from airflow_aml.reuse import lease
from airflow_aml.reuse.layout import LEASES, ROOT
from airflow_aml.runtime import COOKIE
from airflow_aml.workspace import layout, manifests
from airflow_aml.workspace.home import Home, open_home, path_of_uri
from scripts.local_airflow import LocalAirflow

CHAIN = Path(__file__).parent / "chain"
STEPS = ("make", "turn", "last")
STAGES = ("planned", "started", "script", "written", "committing", "committed", "recorded")
PATIENCE = 400  # of a loaded machine
ONE_BY_ONE = threading.Lock()
"""SQLite: of runs that are triggered in the same moment some would wait for a minute."""


@dataclass(frozen=True)
class Kill:
    """What is killed, at which stage of which step."""

    victim: str
    stage: str
    step: str = "turn"

    def __str__(self) -> str:
        return f"{self.victim} of {self.step}, {self.stage}"


@dataclass
class ChainRun:
    """One run of the pipeline."""

    airflow: LocalAirflow
    notes: Path
    files: int
    dag_id: str = "chain"
    pause: float = 0.0
    run_id: str = ""
    tries: dict[str, str] = field(default_factory=dict)

    def begin(self) -> ChainRun:
        """Triggers it."""
        rest = self.airflow.rest
        conf = {"notes": str(self.notes), "files": self.files, "pause": self.pause}
        with ONE_BY_ONE:
            self.run_id = rest.trigger(self.dag_id, conf)
        self.tries = {
            each["task_id"]: each["id"] for each in rest.task_instances(self.dag_id, self.run_id)
        }
        return self

    def end(self) -> str:
        """Waits for its end and returns its state."""
        return str(self.airflow.rest.wait(self.dag_id, self.run_id, timeout=PATIENCE)["state"])

    @cached_property
    def home(self) -> Home:
        return open_home(str(self.airflow.home.workspace))

    @property
    def id(self) -> str:
        return layout.pipeline_run_id(self.home.uuid, self.dag_id, self.run_id)

    def step_run(self, step: str) -> str:
        return layout.step_run_id(self.id, step)

    def xcoms(self, step: str) -> dict[str, Any]:
        return self.airflow.rest.xcoms(self.dag_id, self.run_id, step)

    def status(self, step: str) -> str:
        return str(self.xcoms(step)["return_value"]["status"])

    def tries_of(self, step: str) -> int:
        """How often Airflow has tried it."""
        task = self.airflow.rest.task_instance(self.dag_id, self.run_id, step)
        return int(task["try_number"])

    def has_reached(self, step: str, stage: str) -> bool:
        """Whether the files of that stage are there."""
        home, run = self.home, self.step_run(step)
        if stage == "planned":
            return home.path(layout.plan(self.id)).exists()
        if stage == "started":
            return any(lease_of(each, self.run_id, step) for each in home.path(LEASES).glob("*/*"))
        if stage in ("script", "written"):
            process = self.script(step)
            return process is not None and (stage == "script" or not alive(process))
        if stage == "committing":
            return home.path(layout.data(run, f"{step}_out")).exists()
        if stage == "committed":
            return home.path(layout.manifest(run, f"{step}_out")).exists()
        return bool(list(home.path(ROOT).glob(f"??/*/*-{run}.json")))

    def stage(self, step: str) -> str:
        """How far a step has come."""
        return next((each for each in reversed(STAGES) if self.has_reached(step, each)), "nothing")

    def script(self, step: str) -> int | None:
        """The id of the process that the step's script is, or was."""
        try:
            return int((self.notes / f"{step}-{self.step_run(step)}.pid").read_text())
        except FileNotFoundError:
            return None

    def processes(self, step: str) -> tuple[int, int] | None:
        """Airflow's supervisor and the task's own process, whose titles have the try's id."""
        try_id = self.tries[step].encode()
        found = [
            psutil.Process(int(entry.name))
            for entry in os.scandir("/proc")
            if entry.name.isdigit() and try_id in read(f"/proc/{entry.name}/cmdline")
        ]
        for each in found:
            for other in found:
                if other.ppid() == each.pid:
                    return each.pid, other.pid
        return None


def know_chain(airflow: LocalAirflow, dag_id: str) -> None:
    """Sees to it that this Airflow has the pipeline."""
    if not (airflow.dags_folder / "chain").exists():
        shutil.copytree(CHAIN, airflow.dags_folder / "chain")
    airflow.rest.wait_for_dag(dag_id)


def kill(run: ChainRun, what: Kill) -> str:
    """Waits for the moment and kills; returns how far the step had really come."""
    task_id = "reuse" if what.stage == "planned" else what.step
    supervisor, task = until(f"the processes of {task_id}", lambda: run.processes(task_id))
    until(f"the stage {what.stage}", lambda: run.has_reached(what.step, what.stage))
    if what.victim == "scheduler":
        run.airflow.restart("scheduler")
    elif what.victim == "script":
        process = run.script(what.step)
        assert process is not None
        send(process)
    elif what.victim == "all":
        send(task, signal.SIGSTOP)  # so that it stays at this stage while its family is looked up
        family = psutil.Process(supervisor).children(recursive=True)
        for each in (supervisor, *(child.pid for child in family)):
            send(each)
    else:
        send({"task": task, "supervisor": supervisor}[what.victim])
    return run.stage(what.step)


def send(process: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Sends a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def undisturbed(notes: Path, files: int, folder: Path) -> dict[str, str]:
    """The digest of each step's output as its script writes it on its own, without Airflow."""
    notes = folder / notes.name
    notes.mkdir(parents=True)
    digests: dict[str, str] = {}
    before: list[str | Path] = []
    for step in STEPS:
        out = folder / step
        words = ["--name", step, "--notes", notes, "--files", str(files), "--out", out, *before]
        script = str(CHAIN / "steps" / "many.py")
        subprocess.run([sys.executable, script, *map(str, words)], check=True)
        digests[step] = manifests.build(out).digest
        before = ["--source", out]
    shutil.rmtree(folder)
    return digests


def outputs_are(run: ChainRun, digests: dict[str, str]) -> None:
    """Each output of a run that succeeded is whole: files, reference and manifest agree."""
    for step, digest in digests.items():
        reference = run.xcoms(step)[f"{step}_out"]
        place = Path(path_of_uri(reference["uri"]))
        assert manifests.build(place).digest == digest == reference["digest"], step
        assert reference["files"] == run.files, step
        document = place.with_name(f"{place.name}.manifest.json").read_text()
        assert f'"{digest}"' in document, step


def nothing_is_left(run: ChainRun) -> None:
    """No process, no staging folder and no lease of a run's steps."""
    marks = {f"{COOKIE}={run.step_run(step)}".encode() for step in STEPS}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            environ = read(f"/proc/{entry.name}/environ")
            assert not any(mark in environ for mark in marks), read(f"/proc/{entry.name}/cmdline")
    for folder in (run.home.path(layout.staging("")), Path(tempfile.gettempdir(), "airflow-aml")):
        for step in STEPS:
            assert list(folder.glob(f"{run.step_run(step)}-*")) == [], step
    for folder in run.home.path(LEASES).glob("*"):
        held = lease.holder(run.home, f"sha256:{folder.name}")
        assert held is None or held.owner.run_id != run.run_id, held


def lease_of(path: Path, run_id: str, step: str) -> bool:
    """Whether that document is a lease of that task."""
    text = read(path).decode()
    return f'"{run_id}"' in text and f'"task_id": "{step}"' in text


def executions(notes: Path) -> dict[str, int]:
    """How often each script was started."""
    return {step: len((notes / f"{step}.runs").read_text().split()) for step in STEPS}


def read(path: str | Path) -> bytes:
    """A file that may be gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def alive(process: int) -> bool:
    """Whether it executes; a zombie does not."""
    state = read(f"/proc/{process}/stat").rpartition(b") ")[2][:1]
    return state not in (b"", b"Z", b"X")


def until(what: str, found: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Looks without a pause that a stage could slip through, until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.0005)
    return answer

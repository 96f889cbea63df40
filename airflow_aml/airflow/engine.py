"""``submit`` without a running Airflow: one process per run, with the same DAG (architecture 7).

The submission is a folder in the workspace, ``submitted/<id>/``, with ``submission.json``, the
child's ``process.json``, the run's ``log.txt`` and, at its end, ``outcome.json``. The child goes on
when the program that started it ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from airflow_aml.codec import decode, encode
from airflow_aml.definition.engine import Engine, api_url
from airflow_aml.definition.experiment import Experiment
from airflow_aml.definition.names import slug
from airflow_aml.definition.published import dag_id_of
from airflow_aml.definition.runs.pipelinerun import PipelineRun
from airflow_aml.definition.runs.progress import is_terminal, summary
from airflow_aml.definition.runs.waiting import ENDED
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.definition.workspace import Workspace
from airflow_aml.workspace import layout
from airflow_aml.workspace.documents import read_json, write_json
from airflow_aml.workspace.heartbeat import beat
from airflow_aml.workspace.home import WORKSPACE_VARIABLE, default_url, open_home
from airflow_aml.workspace.process import Process
from airflow_aml.workspace.published import Frozen
from airflow_aml.workspace.submitted import Submitted, is_canceled, mark_canceled, write_submitted

if TYPE_CHECKING:
    from airflow_aml.airflow.inprocess import RunOutcome
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.published import Published

_POLL = 0.2


@dataclass(frozen=True)
class Submission:
    """What the child process is told. ``run_after`` is the run's moment, ISO 8601 with offset."""

    spec: dict[str, Any]
    dag_id: str
    folder: str
    run_after: str
    parameters: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    frozen: dict[str, Any] = field(default_factory=dict)


class ChildProcessEngine:
    """Runs every submitted pipeline in a process of its own."""

    def built(self, pipeline: Pipeline) -> None:
        """Nothing comes of a pipeline that is only built."""

    def submit(
        self,
        pipeline: Pipeline,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Starts the run and returns at once."""
        submission = Submission(
            spec=pipeline.spec.to_dict(),
            dag_id=slug(experiment_name, fallback="pipeline"),
            folder=pipeline.folder,
            run_after=datetime.now(UTC).isoformat(),
            parameters=dict(parameters),
            settings={**options, "experiment_name": experiment_name},
        )
        return _begun(submission, experiment_name)

    def submit_published(
        self,
        published: Published,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Starts a run of what was published, and returns at once."""
        submission = Submission(
            spec=published.spec,
            dag_id=dag_id_of(published),
            folder=published.folder,
            run_after=datetime.now(UTC).isoformat(),
            parameters=dict(parameters),
            settings={**options, "experiment_name": experiment_name},
            frozen=encode(published.frozen),
        )
        return _begun(submission, experiment_name)


def _begun(submission: Submission, experiment_name: str) -> ChildRun:
    url = default_url(os.environ)
    home = open_home(url)
    airflow_run = f"manual__{submission.run_after}"
    run_id = layout.pipeline_run_id(home.uuid, submission.dag_id, airflow_run)
    folder = _folder(home, run_id)
    folder.mkdir(parents=True)
    write_submitted(home, run_id, Submitted(submission.dag_id, airflow_run, experiment_name))
    beat(home, run_id)  # it may be lost before it begins to beat by itself
    write_json(folder / "submission.json", encode(submission))
    with (folder / "log.txt").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "airflow_aml.airflow.engine", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, WORKSPACE_VARIABLE: url},
            start_new_session=True,
        )
    write_json(folder / "process.json", asdict(Process.here(child.pid)))
    return ChildRun(run_id, experiment_name, folder, child)


class ChildRun(PipelineRun):
    """A run in a child process."""

    def __init__(
        self, run_id: str, experiment_name: str, folder: Path, child: subprocess.Popen[bytes]
    ):
        experiment = Experiment.of_run(Workspace(), experiment_name)
        super().__init__(experiment, run_id, _is_known=True)
        self._folder = folder
        self._process = child

    def get_status(self) -> str:
        """``Running``, ``Finished``, ``Failed`` or ``Canceled``."""
        if self._process.poll() is None:
            return "Running"
        if is_canceled(self._home, self.id):
            return "Canceled"
        return str(self._outcome().get("status", "Failed"))

    def cancel(self) -> None:
        """Ends the run: the steps at work are ended with all of their processes."""
        if self._process.poll() is None:
            _end(self._home, self.id, self._process.pid)
            self._process.wait()

    def _watch(self, out: TextIO, deadline: float) -> str:
        if is_terminal(out):
            return super()._watch(out, deadline)
        with (self._folder / "log.txt").open(encoding="utf-8", errors="replace") as log:
            for text in self._follow(log, deadline):
                out.write(text)
                out.flush()
        status, steps = self._progress()
        if status in ENDED:
            out.write(summary(self._kind, status, steps))
        return status

    def _follow(self, log: IO[str], deadline: float) -> Iterator[str]:
        while True:
            running = self._process.poll() is None
            text = log.read()
            if text:
                yield text
            elif not running or time.monotonic() > deadline:
                return
            else:
                time.sleep(_POLL)

    def _outcome(self) -> dict[str, Any]:
        try:
            outcome: dict[str, Any] = read_json(self._folder / "outcome.json")
        except FileNotFoundError:
            return {}
        return outcome

    def _failure(self) -> str:
        outcome = self._outcome()
        failed = [step for step in outcome.get("steps", []) if step["status"] == "Failed"]
        if failed:
            return json.dumps([{"step": step["name"], "error": step["reason"]} for step in failed])
        log = self._folder / "log.txt"
        return outcome.get("reason") or f"the run ended without an outcome; see {log}"


def cancel_here(home: Home, run_id: str) -> bool:
    """Ends a run that any program of this host has submitted, with all processes of its steps.

    Returns:
        Whether there is such a run; one that has ended stays as it is.
    """
    process = _process(home, run_id)
    if process is None:
        return False
    if not process.is_gone():
        _end(home, run_id, process.pid)
    while not process.is_gone():
        time.sleep(_POLL)
    return True


def is_alive(home: Home, run_id: str) -> bool | None:
    """Whether the process lives that runs it; None where there is none on this host."""
    from airflow_aml.airflow.inprocess import runner_file

    process = _process(home, run_id) or _read_process(runner_file(home, run_id))
    return None if process is None else not process.is_gone()


def _process(home: Home, run_id: str) -> Process | None:
    return _read_process(_folder(home, run_id) / "process.json")


def _read_process(path: Path) -> Process | None:
    try:
        process = Process.of_document(read_json(path))
    except FileNotFoundError:
        return None
    return process if process is not None and process.is_here() else None


def _end(home: Home, run_id: str, pid: int) -> None:
    mark_canceled(home, run_id)
    with suppress(ProcessLookupError):  # it ends just now
        os.killpg(pid, signal.SIGTERM)


def _folder(home: Home, run_id: str) -> Path:
    from airflow_aml.airflow.inprocess import engine_root

    return engine_root(home) / "submitted" / run_id


def acting_engine() -> Engine:
    """The engine of programs that run outside Airflow: a running Airflow, if they know one."""
    if api_url():
        from airflow_aml.airflow.remote import RemoteEngine

        return RemoteEngine()
    return ChildProcessEngine()


def run_submission(folder: Path) -> RunOutcome:
    """Runs what was submitted; the child process's part."""
    from airflow_aml.airflow.inprocess import airflow_home, engine_root, run_pipeline

    submission = decode(Submission, read_json(folder / "submission.json"))
    home = open_home(default_url(os.environ))
    with airflow_home(engine_root(home), _tell):
        outcome = run_pipeline(
            PipelineSpec.from_dict(submission.spec),
            dag_id=submission.dag_id,
            folder=submission.folder,
            parameters=submission.parameters,
            settings=submission.settings,
            tell=_tell,
            run_after=datetime.fromisoformat(submission.run_after),
            frozen=decode(Frozen, submission.frozen) if submission.frozen else None,
        )
    write_json(folder / "outcome.json", asdict(outcome))
    return outcome


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _main(folder: Path) -> int:
    try:
        return 0 if run_submission(folder).status == "Finished" else 1
    except KeyboardInterrupt:  # whoever sent that has marked the run; its steps have ended
        _tell("the run was canceled")
        return 128 + signal.SIGTERM


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))

"""What a pod is sent to do, kept in the workspace: whoever comes next can go on with it.

A step in a pod outlives the process that started it. Everything that its end needs lies beside its
job: why it runs, under which key its result is recorded, which run in MLflow it has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from airflow_aml.airflow.steps.assemble import StepRun
from airflow_aml.codec import decode
from airflow_aml.errors import WorkspaceException
from airflow_aml.reuse.fingerprint import Fingerprint
from airflow_aml.reuse.walk import RUN, Decision
from airflow_aml.runtime import is_uri, recording
from airflow_aml.runtime.hidden import reads_file
from airflow_aml.runtime.job import StepJob, StepReport
from airflow_aml.workspace import layout
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.journal import JOURNAL


@dataclass(frozen=True)
class Errand:
    """One attempt at a step in a pod.

    Attributes:
        reason, fingerprint: of the decision that the step runs.
        seconds: how long its script may run.
        mlflow: its run there, as a document.
    """

    job: StepJob
    namespace: str
    pod: str
    reason: str
    fingerprint: Fingerprint | None = None
    seconds: float | None = None
    mlflow: Mapping[str, Any] | None = None

    @property
    def attempt(self) -> str:
        """The name of the attempt."""
        return self.job.attempt

    @property
    def decision(self) -> Decision:
        """Why the step runs, and as what its result is recorded."""
        return Decision(RUN, self.reason, self.fingerprint)

    def is_for(self, decision: Decision) -> bool:
        """Whether its result will be what that decision asks for."""
        return (
            self.fingerprint is not None
            and decision.fingerprint is not None
            and self.fingerprint.digest == decision.fingerprint.digest
        )

    def is_of_try(self, run: StepRun) -> bool:
        """Whether it was begun by that try at the step, and not by an earlier one."""
        return self.attempt.startswith(run.attempts)

    def keep(self, home: Home) -> None:
        """Writes it to its place, where its pod and later processes find it."""
        home.store.write(layout.errand(self.attempt), json.dumps(asdict(self)).encode())

    def forget(self, home: Home) -> None:
        """Removes all that lies at its place."""
        folder = layout.staging(self.attempt) + "/"
        home.store.delete([each.path for each in home.store.find(folder)])
        if home.is_local:
            from airflow_aml.airflow.steps.lost import remove_at_once

            remove_at_once(home.path(layout.staging(self.attempt)))

    def answer(self, home: Home) -> Answer | None:
        """What its pod says of its end; None if it has said nothing."""
        document = _document(home, layout.answer(self.attempt))
        if document is None:
            return None
        report = decode(StepReport, document["report"])
        return Answer(report, document["reads"], document["journal"], document["over"])


@dataclass(frozen=True)
class Answer:
    """What a pod says of its end.

    Attributes:
        reads: what the script asked the workspace for; journal: what it noted, where that was sent.
        over: whether its time was over.
    """

    report: StepReport
    reads: str
    journal: str
    over: bool

    def unpacked(self, errand: Errand, folder: Path) -> StepJob:
        """The job as if it had been done in that folder: what it has left is there."""
        job = replace(errand.job, work=str(folder))
        files = {reads_file(job.work): self.reads}
        if is_uri(job.record):
            files[f"{recording.folder_of(job)}/{JOURNAL}"] = self.journal
        for path, text in files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if text:
                Path(path).write_text(text, encoding="utf-8")
        return job


def read_errand(home: Home, attempt: str) -> Errand | None:
    """The errand of that attempt; None if there is none.

    Raises:
        WorkspaceException: it cannot be read.
    """
    document = _document(home, layout.errand(attempt))
    if document is None:
        return None
    given = document.pop("fingerprint")
    job = decode(StepJob, document.pop("job"))
    return Errand(job=job, fingerprint=Fingerprint(**given) if given else None, **document)


def earlier_errands(run: StepRun) -> list[Errand]:
    """The errands that earlier tries at a step have left."""
    names = (each.rstrip("/") for each in run.home.store.children(layout.staging("")))
    found = (read_errand(run.home, name) for name in names if name.startswith(f"{run.id}-"))
    return [each for each in found if each is not None]


def fetch_record(home: Home, job: StepJob) -> None:
    """Brings the record of a step, which was sent to the workspace, to the job's folder here."""
    if not is_uri(job.record):
        return
    place = job.record[len(home.url) :].strip("/") + "/"
    folder = Path(recording.folder_of(job))
    found = [each.path for each in home.store.find(place)]
    home.store.download([(path, str(folder / path[len(place) :])) for path in found])


def _document(home: Home, place: str) -> Any:
    try:
        return json.loads(home.store.read(place))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise WorkspaceException(f"it is not JSON: {error}.", where=home.uri(place)) from error

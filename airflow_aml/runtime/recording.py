"""The record of one attempt: its journal, its logs, and the files that its script leaves.

::

    journal.jsonl                        what the script noted (``workspace.journal``)
    files/outputs/..., files/logs/...    what it left in ./outputs and ./logs
    files/logs/azureml/stdoutlogs.txt    all of its stdout; stderrlogs.txt: of its stderr
    files/<name>                         what it gave to ``upload_file`` and ``log_image``
    of/<run id>/files/<name>             the same, of its pipeline run or a child run of its own

Where the workspace is a folder of this machine the record grows at its place, so that it outlives
whatever happens to the attempt and can be read meanwhile. Else it grows in the attempt's scratch
folder and is sent when the script has ended, however it ended.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, List, Optional, Tuple

from airflow_aml.errors import AirflowAmlError
from airflow_aml.runtime import is_uri
from airflow_aml.runtime.keep import move
from airflow_aml.runtime.stage import KEPT_FOLDERS, remove
from airflow_aml.workspace.journal import JOURNAL, STREAMS, Journal, Note

if TYPE_CHECKING:
    from airflow_aml.runtime.job import StepJob
    from airflow_aml.runtime.places import Places
    from airflow_aml.runtime.process import Sink

    Warn = Callable[[str], None]

FILES = "files"
OTHERS = "of"


def folder_of(job: StepJob) -> str:
    """The local folder in which the job's record grows."""
    return os.path.join(job.work, "record") if is_uri(job.record) else job.record


def begin(job: StepJob) -> None:
    """Removes what an earlier attempt at the same step run recorded, and notes the properties."""
    folder = folder_of(job)
    for name in (JOURNAL, FILES, OTHERS):
        remove(os.path.join(folder, name))
    _note(job, [{"property": name, "value": value} for name, value in job.properties.items()])


def _note(job: StepJob, notes: List[Note]) -> None:
    """Adds to the journal. That it cannot be written is said by whoever keeps the logs."""
    journal = Journal(os.path.join(folder_of(job), JOURNAL))
    with suppress(OSError):
        for note in notes:
            journal.note(note)
    journal.close()


def keeping(job: StepJob, sinks: Tuple[Sink, Sink], warn: Warn) -> Tuple[Sink, Sink]:
    """The sinks of the script's stdout and stderr, each with a file beside it."""
    folder = os.path.join(folder_of(job), FILES)
    out, err = (
        _Kept(sink, os.path.join(folder, name), warn).write for sink, name in zip(sinks, STREAMS)
    )
    return out, err


class _Kept:
    """A sink that keeps what passes through it. That its file cannot be written stops nothing."""

    def __init__(self, sink: Sink, path: str, warn: Warn) -> None:
        self._sink = sink
        self._path = path
        self._warn = warn
        self._descriptor: Optional[int] = None
        self._broken = False

    def write(self, data: bytes) -> None:
        if not self._broken:
            self._keep(data)
        self._sink(data)

    def _keep(self, data: bytes) -> None:
        try:
            if self._descriptor is None:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o644)
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._broken = True
            self._warn(f"The step's own log is not kept any further: {error}.")

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def finish(job: StepJob, source: str, warn: Warn, remote: Callable[[], Places]) -> None:
    """Adds what the script left in ``./outputs`` and ``./logs``, and sends the record if it is not
    at its place already."""
    folder = folder_of(job)
    if job.properties:  # it was begun with them
        _note(job, [{"ended": job.attempt}])
    try:
        for name in KEPT_FOLDERS:
            left = os.path.join(source, name)
            if os.path.isdir(left) and not os.path.islink(left) and os.listdir(left):
                _keep_fit(left, name, warn)
            if any(files for _, _, files in os.walk(left)):
                _keep_folder(job, left, os.path.join(folder, FILES, name))
        if is_uri(job.record):
            from airflow_aml.runtime.send import send_record

            send_record(job, folder, warn, remote())
    except (OSError, AirflowAmlError) as error:
        warn(f"What the script left in ./outputs could not be kept: {error}")


def _keep_fit(left: str, name: str, warn: Warn) -> None:
    from airflow_aml.runtime.contents import keep_fit

    keep_fit(left, lambda text: warn(f"In ./{name}: {text}"))


def _keep_folder(job: StepJob, left: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    plain = not os.path.islink(left)
    if plain and not os.path.lexists(target) and move(left, target):
        return
    if plain and os.stat(left).st_dev == os.stat(os.path.dirname(target)).st_dev:
        _merge(left, target)
        return
    from airflow_aml.runtime.contents import copy

    partial = f"{target}.partial-{job.attempt}"
    copy(os.fsencode(left), os.fsencode(partial), lambda: None)
    _merge(partial, target)
    remove(partial)


def _merge(source: str, target: str) -> None:
    """Moves every file to the same name below the target, on the same disk."""
    waiting: List[str] = [""]
    while waiting:
        below = waiting.pop()
        os.makedirs(os.path.join(target, below), exist_ok=True)
        with os.scandir(os.path.join(source, below)) as entries:
            for entry in list(entries):
                name = os.path.join(below, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                    continue
                place = os.path.join(target, name)
                if os.path.isdir(place) and not os.path.islink(place):
                    remove(place)
                os.replace(entry.path, place)

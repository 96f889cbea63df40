"""The runtime in a pod: it finds its job in a store and leaves its answer there.

::

    staging/<attempt>/job.json       what the step is
    staging/<attempt>/answer.json    {"report", "reads", "journal", "over"}

An exit code of 0 says that the answer is there, however the script has ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional

from airflow_aml.errors import AirflowAmlError, UserErrorException
from airflow_aml.runtime import RUNTIME_ERROR, entry, is_uri, recording
from airflow_aml.runtime.hidden import reads_file
from airflow_aml.runtime.job import StepJob
from airflow_aml.runtime.places import Places
from airflow_aml.runtime.process import STANDARD, Ended, run_script
from airflow_aml.runtime.secrets import SECRETS_VARIABLE, answering, handed
from airflow_aml.runtime.stopping import Stop
from airflow_aml.workspace.journal import JOURNAL

if TYPE_CHECKING:
    from airflow_aml.runtime.stage import Staged

_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_NO_LIMIT = 1 << 60


def main(work: str, job_place: str, answer_place: str) -> int:
    """Runs the job at that place; returns the pod's exit code."""
    stop = Stop()
    stop.install()
    places = Places(os.environ, STANDARD[1])
    try:
        job, seconds = _job(places, job_place, work)
        with ExitStack() as open_here:
            answer = _run(_equipped(job, open_here), seconds, stop, places)
        store, path = places.locate(answer_place)
        store.write(path, json.dumps(answer).encode())
    except (AirflowAmlError, OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"airflow_aml: the pod cannot give its answer: {error}\n")
        return RUNTIME_ERROR + 1
    return 0


def _job(places: Places, place: str, work: str) -> Any:
    """The job, with the interpreter of this image, and how long its script may run."""
    from airflow_aml.codec import decode

    store, path = places.locate(place)
    document = json.loads(store.read(path))
    members = {**document["job"], "interpreter": sys.executable}
    job = decode(StepJob, members)
    os.makedirs(job.work, exist_ok=True)
    return job, document["seconds"]


def _equipped(job: StepJob, open_here: ExitStack) -> StepJob:
    """The job whose script finds its packages, and the secrets that its compute names."""
    variables = dict(job.environment_variables)
    own = _packages(job) if job.packages else ""  # before the image's
    path = [variables.get("PYTHONPATH", ""), own, os.environ.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    ask = handed(os.environ)
    try:
        variables[SECRETS_VARIABLE] = open_here.enter_context(answering(ask))
    except OSError as error:
        sys.stderr.write(f"airflow_aml: secrets cannot be handed to this step: {error}\n")
    return replace(job, environment_variables=variables)


def _run(job: StepJob, seconds: Optional[float], stop: Stop, places: Places) -> Any:
    limit = _TimeLimit(seconds, stop)
    report = entry.run(job, stop, place=partial(_place, limit, job, places))
    folder = recording.folder_of(job)
    return {
        "report": report,
        "reads": _text(reads_file(job.work)),
        "journal": _text(os.path.join(folder, JOURNAL)) if is_uri(job.record) else "",
        "over": limit.over,
    }


class _TimeLimit:
    """Ends a script in time, counted from its own start.

    Attributes:
        over: whether it had to.
    """

    def __init__(self, seconds: Optional[float], stop: Stop) -> None:
        self._seconds = seconds
        self._stop = stop
        self.over = False

    def run(self, script: Callable[[], Ended]) -> Ended:
        """Runs it."""
        if not self._seconds:
            return script()
        timer = threading.Timer(self._seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            return script()
        finally:
            timer.cancel()

    def _end(self) -> None:
        self.over = True
        self._stop.request("its time is over")


def _packages(job: StepJob) -> str:
    """The folder of the step's own packages."""
    return os.path.join(job.work, "packages")


def _unpack(job: StepJob, places: Places) -> None:
    """Brings the step's own packages.

    Raises:
        UserErrorException: they are for another Python than the image's.
    """
    found = "{}.{}".format(*sys.version_info)
    if job.python not in ("", found):
        raise UserErrorException(
            f"the packages of the step are for Python {job.python}: the image has Python {found}.",
            hint="Ask for the image's own: CondaDependencies.create(python_version=...).",
        )
    if job.packages:
        from zipfile import ZipFile

        store, path = places.locate(job.packages)
        zipped = _packages(job) + ".zip"
        store.download([(path, zipped)])
        with ZipFile(zipped) as archive:
            archive.extractall(_packages(job))
        os.unlink(zipped)


def _place(limit: _TimeLimit, job: StepJob, places: Places, staged: Staged) -> Callable[..., Ended]:
    def run(*arguments: Any, **options: Any) -> Ended:
        _unpack(job, places)
        before = _number(_EVENTS, "oom_kill")
        ended = limit.run(lambda: run_script(*arguments, **options))
        if ended.exit_code == -signal.SIGKILL and _number(_EVENTS, "oom_kill") > before:
            size = _number(_LIMITS, "")
            limited = f" (the limit is {size >> 20} MiB)" if 0 < size < _NO_LIMIT else ""
            return ended._replace(cause=f"Its pod ran out of memory{limited}.")
        return ended

    return run


def _number(files: Any, name: str) -> int:
    """A number that the kernel tells of this container's memory; 0 where it does not."""
    for file in files:
        for line in _text(file).splitlines():
            words = line.split()
            if words[:-1] == ([name] if name else []) and words[-1].isdigit():
                return int(words[-1])
    return 0


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""

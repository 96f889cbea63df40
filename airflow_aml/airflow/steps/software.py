"""The interpreter that a step's script runs in, once it is known that the script runs at all."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_aml.airflow.steps.halt import raise_halt
from airflow_aml.errors import AirflowAmlError, UserErrorException
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.runtime.job import StepJob


def equipped(run: StepRun, job: StepJob, say: Callable[[str], None]) -> StepJob:
    """The job with the interpreter of the step's own environment, which is built if need be.

    A step without one keeps the interpreter that it has: the worker's own, or the author's.

    Raises:
        AirflowFailException: this machine cannot build it, however often it is tried.
        AirflowException: the disk or the network was in the way.
    """
    document = run.plan.steps[run.node.id].lock
    if not document:
        return job if job.interpreter == sys.executable else _with_package(job)
    from airflow_aml.reuse.software import Lock, activation_of, interpreter_of

    with _halting(run):
        interpreter = interpreter_of(Lock.of_document(document), say)
    programs = os.path.dirname(interpreter)
    conda = activation_of(interpreter)
    given = job.environment_variables
    path = [programs, *conda.path, given.get("PATH") or os.environ.get("PATH", "")]
    own = {
        "VIRTUAL_ENV": os.path.dirname(programs),
        "PATH": os.pathsep.join(path),
        # The worker's own is for the worker's Python.
        "PYTHONPATH": given.get("PYTHONPATH", ""),
    }
    variables = {**conda.variables, **given, **own}
    return _with_package(replace(job, interpreter=interpreter, environment_variables=variables))


def packages_beside(run: StepRun, say: Callable[[str], None]) -> tuple[str, str]:
    """Python's version and the folder of the packages that a step's container gets; or nothing.

    Raises:
        AirflowFailException, AirflowException: see :func:`equipped`.
    """
    document = run.plan.steps[run.node.id].lock
    if not document:
        return "", ""
    from airflow_aml.reuse.software import Lock, packages_of

    with _halting(run):
        lock = Lock.of_document(document)
        return lock.python, packages_of(lock, say) if lock.packages else ""


def packages_in_store(run: StepRun, say: Callable[[str], None]) -> tuple[str, str]:
    """Python's version and the place of the packages that a step's pod gets; or nothing.

    The workspace has them as one zip for each lock; who first needs it makes it.

    Raises:
        AirflowFailException, AirflowException: see :func:`equipped`.
        WorkspaceException: the store is in the way.
    """
    document = run.plan.steps[run.node.id].lock
    if not document:
        return "", ""
    from airflow_aml.reuse.layout import hexadecimal
    from airflow_aml.reuse.software import Lock

    lock = Lock.of_document(document)
    place = layout.packages(hexadecimal(lock.digest))
    if lock.packages and not run.home.store.exists(place):
        _, folder = packages_beside(run, say)
        with tempfile.TemporaryDirectory(prefix="aml-packages-") as there:
            zipped = os.path.join(there, "packages.zip")
            _zip(folder, zipped)
            run.home.store.upload([(zipped, place)])
    return lock.python, run.stores.place(place) if lock.packages else ""


def _zip(folder: str, target: str) -> None:
    """All files of a folder, but for what Python compiles by itself."""
    from zipfile import ZIP_DEFLATED, ZipFile

    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                archive.write(path, path.relative_to(folder))


@contextmanager
def _halting(run: StepRun) -> Iterator[None]:
    try:
        yield
    except AirflowAmlError as error:
        fatal = isinstance(error, UserErrorException)
        raise_halt(run, f"step {run.node.name!r}: {error}", cause=error, fatal=fatal)


def _with_package(job: StepJob) -> StepJob:
    """The job whose script can import this package in an interpreter that does not have it."""
    import airflow_aml
    from airflow_aml.workspace.caches import cache_folder

    package = os.path.dirname(os.path.abspath(airflow_aml.__file__))
    name = hashlib.sha256(os.fsencode(package)).hexdigest()[:16]
    # A folder with nothing else in it: what lies beside the package is the worker's.
    folder = os.path.join(cache_folder(), "package", name)
    os.makedirs(folder, exist_ok=True)
    with suppress(FileExistsError):
        os.symlink(package, os.path.join(folder, "airflow_aml"))
    variables = job.environment_variables
    before = variables.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    path = os.pathsep.join(filter(None, [before, folder]))
    return replace(job, environment_variables={**variables, "PYTHONPATH": path})

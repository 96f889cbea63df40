"""The interpreter that a step's script runs in, once it is known that the script runs at all."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_aml.airflow.steps.halt import raise_halt
from airflow_aml.errors import AirflowAmlError, UserErrorException

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
    from airflow_aml.reuse.software import Lock, interpreter_of

    with _halting(run):
        interpreter = interpreter_of(Lock.of_document(document), say)
    programs = os.path.dirname(interpreter)
    given = job.environment_variables
    own = {
        "VIRTUAL_ENV": os.path.dirname(programs),
        "PATH": os.pathsep.join([programs, given.get("PATH") or os.environ.get("PATH", "")]),
        # The worker's own is for the worker's Python.
        "PYTHONPATH": given.get("PYTHONPATH", ""),
    }
    return _with_package(
        replace(job, interpreter=interpreter, environment_variables={**given, **own})
    )


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

"""After any attempt: what the script left in ``./outputs`` is kept, what it half wrote is not."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

from airflow_aml.errors import AirflowAmlError
from airflow_aml.runtime import is_uri
from airflow_aml.runtime.stage import remove

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobOutput, StepJob
    from airflow_aml.runtime.places import Places


def discard_staging(job: StepJob) -> None:
    """Removes what a failed attempt wrote."""
    for output in job.outputs:
        remove(output.staging)
        if not is_uri(output.destination):
            remove(partial_path(job, output))
    close_staging(job)


def close_staging(job: StepJob) -> None:
    """Removes the attempt's own staging folder, which is empty by now."""
    for folder in {os.path.dirname(output.staging) for output in job.outputs}:
        if os.path.basename(folder) == job.attempt:
            with suppress(OSError):
                os.rmdir(folder)


def keep_files(
    job: StepJob, source: str, warn: Callable[[str], None], remote: Callable[[], Places]
) -> None:
    """Moves what the script left in ``./outputs`` to where the run keeps it."""
    left = os.path.join(source, "outputs")
    try:
        if not any(files for _, _, files in os.walk(left)):
            return
        if is_uri(job.kept):
            from airflow_aml.runtime.send import send_kept

            send_kept(job, left, warn, remote())
            return
        remove(job.kept)
        os.makedirs(os.path.dirname(job.kept), exist_ok=True)
        if os.path.islink(left) or not move(left, job.kept):
            from airflow_aml.runtime.contents import copy

            partial = f"{job.kept}.partial-{job.attempt}"
            copy(os.fsencode(left), os.fsencode(partial), lambda: None)
            os.rename(partial, job.kept)
    except (OSError, AirflowAmlError) as error:
        warn(f"What the script left in ./outputs could not be kept: {error}")


def partial_path(job: StepJob, output: JobOutput) -> str:
    """Where a copy of an output grows, on the disk of its destination."""
    return f"{output.destination}.partial-{job.attempt}"


def move(source: str, target: str) -> bool:
    """Renames; False if that would need a copy to another disk."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True

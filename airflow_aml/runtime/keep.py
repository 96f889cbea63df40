"""After any attempt: nothing that it half wrote stays."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_aml.runtime import is_uri
from airflow_aml.runtime.stage import remove

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobOutput, StepJob


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

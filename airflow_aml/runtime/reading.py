"""A job as the runtime reads it: straight from JSON.

Importing dataclasses and making a dozen of them takes as long as starting a small script does, so
the runtime does without: what it reads has the attributes of a
:class:`~airflow_aml.runtime.job.StepJob` and nothing more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, cast

from airflow_aml.errors import UserErrorException
from airflow_aml.runtime import JOB_VERSION

if TYPE_CHECKING:
    from airflow_aml.runtime.job import StepJob

_PARTS = ("arguments", "inputs", "outputs")


class _Document:
    """The members of a JSON object as attributes."""

    def __init__(self, members: Dict[str, Any]) -> None:
        self.__dict__.update(members)


def read_job(path: str) -> StepJob:
    """The job in that file.

    Raises:
        OSError: it cannot be read.
        UserErrorException: it is not a job of this release.
    """
    with open(path, encoding="utf-8") as stream:
        members = json.load(stream)
    if not isinstance(members, dict):
        raise UserErrorException("it is not a JSON object.")
    if "version" not in members:  # without its defaults, as other programs may write it
        from airflow_aml.runtime.job import StepJob

        return StepJob.read(path)
    if members["version"] != JOB_VERSION:
        raise UserErrorException(
            f"it has version {members['version']!r}, and this release reads {JOB_VERSION}."
        )
    for name in _PARTS:
        members[name] = [_Document(each) for each in members[name]]
    return cast("StepJob", _Document(members))

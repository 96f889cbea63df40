"""Where reuse keeps its documents inside a workspace.

::

    reuse/v1/<fp[:2]>/<fp>/<utc>-<step-run-id>.json    step records, append-only
    reuse/v1/steps/<dag>/<task>[~<map index>].json     a copy of a step's latest record
    reuse/v1/inputs/<digest>.json                      the files of an external input, by content
    reuse/v1/leases/<fp>/<number>.json                 who is at work on a result right now
    reuse/v1/unmentioned.json                          of garbage collection: what may go some day
    environments/<digest>.json                         interpreter and packages, by content

``<fp>`` is the hexadecimal part of a fingerprint; names of DAGs and tasks are written as
:mod:`~airflow_aml.workspace.names` says. A record is the only one of these that decides anything;
all others tell, or save time, and may be lost.
"""

from __future__ import annotations

import hashlib

from airflow_aml.workspace.layout import file_name

ROOT = "reuse/v1"
STEPS = f"{ROOT}/steps/"
INPUTS = f"{ROOT}/inputs/"
LEASES = f"{ROOT}/leases/"
ENVIRONMENTS = "environments/"

_LONGEST = 120


def records(fingerprint: str) -> str:
    """The folder of all records of one fingerprint, with a slash at its end."""
    text = hexadecimal(fingerprint)
    return f"{ROOT}/{text[:2]}/{text}/"


def record(fingerprint: str, created: str, step_run_id: str) -> str:
    """Where one record is; ``created`` is UTC in ISO 8601, so that names sort by time."""
    stamp = created.replace("-", "").replace(":", "").replace("+0000", "Z")
    return f"{records(fingerprint)}{stamp}-{step_run_id}.json"


def latest(dag_id: str, task_id: str, map_index: int = -1) -> str:
    """Where the copy of a step's latest record is."""
    mapped = f"~{map_index}" if map_index >= 0 else ""
    return f"{steps(dag_id)}{_name(task_id)}{mapped}.json"


def steps(dag_id: str) -> str:
    """The folder of the latest records of one DAG, with a slash at its end."""
    return f"{STEPS}{_name(dag_id)}/"


def input_files(digest: str) -> str:
    """Where the files of an external input with that content are listed."""
    return f"{INPUTS}{file_name(digest)}.json"


def leases(fingerprint: str) -> str:
    """The folder of the leases on one fingerprint, with a slash at its end."""
    return f"{LEASES}{hexadecimal(fingerprint)}/"


def environment(digest: str) -> str:
    """Where the packages of an environment are listed."""
    return f"{ENVIRONMENTS}{file_name(digest)}.json"


def hexadecimal(digest: str) -> str:
    """A digest without its algorithm's name."""
    return digest.rpartition(":")[2]


def _name(name: str) -> str:
    # DAG ids may have 250 characters: beyond what a file name takes a digest stands in.
    from airflow_aml.workspace import names

    if len(name.encode("utf-8", "surrogatepass")) <= _LONGEST and name:
        encoded = names.file_name(name)
        if len(encoded.encode()) <= _LONGEST:
            return encoded
    return f"%{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"

"""Whether a program's copy of a pipeline is the one that a running Airflow has.

A run that a program starts over REST is made by Airflow's files, not by the program's. So the
program sends digests of its own with the run, and the run's first task compares: a run of another
definition, or of other scripts, fails before its first step and says what is different.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from airflow_aml.codec import encode
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.snapshots import digest_of

COPY = "copy"
"""The key of a run's settings that holds what the program sent."""

_MOST_FILES = 500
"""Of a source folder that has more, only the scripts of its steps are sent."""

_DIGITS = 16


def digests(spec: PipelineSpec, folder: str, home: Home) -> dict[str, dict[str, str]]:
    """``steps``: a digest for each step's definition; ``files``: one for each source file.

    Parameters' defaults are in neither: their values are sent.

    Raises:
        SnapshotException: a source folder cannot be read.
    """
    files: dict[str, str] = {}
    for source, nodes in spec.sources.items():
        scripts = [os.path.normpath(node.script_name) for node in nodes]
        _, rows = digest_of(os.path.join(folder, source), home, scripts)
        place = "" if os.path.isabs(source) else f"{source}/"
        for row in rows:
            if len(rows) <= _MOST_FILES or row.relative in scripts:
                files[place + row.relative] = row.digest.rpartition(":")[2][:_DIGITS]
    return {
        "steps": {node.id: _digest(encode(node), folder) for node in spec.nodes},
        "files": files,
    }


def refuse_another(sent: Any, spec: PipelineSpec, folder: str, home: Home) -> None:
    """Sees to it that the program that started a run has the same pipeline; files that only one of
    them has may be anything.

    Raises:
        UserErrorException: it has another one.
        SnapshotException: a source folder cannot be read.
    """
    if not isinstance(sent, Mapping):
        return  # the run was started in Airflow
    here = digests(spec, folder, home)
    others = [f"step {name!r}" for name in _different(here["steps"], sent.get("steps"))]
    others += [f"file {path!r}" for path in _different(here["files"], sent.get("files"))]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise UserErrorException(
            "the program that started this run has another version of the pipeline than Airflow: "
            f"{', '.join(others[:3])}{more} differ{'s' if len(others) == 1 else ''}.",
            hint="Copy its file and its folders of scripts into the dags folder, and start the run "
            "again when Airflow has read them.",
        )


def _different(here: Mapping[str, str], there: Any) -> list[str]:
    known = there if isinstance(there, Mapping) else {}
    return sorted(name for name, digest in here.items() if known.get(name, digest) != digest)


def _digest(document: Any, folder: str) -> str:
    """The same for a pipeline's file in any folder: paths that were made from its own count as
    relative."""
    if os.path.isabs(document.get("source_directory", "")):
        del document["source_directory"]
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    inside = json.dumps(folder, ensure_ascii=False)[1:-1]
    return hashlib.sha256(text.replace(inside, ".").encode()).hexdigest()[:_DIGITS]

"""Hidden reads: what a script asks the workspace for while it runs, noted for whoever reuses it.

A step's result depends on the answers. Each question and its answer are one JSON line,
``{"asked": {"kind", "name", "version"}, "resolved": {"version", "id"}}``. Of files that a script
reads by itself the question says where they are, and the answer is the stamp of those it found.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple, Union

READS_VARIABLE = "AIRFLOW_AML_READS"

FILES = "files"
"""Of a question: the files of a dataset that the script has made; ``definition`` says which."""

BELOW = "below"
"""Of a question: all files of ``datastore`` whose paths begin with the name."""

DATASTORE = "datastore"
"""Of a question: whether there is a datastore of that name, noted where there was none; without a
name, which one is the default."""

RUN = "run"
"""Of a question: what was noted about the run of the script's pipeline, or of the one named."""

DESCRIBED = "described"
"""Of a question: what is said of a registered version, which may change; ``of`` says what it is
(``model``, ``dataset``)."""

EXPERIMENT = "experiment"
"""Of a question: what the run's experiment is called."""

REGISTERED = "registered"
"""Of what is no question: the script has registered a version of a name itself; ``of`` says what
(``model``, ``dataset``)."""


def reads_file(work: str) -> str:
    """Where the reads of an attempt with that work folder are noted."""
    return os.path.join(work, "reads.jsonl")


def work_folder() -> Optional[str]:
    """The work folder of the step's attempt, where this is a step's process."""
    path = os.environ.get(READS_VARIABLE)
    return os.path.dirname(path) if path else None


def seen(files: Iterable[Tuple[str, int, str]]) -> str:
    """A digest over path, size and version of files: another one if one of them was touched."""
    from hashlib import sha256  # few scripts need it

    return sha256(json.dumps(sorted(files)).encode()).hexdigest()


def origin() -> Dict[str, str]:
    """The ids of the step run whose script this is, and of its pipeline's run."""
    names = {"run": "AZUREML_RUN_ID", "pipeline_run": "AZUREML_ROOT_RUN_ID"}
    return {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def note_run(run_id: str) -> None:
    """Notes that the script has read what no fingerprint holds: how a run goes or went."""
    note(RUN, run_id, None, {"version": None, "id": run_id})


def note_described(of: str, name: str, version: int, document: Mapping[str, Any]) -> None:
    """Notes what the script has seen, or made, of a version's tags and the like."""
    if os.environ.get(READS_VARIABLE):
        answer = {"version": version, "id": description_of(document)}
        note(DESCRIBED, name, version, answer, of=of)


def description_of(document: Mapping[str, Any]) -> str:
    """A digest of what may change of a registered version."""
    from hashlib import sha256

    told = [document.get(key) for key in ("description", "tags", "properties", "details")]
    return f"sha256:{sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}"


def note_registered(of: str, name: str, version: int, identity: str) -> None:
    """Notes that the script has made a version the latest of its name."""
    made_in = origin().get("pipeline_run", "")
    resolved = {"version": version, "id": identity, "pipeline_run": made_in}
    note(REGISTERED, name, None, resolved, of=of)


def note(
    kind: str,
    name: str,
    version: Union[int, str, None],
    resolved: Optional[Dict[str, Any]],
    **more: Any,
) -> None:
    """Notes a question and its answer, where this is a step's process.

    Args:
        kind: the registry's word: ``dataset``, ``model``; or one of this module's.
        version: that was asked for; None for the latest.
        resolved: ``{"version", "id"}``, or ``{"seen"}``; None if there was none.
        more: what else belongs to the question, plain JSON.
    """
    path = os.environ.get(READS_VARIABLE)
    if not path:
        return
    asked = {"kind": kind, "name": name, "version": version, **more}
    line = {"asked": asked, "resolved": resolved}
    # One write of one line: processes of one step may ask at once.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)

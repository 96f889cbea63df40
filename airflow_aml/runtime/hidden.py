"""Hidden reads: what a script asks the workspace for while it runs, noted for whoever reuses it.

A step's result depends on the answers. Each question and its answer are one JSON line,
``{"asked": {"kind", "name", "version"}, "resolved": {"version", "id"}}``.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Optional

READS_VARIABLE = "AIRFLOW_AML_READS"


def reads_file(work: str) -> str:
    """Where the reads of an attempt with that work folder are noted."""
    return os.path.join(work, "reads.jsonl")


def note(kind: str, name: str, version: Optional[int], resolved: Optional[Dict[str, Any]]) -> None:
    """Notes a question and its answer, where this is a step's process.

    Args:
        kind: the registry's word: ``dataset``, ``model``.
        version: that was asked for; None for the latest.
        resolved: ``{"version", "id"}``; None if there was none.
    """
    path = os.environ.get(READS_VARIABLE)
    if not path:
        return
    line = {"asked": {"kind": kind, "name": name, "version": version}, "resolved": resolved}
    # One write of one line: processes of one step may ask at once.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)

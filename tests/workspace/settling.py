"""Waiting until files are old enough to be known."""

from __future__ import annotations

import time
from pathlib import Path

from airflow_aml.workspace.measure import facts, packed
from airflow_aml.workspace.statcache import settles_at


def settle(root: Path) -> None:
    """Waits until what was written is old enough to be trusted, on the disk that it is on."""
    files = [path for path in root.rglob("*") if path.is_file()]
    until = max(settles_at(packed(facts(path.stat()))) for path in files)
    time.sleep(max(0, until - time.time_ns()) / 1e9 + 0.01)

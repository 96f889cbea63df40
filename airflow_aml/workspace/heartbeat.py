"""Signs of life of a process that runs a run, for those who look from other hosts.

::

    runs/<pipeline-run-id>/alive.json      {"t", "ended"}, written again every minute

Clocks of hosts differ. A shared folder has one clock, that of the machine that keeps it: how old a
sign is, is told by the time that a new file gets there. Object stores refuse requests whose clock
is a quarter of an hour off, so two hosts that use one differ by half an hour at most. To be silent
is no proof: who asks is told so, and nothing is kept of it.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from typing import Iterator, Optional

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace import layout
from airflow_aml.workspace.documents import write_json
from airflow_aml.workspace.home import Home

EVERY = 60.0
_SILENT_IN_A_FOLDER = 600.0
_SILENT_ELSEWHERE = 2700.0
"""Half an hour that clocks may differ by, and a quarter as in a folder."""


def beat(home: Home, pipeline_run_id: str, ended: bool = False) -> None:
    """Gives a sign of life, or says that there will be no more.

    It is no part of the run's record: one that cannot be written is left out.
    """
    sign = {"t": time.time(), "ended": ended}
    path = layout.alive(pipeline_run_id)
    with suppress(OSError, WorkspaceException):
        if home.is_local:
            home.path(path).parent.mkdir(parents=True, exist_ok=True)
            write_json(home.path(path), sign, durable=False)
        else:
            home.store.write(path, json.dumps(sign).encode())


@contextmanager
def beating(home: Home, pipeline_run_id: str, every: float = EVERY) -> Iterator[None]:
    """Inside, others see that this process lives, whatever its other threads do."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(every):
            beat(home, pipeline_run_id)

    beat(home, pipeline_run_id)
    thread = threading.Thread(target=go_on, name="airflow-aml-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        beat(home, pipeline_run_id, ended=True)


def is_silent(home: Home, pipeline_run_id: str) -> Optional[bool]:
    """Whether the process that runs the run has ended, or given no sign for too long.

    None if it never gave one, as runs in an Airflow do not.
    """
    path = layout.alive(pipeline_run_id)
    try:
        sign = json.loads(home.store.read(path))
        if sign["ended"]:
            return True
        elsewhere = time.time() - float(sign["t"]) > _SILENT_ELSEWHERE
        return _is_old(str(home.path(path)), elsewhere) if home.is_local else elsewhere
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def last_sign(home: Home, pipeline_run_id: str) -> str:
    """When the process that runs the run gave its last sign of life, UTC, ISO 8601; else empty."""
    from datetime import datetime, timezone

    try:
        told = float(json.loads(home.store.read(layout.alive(pipeline_run_id)))["t"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return ""
    return datetime.fromtimestamp(told, timezone.utc).isoformat(timespec="milliseconds")


def _is_old(path: str, otherwise: bool) -> bool:
    """Whether a file was written long ago by its folder's clock; ``otherwise``: by this host's."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path)) as new:
            now = os.fstat(new.fileno()).st_mtime
        return now - os.stat(path).st_mtime > _SILENT_IN_A_FOLDER
    except OSError:  # who only reads there has no way to ask for that clock
        return otherwise

"""Snapshots in the workspace, wherever that is: is one there, and that it is in use."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Optional

from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace.archive import Row
from airflow_aml.workspace.home import Home

TAKEN = ".taken.json"
"""How the name of the note ends that lies beside a zip where no times of files are told."""

_FRESH_SECONDS = 6 * 3600.0
"""How long a snapshot counts as just taken; far less than what nobody mentions is left alone."""


def refresh(path: Path) -> None:
    """Notes that a zip of a local workspace is in use, so that nobody removes it as forgotten."""
    try:
        if time.time() - os.stat(path).st_mtime > _FRESH_SECONDS:
            os.utime(path)
    except OSError:
        return  # it is not there, or another user's, who has more to say about it


def is_stored(home: Home, place: str, rows: List[Row]) -> bool:
    """Whether the zip of these files is in a remote workspace, whole, and stays for now.

    The note beside it is written after the zip is there, and says what went in; it is renewed
    before anybody relies on it.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    note = read_note(home, place)
    if note is None or note.get("files") != _signature(rows):
        return False
    if time.time() - note["taken"] > _FRESH_SECONDS:
        _write_note(home, place, rows, note["size"])
    found = next((each for each in home.store.find(place) if each.path == place), None)
    return found is not None and found.size == note["size"]


@contextmanager
def zip_place(home: Home, place: str, rows: List[Row]) -> Iterator[Path]:
    """A path to write the zip to for as long as it takes; what is there at the end is uploaded.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="airflow-aml-")
    try:
        path = Path(folder, os.path.basename(place))
        yield path
        if path.exists():
            home.store.upload([(str(path), place)])
            _write_note(home, place, rows, os.stat(path).st_size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_note(home: Home, place: str) -> Optional[Any]:
    """The note beside a zip: ``taken`` in seconds since 1970, ``size``, ``files``."""
    try:
        note = json.loads(home.store.read(place + TAKEN))
        return note if float(note["taken"]) > 0 and int(note["size"]) > 0 else None
    except (OSError, AirflowAmlError, ValueError, LookupError, TypeError):
        return None


def _write_note(home: Home, place: str, rows: List[Row], size: int) -> None:
    note = {"taken": time.time(), "size": size, "files": _signature(rows)}
    home.store.write(place + TAKEN, json.dumps(note).encode())


def _signature(rows: List[Row]) -> str:
    """What decides the bytes of the zip: which files are executable too, unlike in its digest."""
    from airflow_aml.workspace.digests import digest_record

    facts = [(row.relative, row.digest, str(row.executable)) for row in rows]
    return digest_record(["zip", 1, *facts])

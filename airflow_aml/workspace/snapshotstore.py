"""Where the zip of a snapshot is written: into the workspace, wherever that is."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from airflow_aml.workspace.home import Home


@contextmanager
def zip_place(home: Home, place: str) -> Iterator[Path]:
    """The path to write the zip to: its own in a local workspace, else one for as long as it takes.

    ``place`` is the snapshot's in the workspace. What is there at the end goes to the workspace's
    store, unless the same is there already.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    if home.is_local:
        yield home.path(place)
        return
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="airflow-aml-")
    try:
        path = Path(folder, os.path.basename(place))
        yield path
        if path.exists():
            home.store.upload([(str(path), place)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)

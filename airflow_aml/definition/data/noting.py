"""Files that a script reads through a dataset that it has made or looked up, noted for reuse.

What the step was given counts as its input, and what lies in its own folders was made by it; all
else decides its result too, and is asked for again before that is reused.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Collection

from airflow_aml.codec import encode
from airflow_aml.definition.data.files import NoSuchFiles, Places, absolute, files_of
from airflow_aml.definition.data.model import DataPlace, Definition, LocalPath, Query
from airflow_aml.definition.runs.ports import port_paths
from airflow_aml.runtime.hidden import FILES, note, seen, work_folder


def note_read(definition: Definition, places: Places) -> None:
    """Notes which files a script is about to read, and their sizes and times."""
    if isinstance(definition, Query):
        note(FILES, definition.query, None, {}, definition=encode(definition))
        return
    given = [work_folder() or os.curdir, *port_paths()]
    own = {each for path in given for each in (os.path.abspath(path), os.path.realpath(path))}
    paths = tuple(
        LocalPath(absolute(each.path, places.folder)) if isinstance(each, LocalPath) else each
        for each in definition.paths
    )
    paths = tuple(each for each in paths if not _is_own(each, own))
    if not paths:
        return
    try:
        found = files_of(paths, places)
        there = {"seen": seen((each.path, each.size, each.version) for each in found)}
    except NoSuchFiles:
        there = None
    asked = encode(replace(definition, paths=paths, operations=()))
    note(FILES, ", ".join(each.path for each in paths), None, there, definition=asked)


def _is_own(place: DataPlace, own: Collection[str]) -> bool:
    if not isinstance(place, LocalPath):
        return False
    # As it is written, too: an input may be a folder of links.
    paths = (place.path, os.path.realpath(place.path))
    return any(f"{path}/".startswith(f"{root}/") for root in own for path in paths)

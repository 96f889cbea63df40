"""Which files an input consisted of, found again by its content's digest, to name those changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse import layout
from airflow_aml.reuse.verify import manifest_files

if TYPE_CHECKING:
    from airflow_aml.reuse.places import Places
    from airflow_aml.workspace.home import Home

LISTING_VERSION = 1
MOST_FILES = 20_000
"""Longer lists are not kept: a reason then says that an input changed, not which files did."""


def keep_files(home: Home, digest: str, files: Iterable[tuple[str, int, str]]) -> None:
    """Lists the files of an external input, once per content.

    Args:
        digest: of the content, as in :class:`~airflow_aml.reuse.fingerprint.ExternalInput`.
        files: (path, size, digest) of each.

    Raises:
        WorkspaceException: the store cannot be written.
    """
    path = layout.input_files(digest)
    if home.store.exists(path):
        return
    rows = [list(each) for each in files]
    if len(rows) <= MOST_FILES:
        document = {"version": LISTING_VERSION, "files": rows}
        home.store.create(path, json.dumps(document).encode())


def load_files(
    home: Home, digest: str, uri: str | None, places: Places
) -> Mapping[str, str] | None:
    """Path -> content digest of each file of an input; None if nobody knows any more.

    Args:
        uri: where the data was: beside a step's output lies its manifest.
    """
    rows = manifest_files(uri, digest, places) if uri else None
    if rows is not None:
        return {path: content for path, _, content, _ in rows}
    try:
        document = json.loads(home.store.read(layout.input_files(digest)))
        if document["version"] != LISTING_VERSION:
            return None
        return {str(row[0]): str(row[2]) for row in document["files"]}
    except (OSError, AirflowAmlError, ValueError, LookupError, TypeError):
        return None


def differing(earlier: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files that are not the same in two such lists, each with what became of it."""
    return [
        path if path in earlier and path in now else f"{path} {_came(path in now)}"
        for path in sorted({*earlier, *now})
        if earlier.get(path) != now.get(path)
    ]


def _came(is_there: bool) -> str:
    return "added" if is_there else "removed"

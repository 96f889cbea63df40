"""The deep check: reads the files of a recorded output again."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from airflow_aml.reuse.places import Listed, Places
from airflow_aml.reuse.records import OutputRecord
from airflow_aml.reuse.verify import manifest_files
from airflow_aml.workspace.digests import BUFFER_SIZE, digest_file
from airflow_aml.workspace.manifests import FileEntry, of_files
from airflow_aml.workspace.uris import path_of_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_ONCE = 64


def other_content(output: OutputRecord, found: list[Listed], places: Places) -> str | None:
    """The path of the first file whose content is not what was recorded; None if all is.

    Empty when only the whole is known to differ. Files are compared with the digests of the
    manifest beside the output, in its algorithm.

    Raises:
        OSError, WorkspaceException: a file cannot be read.
        ImportError, ValueError: a digest's algorithm is not installed, or not known, here.
    """
    rows = manifest_files(output.uri, output.digest, places)
    algorithms = {path: digest.partition(":")[0] for path, _, digest, _ in rows or ()}
    entries = []
    for each, place in _on_disk(output.uri, found, places):
        digest = digest_file(place, algorithms.get(each.path), _buffer())
        entries.append(FileEntry(each.path, each.size, digest))
    entries.sort(key=lambda entry: entry.path)
    if of_files(tuple(entries)).digest == output.digest:
        return None
    known = {path: digest for path, _, digest, _ in rows or ()}
    for entry in entries:
        if known and known.get(entry.path) != entry.digest:
            return entry.path
    return ""


def _buffer() -> bytearray:
    return bytearray(BUFFER_SIZE)


def _on_disk(uri: str, found: list[Listed], places: Places) -> Iterator[tuple[Listed, str]]:
    """Each file with a local path of it; a store's files are fetched some at a time."""
    if uri.startswith("file:"):
        root = path_of_uri(uri)
        for each in found:
            yield each, os.path.join(root, each.path) if each.path else root
        return
    store, path = places.stored(uri)
    for start in range(0, len(found), _AT_ONCE):
        batch = found[start : start + _AT_ONCE]
        with tempfile.TemporaryDirectory(prefix="aml-verify-") as folder:
            local = [os.path.join(folder, str(number)) for number in range(len(batch))]
            remote = [f"{path}/{each.path}" if each.path else path for each in batch]
            store.download(list(zip(remote, local, strict=True)))
            yield from zip(batch, local, strict=True)

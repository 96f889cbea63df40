"""The document beside a committed output: what it holds, file by file.

::

    {"version": 1, "uri": "abfs://...", "digest": "sha256:...", "bytes": 12,
     "time": 1790000000.0, "files": [["part/a.csv", 12, "blake3:...", "0x8D..."]]}

Each file has its path, size, content digest, and the version that its store gave it (an etag; on
disk the time of its last change in nanoseconds). ``time`` is when it was committed, in seconds
since 1970; older documents do not have it. An output in an object store is committed by this
document and nothing else: who reads it goes by the document, never by a listing.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Optional, Tuple

from airflow_aml.errors import WorkspaceException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.manifests import Manifest

DOCUMENT_VERSION = 1

_SUFFIX = ".manifest.json"
_RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CommittedFile(NamedTuple):
    """One file; ``path`` is relative to the output, and empty where the output is that file."""

    path: str
    size: int
    digest: str
    version: str


class Committed(NamedTuple):
    """What a manifest document says."""

    uri: str
    digest: str
    bytes: int
    files: Tuple[CommittedFile, ...]
    time: Optional[float] = None

    @property
    def is_file(self) -> bool:
        """Whether the output is a single file, no folder."""
        return len(self.files) == 1 and not self.files[0].path


def written(uri: str, manifest: Manifest, versions: Mapping[str, str]) -> bytes:
    """The document of an output; ``versions`` by path."""
    document = {
        "version": DOCUMENT_VERSION,
        "uri": uri,
        "digest": manifest.digest,
        "bytes": manifest.bytes,
        "time": time.time(),
        "files": [
            [each.path, each.size, each.digest, versions[each.path]] for each in manifest.files
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def parsed(data: bytes, where: str) -> Committed:
    """What a document says.

    Raises:
        WorkspaceException: it is damaged, or of a later release.
    """
    try:
        document: Any = json.loads(data)
        if document["version"] > DOCUMENT_VERSION:
            raise WorkspaceException(
                f"it was written by a later release (version {document['version']}).", where=where
            )
        files = tuple(
            CommittedFile(str(path), int(size), str(digest), str(version))
            for path, size, digest, version in document["files"]
        )
        at = document.get("time")
        return Committed(
            str(document["uri"]),
            str(document["digest"]),
            int(document["bytes"]),
            files,
            None if at is None else float(at),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkspaceException(f"this document is damaged: {error!r}.", where=where) from error


def numbered(place: str, number: int) -> str:
    """The place that an output goes to where others hold the first ones: ``out~2``, ``out~3``."""
    return place if number == 1 else f"{place}~{number}"


def numbered_document(document: str, number: int) -> str:
    """The document that belongs to :func:`numbered`."""
    return numbered(document[: -len(_SUFFIX)], number) + _SUFFIX


def find_document(home: Home, uri: str) -> Optional[str]:
    """The path in the workspace of the document of the output at that URI, if it has one.

    An output of the workspace's own has it beside it; one at a place of its author's is found by
    the id of the step run, which is in such a place's name.
    """
    store = home.store
    own = store.uri("data")
    if uri.startswith(f"{own}/"):
        path = f"data/{uri[len(own) + 1 :]}{_SUFFIX}"
        return path if store.exists(path) else None
    for run_id in dict.fromkeys(reversed(_RUN_ID.findall(uri))):
        for name in store.children(f"data/{run_id}/"):
            path = f"data/{run_id}/{name}"
            if name.endswith(_SUFFIX) and parsed(store.read(path), store.uri(path)).uri == uri:
                return path
    return None

"""Published pipelines: what runs of them go by, whatever becomes of the files they were made from.

::

    registry/published/<id>.json       the whole of it, written once
    registry/published/<id>.disabled   there as long as it is disabled

Ids are made anew for every publication, so of many who publish one name at once none is lost. One
listing tells which there are, and a document that was read once need not be read again. Whoever
removes what is not needed finds the digests of the sources in the documents.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

from airflow_aml.codec import decode, encode
from airflow_aml.errors import (
    AirflowAmlError,
    ErrorResponseException,
    SnapshotException,
    WorkspaceException,
)
from airflow_aml.workspace import layout
from airflow_aml.workspace.documents import parse_json
from airflow_aml.workspace.home import Home

PUBLISHED_VERSION = 1

_FOLDER = f"{layout.REGISTRY}/published/"
_DOCUMENT, _DISABLED = ".json", ".disabled"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Frozen:
    """What a run goes by instead of the folders of its pipeline's file.

    Attributes:
        sources: source directory, as the spec has it -> digest of its snapshot.
        id: of the published pipeline; empty for a draft.
    """

    sources: Dict[str, str]
    id: str = ""


@dataclass(frozen=True)
class Published:
    """One published pipeline.

    Attributes:
        spec: a PipelineSpec, as a document.
        sources: source directory, as the spec has it -> digest of its snapshot.
        folder: where the spec's local input paths start.
        created: ISO 8601, UTC.
    """

    id: str
    spec: Dict[str, Any]
    sources: Dict[str, str]
    folder: str
    created: str
    name: str = ""
    description: str = ""
    version: Optional[str] = None
    properties: Dict[str, str] = field(default_factory=dict)

    @property
    def frozen(self) -> Frozen:
        """What its runs go by."""
        return Frozen(dict(self.sources), self.id)

    def to_text(self) -> str:
        """The document, as it is stored."""
        content = {"published": PUBLISHED_VERSION, "document": encode(self)}
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)


def read_text(data: bytes, where: str) -> Published:
    """The published pipeline that a document describes; ``where`` names it in an error.

    Raises:
        WorkspaceException: it is damaged, or of a later release.
    """
    content = parse_json(data, where)
    version = content.get("published") if isinstance(content, dict) else None
    if isinstance(version, int) and version > PUBLISHED_VERSION:
        raise WorkspaceException(
            f"this document was written by a later release (version {version}; this release "
            f"knows up to {PUBLISHED_VERSION}).",
            where=where,
            hint="Upgrade airflow-provider-aml here.",
        )
    try:
        return decode(Published, content["document"])
    except (AirflowAmlError, LookupError, TypeError) as error:
        raise WorkspaceException(
            f"this document is damaged: it describes no published pipeline ({error}).", where=where
        ) from error


def add(home: Home, published: Published) -> None:
    """Stores a new published pipeline.

    Raises:
        WorkspaceException: the store cannot be written, or has one of that id.
    """
    path = _path(published.id, _DOCUMENT)
    if not home.store.create(path, published.to_text().encode()):
        raise WorkspaceException("there is already one of that id.", where=home.store.uri(path))


def read(home: Home, identifier: str) -> Published:
    """The published pipeline of that id.

    Raises:
        ErrorResponseException: there is none.
        WorkspaceException: its document is damaged, or of a later release.
    """
    document = read_document(home, identifier)
    return read_text(document, home.store.uri(_path(identifier, _DOCUMENT)))


def read_document(home: Home, identifier: str) -> bytes:
    """The same, as it is stored.

    Raises:
        ErrorResponseException: there is none.
    """
    if _ID.fullmatch(str(identifier)):  # nothing else becomes a part of a path
        try:
            return home.store.read(_path(identifier, _DOCUMENT))
        except FileNotFoundError:
            pass
    raise ErrorResponseException(
        f"there is no published pipeline with the id {identifier!r}.",
        where=home.url,
        hint="PublishedPipeline.list(workspace, active_only=False) lists those that there are.",
    )


def refuse_missing(home: Home, frozen: Frozen) -> None:
    """Sees to it that a published pipeline's sources are there.

    Raises:
        SnapshotException: a snapshot is not.
    """
    for source, digest in frozen.sources.items():
        path = layout.snapshot(digest)
        if not home.store.exists(path):
            raise SnapshotException(
                f"the source folder {source!r} of this published pipeline is not in the workspace "
                "any more.",
                where=home.store.uri(path),
                hint="Restore it from a backup, or publish the pipeline again.",
            )


def is_id(text: str) -> bool:
    """Whether a text is an id, of a published pipeline or of a run."""
    return bool(_ID.fullmatch(text))


def states(home: Home) -> Mapping[str, bool]:
    """Every published pipeline's id, and whether it is enabled; one listing."""
    names = set(home.store.children(_FOLDER))
    ids = sorted(name[: -len(_DOCUMENT)] for name in names if name.endswith(_DOCUMENT))
    return {each: each + _DISABLED not in names for each in ids if _ID.fullmatch(each)}


def is_enabled(home: Home, identifier: str) -> bool:
    """Whether runs of it may begin."""
    return not home.store.exists(_path(identifier, _DISABLED))


def set_enabled(home: Home, identifier: str, enabled: bool) -> None:
    """Lets runs of it begin, or refuses them; said twice it is the same as once."""
    path = _path(identifier, _DISABLED)
    if enabled:
        home.store.delete([path])
    else:
        home.store.write(path, b"")


def _path(identifier: str, ending: str) -> str:
    return f"{_FOLDER}{identifier}{ending}"

"""What a workspace knows of schedules: one document each.

::

    registry/schedule/<id>.json                   written by the runs of its DAG
    registry/scheduled/<id>.<revision>.json       written by programs

Both are ``{"name", "dag_id", "recurrence", "parameters", "status", ...}``. A revision never
changes, and the highest one counts, so that one listing tells what is new.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Optional

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.workspace import layout
from airflow_aml.workspace.documents import parse_json
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.registry import Registry

KIND = "schedule"
SCHEDULED_VERSION = 1

_FOLDER = f"{layout.REGISTRY}/scheduled/"
_NAME = re.compile(r"([0-9a-f-]{36})\.([1-9][0-9]*)\.json")

Document = Dict[str, Any]


def save_schedule(home: Home, document: Document) -> None:
    """Keeps a schedule, unless it is kept like that already."""
    if find_schedule(home, document["id"]) != document:
        Registry(home.store).put(KIND, document["id"], document, overwrite=True)


def find_schedule(home: Home, identity: str) -> Optional[Document]:
    """The schedule of that id; None if the workspace knows none."""
    try:
        return Registry(home.store).load(KIND, identity)
    except UserErrorException:
        return None


def schedules(home: Home) -> List[Document]:
    """All schedules, by name."""
    registry = Registry(home.store)
    found = [registry.load(KIND, identity) for identity in registry.names(KIND)]
    return sorted(found, key=lambda each: (str(each.get("name")), str(each.get("id"))))


def add_revision(home: Home, document: Document) -> None:
    """Keeps a schedule of a published pipeline as it is from now on."""
    content = {"scheduled": SCHEDULED_VERSION, "document": document}
    data = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()
    identity = document["id"]
    number = revisions(home).get(identity, 0) + 1
    while not home.store.create(_path(identity, number), data):
        number += 1


def revisions(home: Home) -> Mapping[str, int]:
    """The schedules of published pipelines: id -> the revision that counts; one listing."""
    found: Dict[str, int] = {}
    for name in home.store.children(_FOLDER):
        match = _NAME.fullmatch(name)
        if match:
            found[match[1]] = max(found.get(match[1], 0), int(match[2]))
    return dict(sorted(found.items()))


def read_revision(home: Home, identity: str, number: int) -> bytes:
    """The document of a revision, as it is stored."""
    data: bytes = home.store.read(_path(identity, number))
    return data


def parse_revision(data: bytes, where: str) -> Document:
    """The schedule that a revision's document describes; ``where`` names it in an error.

    Raises:
        WorkspaceException: it is damaged, or of a later release.
    """
    content = parse_json(data, where)
    version = content.get("scheduled") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEDULED_VERSION:
        raise WorkspaceException(
            f"this document was written by a later release (version {version}; this release "
            f"knows up to {SCHEDULED_VERSION}).",
            where=where,
            hint="Upgrade airflow-provider-aml here.",
        )
    document = content.get("document") if isinstance(content, dict) else None
    if not isinstance(document, dict):
        raise WorkspaceException("this document is damaged: it describes no schedule.", where=where)
    return document


def kept_schedules(home: Home) -> List[Document]:
    """All schedules of published pipelines, by name."""
    found = [
        parse_revision(
            read_revision(home, identity, number), home.store.uri(_path(identity, number))
        )
        for identity, number in revisions(home).items()
    ]
    return sorted(found, key=lambda each: (str(each.get("name")), str(each.get("id"))))


def _path(identity: str, number: int) -> str:
    return f"{_FOLDER}{identity}.{number}.json"

"""What a workspace knows of schedules: one document each, written by the runs of its DAG.

::

    registry/schedule/<id>.json     {"name", "dag_id", "recurrence", "parameters", "status", ...}
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.registry import Registry

KIND = "schedule"

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

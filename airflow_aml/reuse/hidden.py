"""Questions that a script put to the workspace, and what the answer is now.

A question is ``{"kind", "name", "version"}``: the registry's word for what was asked
(``dataset``, ``model``), its name, and the version that was asked for: a number, or None for the
latest. The answer is ``{"version", "id", "content"}``, or None where there is no such thing: a
version of a dataset says where its data is, so what is there now belongs to the answer. Of a list
(``datasets``, ``models``; the name is ``*`` or that of one model) the id is a digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


def answer(home: Home, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the workspace's registry answers now; to be recorded, and to be compared.

    Raises:
        WorkspaceException: the registry cannot be read.
        NoKey: nobody can tell what the data is.
        UserErrorException, OSError: the data is not there.
    """
    from airflow_aml.workspace import datasets, models
    from airflow_aml.workspace.registry import LATEST, Registry

    kind, name = str(asked.get("kind", "")), str(asked.get("name", ""))
    if kind in (datasets.ALL, models.ALL):
        return {"version": None, "id": _listing(kind, name, home)}
    version = asked.get("version")
    try:
        number, document = Registry(home.store).get(
            kind,
            name,
            LATEST if version is None else version,
        )
    except UserErrorException:
        return None
    if document.get("deleted"):
        return None
    found = {"version": number, "id": document.get("id")}
    if kind == "dataset" and document.get("definition"):
        from airflow_aml.reuse.inputs import content_of

        found["content"] = content_of(document["definition"], home, home.url)
    return found


def _listing(kind: str, name: str, home: Home) -> str:
    from airflow_aml.workspace import datasets, models

    if kind == datasets.ALL:
        return datasets.listing(datasets.names(home))
    return models.listing(models.versions(home, None if name == "*" else name))

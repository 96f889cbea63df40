"""Drafts: pipelines that may still be changed, and what they are run with.

::

    registry/draft/<id>.json    replaced whole by every change

What a draft's runs go by is stored beside the published pipelines, written once
(:mod:`~airflow_aml.workspace.published`); the draft only names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, Optional

from airflow_aml.codec import decode, encode
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.published import is_id
from airflow_aml.workspace.registry import Registry

_KIND = "draft"

PROPERTY = "draft"
"""The property of a published pipeline that is a draft's content: the draft's id."""


@dataclass(frozen=True)
class Draft:
    """One draft, as it was when it was read.

    Attributes:
        content: id of the published pipeline that its runs go by.
        parameters: values of its runs; the pipeline's defaults hold for others.
        created: ISO 8601, UTC.
    """

    id: str
    name: str
    experiment: str
    content: str
    description: str = ""
    parameters: Dict[str, Any] = field(default_factory=dict)
    continue_on_step_failure: Optional[bool] = None
    tags: Dict[str, str] = field(default_factory=dict)
    properties: Dict[str, str] = field(default_factory=dict)
    created: str = ""


def save(home: Home, draft: Draft) -> None:
    """Stores a draft in place of what there is of that id."""
    Registry(home.store).put(_KIND, draft.id, encode(draft), overwrite=True)


def read(home: Home, identifier: str) -> Draft:
    """The draft of that id.

    Raises:
        UserErrorException: there is none.
        WorkspaceException: its document is damaged, or of a later release.
    """
    found = Registry(home.store).try_load(_KIND, identifier) if is_id(str(identifier)) else None
    if found is None:
        raise UserErrorException(
            f"there is no pipeline draft with the id {identifier!r}.",
            where=home.url,
            hint="PipelineDraft.list(workspace) lists those that there are.",
        )
    return decode(Draft, found)


def every(home: Home) -> Iterator[Draft]:
    """All drafts of a workspace."""
    registry = Registry(home.store)
    for identifier in registry.names(_KIND):
        found = registry.try_load(_KIND, identifier)
        if found is not None:  # somebody else deletes it just now
            yield decode(Draft, found)


def remove(home: Home, identifier: str) -> None:
    """Removes a draft.

    Raises:
        UserErrorException: there is none of that id.
    """
    read(home, identifier)
    Registry(home.store).remove(_KIND, identifier)

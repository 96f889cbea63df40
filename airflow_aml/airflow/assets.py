"""Registered datasets and watched folders as Airflow Assets: for lineage, and to start runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Asset

from airflow_aml.definition.registered import RegisteredOutput
from airflow_aml.definition.spec import NodeSpec, Registered

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.definition.schedule_spec import DataChange


def dataset_asset(workspace: str, name: str) -> Asset:
    """The Asset of a registered dataset (architecture 3)."""
    path = f"{quote(workspace, safe='')}/datasets/{quote(name, safe='')}"
    return Asset(name=f"{workspace}/{name}", uri=f"aml://{path}")


def folder_asset(workspace: str, change: DataChange) -> Asset:
    """The Asset of a watched folder.

    Schedules that look at one folder in the same way have the same one, so that it is looked at
    once for all of them.
    """
    from urllib.parse import urlencode

    from airflow.sdk import AssetWatcher

    from airflow_aml.airflow.triggers import DatastoreTrigger

    store = change.datastore or "default"
    how = {} if change.is_ordinary else {"every": change.interval, "quiet": change.quiet}
    place = "/".join(quote(part, safe="") for part in (workspace, "datastores", store))
    uri = f"aml://{place}/{quote(change.path)}".rstrip("/")
    query = f"?{urlencode(how)}" if how else ""
    trigger = DatastoreTrigger(
        workspace, change.datastore, change.path, change.interval, change.quiet
    )
    return Asset(
        name=f"{uri.removeprefix('aml://')}{query}",
        uri=f"{uri}{query}",
        watchers=[AssetWatcher(name="changes", trigger=trigger)],
    )


def written(node: NodeSpec, workspace: str) -> list[Asset]:
    """The datasets that a step's outputs are registered as."""
    names = [each.name for output in node.outputs for each in output.registrations]
    return [dataset_asset(workspace, name) for name in dict.fromkeys(names)]


def read(node: NodeSpec, workspace: str) -> list[Asset]:
    """The registered datasets that a step reads by name."""
    names = [port.source.name for port in node.inputs if isinstance(port.source, Registered)]
    return [dataset_asset(workspace, name) for name in dict.fromkeys(names)]


def tell(
    context: Context,
    workspace: str,
    registered: Sequence[RegisteredOutput],
    references: Mapping[str, Mapping[str, Any]],
) -> None:
    """Puts version, digest, files and bytes into the events that the step's end will emit."""
    events = context["outlet_events"]
    for each in registered:
        extra = {"version": each.version, "id": each.id, **references[each.output]}
        events[dataset_asset(workspace, each.name)].extra = extra

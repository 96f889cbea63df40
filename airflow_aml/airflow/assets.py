"""Registered datasets as Airflow Assets: what a step writes and reads, for lineage and triggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Asset

from airflow_aml.definition.registered import RegisteredOutput
from airflow_aml.definition.spec import NodeSpec, Registered

if TYPE_CHECKING:
    from airflow.sdk import Context


def dataset_asset(workspace: str, name: str) -> Asset:
    """The Asset of a registered dataset (architecture 3)."""
    path = f"{quote(workspace, safe='')}/datasets/{quote(name, safe='')}"
    return Asset(name=f"{workspace}/{name}", uri=f"aml://{path}")


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

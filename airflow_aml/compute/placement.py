"""What the DAG factory needs to know of a compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_aml.workspace.computes import ComputeRecord

SHARED, MOUNTS, ARCHIVE, STORE = "shared", "mounts", "archive", "store"


@dataclass(frozen=True)
class Placement:
    """One step's place.

    Attributes:
        operator: dotted path of the operator class.
        options: constructor arguments that this place adds.
        transport: how data gets there: ``shared`` (the same file system), ``mounts`` (folders of
            the worker's, at the same paths), ``archive`` (sent and fetched), ``store`` (the place
            reads and writes the workspace's store itself).
    """

    operator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    transport: str = SHARED


def airflow_options(compute: ComputeRecord) -> dict[str, Any]:
    """What of a compute is Airflow's own business: queue, executor, pool."""
    given = {
        "queue": compute.queue,
        "executor": compute.executor,
        "pool": compute.pool,
        "pool_slots": compute.pool_slots,
    }
    return {name: value for name, value in given.items() if value}

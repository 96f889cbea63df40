"""What the DAG factory needs to know of a compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Placement:
    """One step's place.

    Attributes:
        operator: dotted path of the operator class.
        options: constructor arguments that this place adds.
        transport: how data gets there: ``shared`` (the same file system).
    """

    operator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    transport: str = "shared"

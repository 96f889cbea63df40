"""What a run would store to explain itself later, kept in memory by those who only ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_aml.reuse.environment import Environment
    from airflow_aml.workspace.archive import Row


@dataclass(frozen=True)
class Aside:
    """By digest, what the workspace need not hold.

    Attributes:
        sources: the files of source folders.
        environments: interpreters and packages.
        inputs: tell the files of external inputs, path -> content digest, when they are asked.
    """

    sources: dict[str, Sequence[Row]] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    inputs: dict[str, Callable[[], Mapping[str, str]]] = field(default_factory=dict)

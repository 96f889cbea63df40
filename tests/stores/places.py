"""Places for files in the stores that tests run on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Store
from scripts.test_servers import Server

EVERYWHERE = ("local", "memory", "azure", "s3")


@dataclass(frozen=True)
class Place:
    """An empty place for one test to keep files in."""

    kind: str
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    server: Server | None = None

    def open(self) -> Store:
        return open_store(self.url, self.options)


remote_only = pytest.mark.parametrize("place", ["azure", "s3"], indirect=True)
between_processes = pytest.mark.parametrize("place", ["local", "azure", "s3"], indirect=True)

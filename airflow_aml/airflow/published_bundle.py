"""``PublishedBundle``: what is published in a workspace, as DAGs of Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle

from airflow_aml.airflow.published import refresh
from airflow_aml.airflow.settings import open_workspace


class PublishedBundle(BaseDagBundle):
    """The published pipelines of a workspace.

    Args:
        workspace: its name; the default workspace without one.
    """

    supports_versioning = False

    def __init__(self, *, workspace: str = "default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._workspace = workspace

    @property
    def path(self) -> Path:
        """The folder of the DAG files."""
        return self.base_dir / "published"

    def initialize(self) -> None:
        """Writes the files, so that a worker has them as well."""
        self.refresh()
        super().initialize()

    def get_current_version(self) -> None:
        """None: a published pipeline never changes."""
        return

    def refresh(self) -> None:
        """Brings the files up to date with what is published now."""
        with self.lock():
            refresh(open_workspace(self._workspace), self.path)

"""A workspace of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_aml.workspace.home import Home, open_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(str(tmp_path / "workspace"))

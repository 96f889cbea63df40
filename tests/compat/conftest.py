"""A laboratory for scripts that name SDK v1."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.laboratory import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)

"""A project folder with source folders and scripts, as an author has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_aml import PythonScriptStep
from airflow_aml.definition.origin import loading


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with ``src/step.py``; definitions of the test belong to its ``pipeline.py``."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "step.py").write_text("print('hello')\n")
    with loading(str(tmp_path / "pipeline.py")):
        yield tmp_path


@pytest.fixture
def step(project: Path) -> Callable[..., PythonScriptStep]:
    """Makes a step that runs ``src/step.py``."""

    def make(name: str = "step", **options: object) -> PythonScriptStep:
        options.setdefault("source_directory", "src")
        return PythonScriptStep("step.py", name=name, **options)  # type: ignore[arg-type]

    return make

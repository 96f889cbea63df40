"""A file that cannot be loaded is one import error, and nobody else's trouble."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.demo import find_dag
from scripts.local_airflow import LocalAirflow

BROKEN = """# An Airflow DAG that cannot be built.
from airflow_aml import Pipeline, PythonScriptStep, Workspace

step = PythonScriptStep(
    name="count the words",
    script_name="count.py",
    source_directory=".",
    arguments=["--words", object()],
)
pipeline = Pipeline(workspace=Workspace.from_config(), steps=[step])
"""
SOUND = BROKEN.replace(", object()", ', "words.txt"')


@pytest.fixture
def broken_file(airflow: LocalAirflow) -> Iterator[Path]:
    """A broken pipeline file in the DAGs folder; mended afterwards, so that its error goes."""
    folder = airflow.dags_folder / "broken"
    folder.mkdir()
    (folder / "count.py").write_text("print(0)\n")
    path = folder / "words.py"
    path.write_text(BROKEN)
    yield path
    path.write_text(SOUND)
    airflow.rest.wait_until("the import error to go", lambda: not airflow.rest.import_errors())


def test_broken_file_is_one_import_error(
    airflow: LocalAirflow, diabetes_dag: str, broken_file: Path
) -> None:
    """The error names file, step and argument; a neighbour of the file loads and can be run."""
    neighbour = broken_file.with_name("neighbour.py")
    neighbour.write_text(SOUND)

    errors = airflow.rest.wait_until("an import error", airflow.rest.import_errors)

    assert len(errors) == 1
    assert Path(errors[0]["filename"]).name == "words.py"
    for name in ("words.py", "count the words", "arguments[1]"):
        assert name in errors[0]["stack_trace"]
    assert find_dag(airflow, neighbour)
    assert not airflow.rest.wait_for_dag(diabetes_dag)["has_import_errors"]

"""An unchanged v1 program in the DAGs folder of a real Airflow."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.local_airflow import LocalAirflow

SHAPES = Path(__file__).parent.parent / "programs" / "shapes"


def test_a_v1_program_is_a_dag_and_runs(airflow: LocalAirflow) -> None:
    """Dropped as it stands, it shows up, its steps run, and a broken neighbour is one error."""
    folder = airflow.dags_folder / "v1"
    folder.mkdir()
    shutil.copytree(SHAPES / "src", folder / "src")
    shutil.copy(SHAPES / "exits.py", folder)
    (folder / "broken.py").write_text("from azureml.pipeline.core import Pipeline\nx = = 1\n")

    airflow.rest.wait_for_dag("v1_exits")
    run = airflow.rest.wait("v1_exits", airflow.rest.trigger("v1_exits", {}))

    assert run["state"] == "success"
    errors = [str(each["stack_trace"]) for each in airflow.rest.import_errors()]
    assert [text for text in errors if "broken.py:2: SyntaxError: invalid syntax" in text]
    (folder / "broken.py").unlink()
    airflow.rest.wait_until("the import error to go", lambda: not airflow.rest.import_errors())

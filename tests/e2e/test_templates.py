"""Every template loads in a real Airflow."""

from __future__ import annotations

import json

import pytest

from scripts import check_docs, templates
from scripts.demo import find_dag
from scripts.local_airflow import LocalAirflow


@pytest.mark.parametrize("name", templates.names())
def test_template_becomes_a_dag(airflow: LocalAirflow, name: str) -> None:
    """A template that is copied into the DAGs folder shows up as at least one DAG."""
    place = str(airflow.dags_folder / name)

    dag = airflow.rest.wait_for_dag_where(
        f"a DAG of the template {name}",
        lambda dag: dag["fileloc"] == place or dag["fileloc"].startswith(f"{place}/"),
    )

    assert not dag["has_import_errors"]


def test_no_import_errors(airflow: LocalAirflow, diabetes_dag: str) -> None:
    """Neither the API nor the terminal knows of a file that could not be loaded."""
    listed = airflow.run("dags", "list-import-errors", "--output", "json")

    assert airflow.rest.import_errors() == []
    assert listed.returncode == 0
    assert json.loads(listed.stdout.strip().splitlines()[-1]) == []


def test_readme_example_becomes_a_dag(airflow: LocalAirflow) -> None:
    """The first Python block of the README is a pipeline that Airflow lists, as it stands."""
    blocks = check_docs.parts(templates.PROJECT / "README.md")
    example = next(
        b.text for b in blocks if isinstance(b, check_docs.Block) and b.language == "python"
    )
    folder = airflow.dags_folder / "readme"
    for step in ("prepare", "train"):
        (folder / step).mkdir(parents=True)
        (folder / step / f"{step}.py").write_text("print('nothing')\n")
    (folder / "pipeline.py").write_text(example)

    assert find_dag(airflow, folder / "pipeline.py")

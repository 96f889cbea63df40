"""Every template loads in a real Airflow."""

from __future__ import annotations

import json

import pytest

from scripts import templates
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

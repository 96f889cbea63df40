"""A notebook that nobody looks at follows a run of a real Airflow."""

from __future__ import annotations

import nbclient
import nbformat
import pytest

from airflow_aml.workspace import layout
from airflow_aml.workspace.home import open_home
from scripts.local_airflow import LocalAirflow

BEGIN = """
import time
from airflow_aml import PipelineRun, RunDetails, Workspace
from airflow_aml.errors import UserErrorException

def get(run_id):
    while True:
        try:
            return PipelineRun.get(Workspace(), run_id)
        except UserErrorException:  # it has not begun
            time.sleep(1)

run = get({run_id!r})
RunDetails(run).show()
"""


def test_a_run_of_airflow_is_followed(
    airflow: LocalAirflow, diabetes_dag: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    """Its status is Airflow's, its end stays, and a link leads to its page there."""
    variables = {
        "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
        "AIRFLOW_AML_API_URL": airflow.url,
        "AIRFLOW_AML_API_USER": airflow.user,
        "AIRFLOW_AML_API_PASSWORD": airflow.password,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    started = airflow.rest.trigger(diabetes_dag, {"regularization": 0.75})
    home = open_home(str(airflow.home.workspace))
    run_id = layout.pipeline_run_id(home.uuid, diabetes_dag, started)
    cells = [BEGIN.format(run_id=run_id), "run.wait_for_completion(show_output=False)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])

    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=600, kernel_name="python3", resources=place).execute()

    (shown,) = [each.data["text/html"] for each in book.cells[0].outputs]
    assert shown.count("Finished</span>") + shown.count("Reused</span>") == 4
    assert f'href="{airflow.url}/dags/{diabetes_dag}/runs/manual__' in shown
    assert "regularization = <b>0.75</b>" in shown
    assert shown.count("<rect") == 3
    assert "It cannot be looked at" not in shown

"""A script on a real Airflow gets a secret, and what it logs is in its task's XCom."""

from __future__ import annotations

import textwrap

from scripts.demo import find_dag
from scripts.local_airflow import LocalAirflow

PIPELINE = """
    # airflow dag
    from airflow_aml import Pipeline, PythonScriptStep, Workspace
    p = Pipeline(Workspace(), [PythonScriptStep("log_in.py", source_directory="src")])
"""

SCRIPT = """
    from airflow_aml import Run
    run = Run.get_context()
    password = run.get_secret("db-password")
    assert password == "correct horse" + " battery"
    print("logging in with", password)
    run.log("letters", len(password))
"""


def test_a_secret_and_a_number(airflow: LocalAirflow) -> None:
    """The task's supervisor is asked while the script runs; the log has stars instead."""
    variable = {"key": "aml_secret_db_password", "value": "correct horse battery"}
    airflow.rest._call("POST", "variables", variable)
    folder = airflow.dags_folder / "log_in"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "log_in.py").write_text(textwrap.dedent(SCRIPT))
    (folder / "pipeline.py").write_text(textwrap.dedent(PIPELINE))
    dag_id = find_dag(airflow, folder / "pipeline.py")

    run_id = airflow.rest.trigger(dag_id)

    assert airflow.rest.wait(dag_id, run_id)["state"] == "success"
    log = airflow.rest.task_log(dag_id, run_id, "log_in")
    assert "logging in with ***" in log
    assert "horse" not in log
    value = airflow.rest.xcoms(dag_id, run_id, "log_in")["return_value"]
    assert value["metrics"] == {"letters": 21}
    links = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/log_in/links"
    assert not airflow.rest.get(links).json()["extra_links"]["MLflow run"]

"""OpenLineage: what steps tell Airflow's provider, and that nobody else needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PIPELINE = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    rows = Dataset.Tabular.from_delimited_files(
        "data/rows.csv", set_column_types={"x": DataType.to_long()}
    )
    rows.register(ws, "rows", create_new_version=True)
    made = OutputFileDatasetConfig("made").read_delimited_files(
        set_column_types={"x": DataType.to_long(), "y": DataType.to_string()}
    )
    made = made.register_on_complete("made rows")
    first = PythonScriptStep(
        "write.py",
        arguments=[made],
        inputs=[
            Dataset.get_by_name(ws, "rows").as_named_input("rows"),
            Dataset.File.from_files((store, "more/")).as_named_input("more").as_mount(),
        ],
        source_directory="src",
    )
    second = PythonScriptStep("read.py", arguments=[made.as_input("made")], source_directory="src")
    p = Pipeline(ws, [first, second])
"""


@pytest.fixture
def project(write, workspace):
    """A table, files of a datastore, and two scripts."""
    write("data/rows.csv", "x\n1\n")
    write(
        "src/write.py",
        """
        import sys
        from airflow_aml import Run
        open(sys.argv[1] + "/t.csv", "w").write("x,y\\n1,a\\n")
        for value in (1, 2, float("nan")):
            Run.get_context().log("rows", value)
        """,
    )
    write("src/read.py", "")
    more = workspace.root / "datastores" / "workspaceblobstore" / "more"
    more.mkdir(parents=True)
    (more / "a.txt").write_text("a")
    write("p.py", PIPELINE)


@pytest.fixture
def told(project, tmp_path):
    """Runs the pipeline with the provider's file transport; its last event of each task."""

    def run():
        file = tmp_path / "events.json"
        file.write_text("")
        transport = {"type": "file", "log_file_path": str(file), "append": True}
        environment = {**os.environ, "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)}
        program = [sys.executable, "-m", "airflow_aml.cli", "run", str(tmp_path / "dags" / "p.py")]
        done = subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr
        events = [json.loads(line) for line in file.read_text().splitlines()]
        return {
            event["job"]["name"].rpartition(".")[2]: event
            for event in events
            if event["eventType"] == "COMPLETE"
        }

    return run


def test_the_provider_writes_what_was_read_and_written(told):
    """A registered dataset has one name for who writes and who reads it, and its version."""
    events = told()

    inputs = {each["name"]: each for each in events["write"]["inputs"]}
    assert set(inputs) == {"datasets/rows", "datastores/workspaceblobstore/more"}
    assert {each["namespace"] for each in inputs.values()} == {"aml://default"}
    rows = inputs["datasets/rows"]["facets"]
    assert rows["version"]["datasetVersion"] == "1"
    assert [(f["name"], f["type"]) for f in rows["schema"]["fields"]] == [("x", "long")]
    outputs = {each["name"]: each for each in events["write"]["outputs"]}
    registered = outputs.pop("datasets/made rows")
    ((name, made),) = outputs.items()
    assert name.endswith("/write/made")
    assert registered["facets"]["version"]["datasetVersion"] == "1"
    assert [f["name"] for f in registered["facets"]["schema"]["fields"]] == ["x", "y"]
    for each in (registered, made):
        statistics = each["outputFacets"]["outputStatistics"]
        assert (statistics["fileCount"], statistics["size"]) == (1, 8)
        assert "rowCount" not in statistics
    assert events["write"]["run"]["facets"]["aml_metrics"]["metrics"] == {"rows": 2}
    assert "aml_metrics" not in events["read"]["run"]["facets"]
    (read,) = events["read"]["inputs"]
    assert (read["namespace"], read["name"]) == (made["namespace"], made["name"])
    assert read["facets"]["version"] == made["facets"]["version"]


def test_steps_need_nothing_of_the_provider():
    """Who has no OpenLineage needs none: operators name its classes without importing them."""
    program = (
        "import sys\n"
        "sys.modules['openlineage'] = None\n"
        "sys.modules['airflow.providers.openlineage.extractors'] = None\n"
        "import airflow_aml.airflow.steps.local as local\n"
        "assert local.LocalStepOperator.get_openlineage_facets_on_complete\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)

"""What removing data goes by: documents say whose every file is, and which of it is registered."""

from __future__ import annotations

import json

from airflow_aml.definition.data.model import definition_of
from airflow_aml.definition.registered import place_of_uri
from airflow_aml.workspace import datasets
from airflow_aml.workspace.datastores import load_datastore


def test_documents_tell_registered_data_from_intermediate_data(
    write, one_dag, run_dag, workspace, tmp_path
):
    """Every committed output has a manifest that names its place; a registered one has a version
    that names the same place and the step run, also where steps write into a datastore with
    keep_days."""
    (tmp_path / "short").mkdir()
    write("src/two.py", "import sys\nfor p in sys.argv[1:]: open(p + '/a.txt', 'w').write('a')\n")
    write(
        "p.py",
        f"""
        # airflow dag
        from airflow_aml import *
        ws = Workspace()
        store = Datastore.register_local(ws, "short", {str(tmp_path / "short")!r}, keep_days=7)
        kept = OutputFileDatasetConfig("kept", (store, "x/{{run-id}}/kept"))
        kept = kept.register_on_complete("kept")
        passing = OutputFileDatasetConfig("passing", (store, "x/{{run-id}}/passing"))
        own = OutputFileDatasetConfig("own")
        two = PythonScriptStep("two.py", arguments=[kept, passing, own], source_directory="src")
        p = Pipeline(ws, [two])
        """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    uris = {name: ran.xcom("two", name)["uri"] for name in ("kept", "passing", "own")}
    manifests = {
        json.loads(path.read_text())["uri"]: path
        for path in (workspace.root / "data").glob("*/*.manifest.json")
    }
    assert set(manifests) == set(uris.values())
    found = datasets.get(workspace, "kept").version
    assert definition_of(found.definition).paths == (place_of_uri(uris["kept"], workspace),)
    assert found.origin["step_run"] == manifests[uris["kept"]].parent.name
    assert load_datastore(workspace, "short").keep_days == 7

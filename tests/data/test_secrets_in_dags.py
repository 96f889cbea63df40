"""A key that a file registers a datastore with is in nothing that Airflow keeps."""

from __future__ import annotations

import json

SECRET = "s3cr3t-of-the-account"


def test_a_declared_key_is_not_in_the_serialised_dag(write, one_dag):
    """Airflow's database and UI see the serialised DAG; the key stays in the file."""
    from airflow.serialization.serialized_objects import DagSerialization

    write("src/a.py", "")
    write(
        "p.py",
        f"""
        # airflow dag
        from airflow_aml import *
        ws = Workspace()
        store = Datastore.register_azure_blob_container(
            ws, "blobs", "box", account_name="acc", account_key="{SECRET}")
        out = OutputFileDatasetConfig("o", destination=(store, "x")).register_on_complete("made")
        data = Dataset.File.from_files((store, "in")).as_named_input("i").as_mount()
        step = PythonScriptStep("a.py", source_directory="src", arguments=[data, out])
        Experiment(ws, "exp").submit(Pipeline(ws, [step]))
        """,
    )

    dag = one_dag()

    assert SECRET not in json.dumps(DagSerialization.to_dict(dag))
    assert all(SECRET not in repr(vars(task)) for task in dag.tasks)

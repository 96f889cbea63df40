"""Datasets in runs: declared, pinned, read by scripts, registered when a step has succeeded."""

from __future__ import annotations

import pytest

from airflow_aml import Dataset, Workspace
from airflow_aml.workspace import datasets

HEADER = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    def step(script, **options):
        return PythonScriptStep(script + ".py", source_directory="src", **options)
"""


@pytest.fixture(autouse=True)
def project(write):
    """A table, a script that writes one, and one that reads what it was given."""
    write("data/iris.csv", "length,kind\n1.5,a\n2.5,b\n")
    write(
        "src/write.py",
        """
        import os, sys
        open(os.path.join(sys.argv[1], "t.csv"), "w").write("x,y\\n1,2\\n3,4\\n")
    """,
    )
    write(
        "src/table.py",
        """
        from airflow_aml import Dataset, Run
        import sys
        run = Run.get_context()
        frame = run.input_datasets["iris_data"].to_pandas_dataframe()
        again = Dataset.get_by_id(run.experiment.workspace, sys.argv[1]).to_pandas_dataframe()
        assert frame.equals(again)
        print("ROWS", len(frame), list(frame.columns))
    """,
    )


def test_a_registered_output_is_a_dataset_and_an_asset(write, one_dag, run_dag, workspace):
    """register_on_complete makes version 1, and version 2 when the step has written anew."""
    write(
        "p.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o", destination=(store, "outputdataset/{run-id}"))
    registered = out.register_on_complete(name="prepared_output_data")
    p = Pipeline(ws, [step("write", arguments=[out])])
    """,
    )
    dag = one_dag()
    (asset,) = dag.task_dict["write"].outlets
    assert asset.uri == "aml://default/datasets/prepared_output_data"

    run_dag(dag)
    assert datasets.versions(workspace, "prepared_output_data") == [1]
    run_dag(dag)
    assert datasets.versions(workspace, "prepared_output_data") == [1]
    run_dag(dag, {"aml_regenerate_outputs": True})

    assert datasets.versions(workspace, "prepared_output_data") == [1, 2]
    dataset = Dataset.get_by_name(Workspace(), "prepared_output_data")
    assert [path.rpartition("/")[2] for path in dataset.to_path()] == ["t.csv"]


def test_a_failed_step_registers_nothing(write, one_dag, run_dag, workspace):
    """v1 registered also after a failure; here a dataset is what a step has finished."""
    write("src/bad.py", "raise SystemExit(1)")
    write(
        "p.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o").register_on_complete(name="half_done")
    p = Pipeline(ws, [step("bad", arguments=[out])])
    """,
    )

    assert run_dag(one_dag()).state == "failed"
    assert datasets.find(workspace, "half_done") is None


def test_setup_is_done_by_the_run_and_the_script_reads_the_table(
    write, one_dag, run_dag, workspace, capfd
):
    """Uploads and registrations of the file happen at the run's start; direct inputs are ids."""
    write(
        "p.py",
        HEADER
        + """
    store.upload_files(["data/iris.csv"], target_path="train-dataset", overwrite=True)
    iris = Dataset.Tabular.from_delimited_files([(store, "train-dataset/iris.csv")])
    iris = iris.register(ws, "iris", create_new_version=True)
    named = iris.as_named_input("iris_data")
    p = Pipeline(ws, [step("table", inputs=[named], arguments=[named])])
    """,
    )
    dag = one_dag()
    assert not (workspace.root / "datastores").exists()

    first, second = run_dag(dag), run_dag(dag)

    assert (first.state, second.state) == ("success", "success")
    assert datasets.versions(workspace, "iris") == [1]
    assert "ROWS 2 ['length', 'kind']" in "".join(capfd.readouterr())


def test_a_table_that_cannot_be_read_is_told_in_a_line(write, one_dag, run_dag, capfd):
    """The step's log leads from the script's line to the sentence, not through pandas."""
    write("data/broken.csv", "length,kind\n1.5,a,x\n2.5,b,y\n")
    write(
        "p.py",
        HEADER
        + """
    broken = Dataset.Tabular.from_delimited_files("data/broken.csv").as_named_input("iris_data")
    p = Pipeline(ws, [step("table", inputs=[broken], arguments=[broken])])
    """,
    )

    assert run_dag(one_dag()).state == "failed"

    said = "".join(capfd.readouterr())
    assert 'table.py", line 4, in <module>' in said
    assert "broken.csv: it is not a delimited file: its rows have more fields" in said
    assert "read_csv" not in said
    assert "read_table" not in said


def test_a_dataset_by_name_is_pinned_when_the_run_starts(write, one_dag, run_dag, parse, capfd):
    """get_by_name in a definition is looked up by the run, and its step has the asset as inlet."""
    write(
        "a.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o")
    table = out.read_delimited_files().register_on_complete(name="made")
    p = Pipeline(ws, [step("write", arguments=[out, ], outputs=[table])])
    """,
    )
    write(
        "b.py",
        HEADER
        + """
    made = Dataset.get_by_name(ws, "made").as_named_input("iris_data")
    p = Pipeline(ws, [step("table", inputs=[made], arguments=[made])])
    """,
    )
    dags = parse().dags

    early = run_dag(dags["b"])
    assert early.states["reuse"] == "failed"
    assert "made" in "".join(capfd.readouterr())

    assert run_dag(dags["a"]).state == "success"
    assert run_dag(dags["b"]).state == "success"
    assert "ROWS 2 ['x', 'y']" in "".join(capfd.readouterr())
    assert [a.uri for a in dags["b"].task_dict["table"].inlets] == ["aml://default/datasets/made"]


def test_a_step_reads_another_steps_output_as_a_table(write, one_dag, run_dag, capfd):
    """out.read_delimited_files().as_input() is an edge and a direct input."""
    write(
        "p.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o")
    write = step("write", arguments=[out])
    table = out.read_delimited_files().as_input("iris_data")
    p = Pipeline(ws, [step("table", inputs=[table], arguments=[table])])
    """,
    )

    assert run_dag(one_dag()).state == "success"
    assert "ROWS 2 ['x', 'y']" in "".join(capfd.readouterr())


def test_a_linked_dataset_is_mounted_and_downloaded_like_any(write, one_dag, run_dag, capfd):
    """The next step finds the files that its dataset leads to, not what the link is made of."""
    write("data/more/a.txt", "one")
    write("data/more/b.txt", "two")
    write(
        "src/link.py",
        """
        from airflow_aml import Dataset, Datastore, Run
        run = Run.get_context()
        store = Datastore.get_default(run.experiment.workspace)
        run.output_datasets["chosen"].link(Dataset.File.from_files((store, "more")))
    """,
    )
    write(
        "src/list.py",
        """
        import os, sys
        for folder in sys.argv[1:]:
            print("FOUND", [(name, open(os.path.join(folder, name)).read())
                for name in sorted(os.listdir(folder))])
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    store.upload("data", show_progress=False)
    chosen = LinkFileOutputDatasetConfig("chosen")
    p = Pipeline(ws, [step("link", outputs=[chosen]), step("list", arguments=[
        chosen.as_input("m").as_mount(), chosen.as_input("d").as_download()])])
    """,
    )
    ran = run_dag(one_dag())
    assert ran.states["list"] == "success"
    found = [line for line in capfd.readouterr().out.splitlines() if "FOUND" in line]
    assert len(found) == 2
    for line in found:
        assert "FOUND [('a.txt', 'one'), ('b.txt', 'two')]" in line


def test_a_linked_table_cannot_be_mounted(write, one_dag, run_dag, capfd):
    """It arrives as a dataset, and the step that wants files is told so."""
    write(
        "src/link.py",
        """
        from airflow_aml import Dataset, Datastore, Run
        run = Run.get_context()
        store = Datastore.get_default(run.experiment.workspace)
        made = Dataset.Tabular.from_delimited_files((store, "iris.csv"))
        run.output_datasets["chosen"].link(made)
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    store.upload("data", show_progress=False)
    chosen = LinkFileOutputDatasetConfig("chosen")
    p = Pipeline(ws, [step("link", outputs=[chosen]),
        step("write", arguments=[chosen.as_input("m").as_mount()])])
    """,
    )
    assert run_dag(one_dag()).states["write"] == "failed"
    assert "a tabular dataset has no files to stage" in capfd.readouterr().out

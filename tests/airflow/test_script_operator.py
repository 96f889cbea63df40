"""PythonScriptStepOperator in a hand-written DAG, beside other operators."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_aml import Environment, Workspace

HEADER = """
    from airflow.sdk import DAG, Param, task
    from airflow_aml import Dataset, OutputFileDatasetConfig, PythonScriptStepOperator
    def step(script, **options):
        options.update(task_id=script, source_directory="src")
        return PythonScriptStepOperator(script_name=script + ".py", **options)
"""


@pytest.fixture(autouse=True)
def scripts(write):
    """A script that writes and one that reads."""
    write(
        "src/writer.py",
        """
        import os, sys
        open(os.path.join(sys.argv[1], "data.txt"), "w").write(sys.argv[2])
    """,
    )
    write(
        "src/reader.py",
        """
        import os, sys
        text = open(os.path.join(sys.argv[1], "data.txt")).read()
        print("read", text)
        open(os.path.join(sys.argv[2], "length.txt"), "w").write(str(len(text)))
    """,
    )


def test_outputs_are_xcomargs(write, one_dag, run_dag):
    """write.output["data"] is both the edge and the path; Jinja works in arguments."""
    write(
        "p.py",
        HEADER
        + """
    with DAG("by_hand", schedule=None, params={"text": Param("abc", type="string")}):
        write = step("writer", arguments=[OutputFileDatasetConfig("data"), "{{ params.text }}"])
        read = step("reader", arguments=[write.output["data"], OutputFileDatasetConfig("length")])

        @task
        def check(reference):
            from pathlib import Path
            return {"length": Path(reference["uri"][len("file://"):], "length.txt").read_text()}

        check(read.output["length"])
    """,
    )
    dag = one_dag()
    assert dag.task_dict["reader"].upstream_task_ids == {"writer"}

    ran = run_dag(dag, {"text": "12345"})

    assert ran.state == "success"
    assert ran.xcom("check") == {"length": "5"}
    assert ran.xcom("writer")["status"] == "Finished"


def test_inputs_by_name_and_environment(write, one_dag, run_dag):
    """inputs= names a port as v1 does; environment_variables reach the script."""
    write(
        "src/env.py",
        """
        import os
        assert os.path.isdir(os.environ["AZURE_ML_INPUT_mine"])
        assert os.path.isfile(os.environ["AZURE_ML_INPUT_file"])
        assert os.environ["COLOUR"] == "red-by_hand"
        open(os.path.join(os.environ["AZURE_ML_OUTPUT_o"], "x"), "w").close()
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    with DAG("by_hand", schedule=None):
        write = step("writer", arguments=[OutputFileDatasetConfig("data"), "x"])
        file = Dataset.File.from_files("src/env.py")
        step("env", inputs={"mine": write.output["data"], "file": file},
             outputs=["o"], environment_variables={"COLOUR": "red-{{ dag.dag_id }}"})
    """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    assert ran.xcom("env", "o")["files"] == 1


def test_a_registered_environment_brings_its_interpreter(write, one_dag, run_dag, tmp_path, capfd):
    """As in a pipeline, an environment's name means all that is registered under it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "own"], check=True)
    mine = Environment("mine")
    mine.python.interpreter_path = str(tmp_path / "own" / "bin" / "python")
    mine.register(Workspace())
    write("src/which.py", "import sys; print('runs in', sys.executable)")
    write(
        "p.py",
        HEADER
        + """
    from airflow_aml import RunConfiguration
    config = RunConfiguration()
    config.environment.name = "mine"
    with DAG("by_hand", schedule=None):
        step("which", runconfig=config)
    """,
    )

    assert run_dag(one_dag()).state == "success"

    assert f"runs in {mine.python.interpreter_path}" in "".join(capfd.readouterr())


def test_a_missing_script_is_an_import_error(write, parse):
    """What can be known when the file is parsed is said then."""
    write(
        "p.py",
        HEADER
        + """
    with DAG("by_hand", schedule=None):
        step("nowhere")
    """,
    )

    (error,) = parse().errors.values()
    assert "script not found at" in error
    assert "nowhere.py" in error


def test_an_output_that_is_not_there_is_named(write, one_dag, run_dag, capfd):
    """A reference to an output that the task does not have fails with its argument's place."""
    write(
        "p.py",
        HEADER
        + """
    with DAG("by_hand", schedule=None):
        write = step("writer", arguments=[OutputFileDatasetConfig("data"), "x"])
        step("reader", arguments=[write.output["typo"], OutputFileDatasetConfig("o")])
    """,
    )

    ran = run_dag(one_dag())

    assert ran.states["reader"] == "failed"
    assert ran.tries("reader") == 1
    said = "".join(capfd.readouterr())
    assert "typo" in said or "no such output" in said


@pytest.mark.parametrize(
    ("limit", "tries", "name"),
    [
        ("execution_timeout=timedelta(seconds=1)", 2, "execution_timeout"),
        ("runconfig=limited", 1, "max_run_duration_seconds"),
    ],
)
def test_a_time_limit_ends_the_script(write, one_dag, run_dag, capfd, limit, tries, name):
    """Airflow's own limit is tried again as everywhere in Airflow, v1's is not."""
    write("src/slow.py", "import time; time.sleep(60)")
    write(
        "p.py",
        HEADER
        + f"""
    from datetime import timedelta
    from airflow_aml import RunConfiguration
    limited = RunConfiguration()
    limited.max_run_duration_seconds = 1
    with DAG("by_hand", schedule=None):
        step("slow", retries=1, {limit})
    """,
    )

    ran = run_dag(one_dag())

    assert (ran.state, ran.tries("slow")) == ("failed", tries)
    assert f"'slow' was ended after 1 s, its {name}." in "".join(capfd.readouterr())


def test_a_mapped_step_runs_once_per_value(write, one_dag, run_dag, workspace):
    """expand() works: each mapped instance has a step-run id and outputs of its own."""
    write(
        "p.py",
        HEADER
        + """
    with DAG("by_hand", schedule=None):
        PythonScriptStepOperator.partial(
            task_id="many", script_name="writer.py", source_directory="src",
        ).expand(arguments=[[OutputFileDatasetConfig("data"), text] for text in ("a", "b")])
    """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    texts = sorted(p.read_text() for p in workspace.root.glob("data/*/data/data.txt"))
    assert texts == ["a", "b"]


def test_mapped_steps_read_another_steps_output(write, one_dag, run_dag, capfd):
    """It goes into partial(inputs=); expand() maps texts, which another task may compute."""
    write("src/shown.py", READ_INPUT)
    write("p.py", HEADER + MAPPED.format(mapped="expand(arguments=words.output)"))

    assert run_dag(one_dag()).state == "success"

    said = "".join(capfd.readouterr())
    assert "a reads x" in said
    assert "b reads x" in said


def test_an_output_cannot_be_mapped_over(write, parse):
    """Airflow maps over whole results only, and says so when the file is parsed."""
    write("src/shown.py", READ_INPUT)
    mapped = 'expand(arguments=[["a", first.output["data"]]])'
    write("p.py", HEADER + MAPPED.format(mapped=mapped))

    (error,) = parse().errors.values()
    assert "cannot map over XCom with custom key 'data'" in error


READ_INPUT = """
    import os, sys
    folder = os.environ["AZURE_ML_INPUT_prepared"]
    print(sys.argv[1], "reads", open(os.path.join(folder, "data.txt")).read())
"""

MAPPED = """
    from airflow.providers.standard.operators.python import PythonOperator

    with DAG("by_hand", schedule=None):
        first = step("writer", arguments=[OutputFileDatasetConfig("data"), "x"])
        words = PythonOperator(task_id="words", python_callable=lambda: [["a"], ["b"]])
        PythonScriptStepOperator.partial(
            task_id="many",
            script_name="shown.py",
            source_directory="src",
            inputs={{"prepared": first.output["data"]}},
        ).{mapped}
"""

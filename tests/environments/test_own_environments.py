"""Each step runs with the packages that it asks for, and only what a pin touches runs again."""

from __future__ import annotations

import pytest

from airflow_aml.cli import main

PIPELINE = """
    # airflow dag
    from airflow_aml import (
        CondaDependencies, Experiment, OutputFileDatasetConfig, Pipeline, PythonScriptStep,
        RunConfiguration, Workspace,
    )

    old = RunConfiguration()
    old.environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["azureml-defaults", "six=={six}"], conda_packages=["packaging=23.1"]
    )
    told = OutputFileDatasetConfig("told")
    old_step = PythonScriptStep("tell.py", name="old", source_directory="steps",
                                arguments=["--to", told], runconfig=old)
    plain = PythonScriptStep("plain.py", name="plain", source_directory="steps",
                             arguments=["--from", told.as_input()])
    pipeline = Pipeline("ws", [old_step, plain])
"""
TELL = """
    import os, sys, six, packaging
    from airflow_aml import Run
    place = sys.argv[2]
    Run.get_context().log("seen", 1)
    with open(os.path.join(place, "told.txt"), "w") as file:
        file.write(six.__version__ + " " + packaging.__version__ + " " + sys.executable)
"""
PLAIN = "import sys; print('plain in', sys.executable)\n"


@pytest.fixture
def project(write):
    """The pipeline's file, with six in that version."""

    def put(six):
        write("steps/tell.py", TELL)
        write("steps/plain.py", PLAIN)
        return write("pipeline.py", PIPELINE.replace("{six}", six))

    return put


def reasons(ran, *names):
    return [ran.xcom(name)["reason"] for name in names]


def test_a_step_runs_with_its_packages_and_a_pin_reruns_it(
    project, one_dag, run_dag, tmp_path, monkeypatch, capfd
):
    """Versions are those asked for, a second run reuses all, another pin says so."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    project("1.16.0")

    first = run_dag(one_dag())

    assert first.state == "success"
    six, packaging, interpreter = (first.output("old", "told") / "told.txt").read_text().split()
    assert (six, packaging) == ("1.16.0", "23.1")
    assert interpreter.startswith(str(tmp_path / "cache" / "environments"))
    said = "".join(capfd.readouterr())
    assert "left out, as nothing here needs it: azureml-defaults" in said
    assert said.count("environment built: Python 3.11, 2 packages") == 1

    assert run_dag(one_dag()).states == {"reuse": "success", "old": "skipped", "plain": "skipped"}

    path = project("1.17.0")
    assert main(["plan", str(path)]) == 3
    assert "package six changed from 1.16.0 to 1.17.0" in capfd.readouterr().out
    changed = run_dag(one_dag())
    assert changed.states["old"] == "success"
    assert "1.17.0" in (changed.output("old", "told") / "told.txt").read_text()
    assert "package six changed from 1.16.0 to 1.17.0" in "".join(capfd.readouterr())

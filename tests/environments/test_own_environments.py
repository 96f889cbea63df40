"""Each step runs with the packages that it asks for, and only what a pin touches runs again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_aml import CondaDependencies, Environment, Workspace
from airflow_aml.cli import main
from airflow_aml.reuse.software.pythons import installed, own_version

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


REGISTERED = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    mine = Environment("mine")
    mine.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["six==1.16.0"], python_version="{python}"
    )
    mine.version = "1.0"
    mine.register(ws)
    config = RunConfiguration()
    config.environment.name = "mine"
    config.environment.version = "1.0"
    which = PipelineParameter("which", "six")
    step = PythonScriptStep("show.py", name="show", source_directory="steps",
                            arguments=["--which", which], runconfig=config, allow_reuse=False)
    pipeline = Pipeline(ws, [step])
"""
SHOW = """
    import sys, importlib
    from azureml.core import Run
    Run.get_context().log("minor", sys.version_info[1])
    module = importlib.import_module(sys.argv[2])
    print("%d.%d" % sys.version_info[:2], module.__name__, module.__version__)
"""


BY_NAME = """
    # airflow dag
    from airflow_aml import *
    config = RunConfiguration()
    config.environment.name = "mine"
    step = PythonScriptStep("plain.py", source_directory="steps", runconfig=config)
    pipeline = Pipeline(Workspace(), [step])
"""


def test_a_registered_environment_is_looked_up_beside_a_parameter(write, one_dag, run_dag, capfd):
    """Name and version are enough; registering is the run's first work, and plan knows of it."""
    python = next(version for version in ("3.8", own_version()) if version in installed())
    write("steps/show.py", SHOW)
    path = write("pipeline.py", REGISTERED.replace("{python}", python))
    assert main(["plan", str(path)]) == 3
    assert "no environment named" not in capfd.readouterr().err

    ran = run_dag(one_dag(), {"which": "six"})

    assert ran.state == "success"
    said = "".join(capfd.readouterr())
    assert "environment 'mine' is registered, version 1.0" in said
    assert f"{python} six 1.16.0" in said


def test_a_registered_environment_brings_its_interpreter(
    write, one_dag, run_dag, workspace, tmp_path, capfd
):
    """The script runs in that one, and another one under the name runs the step again."""

    def register(python):
        made = Environment("mine")
        made.python.user_managed_dependencies = True
        made.python.interpreter_path = str(python)
        made.register(Workspace())

    pythons = [tmp_path / name / "python" for name in ("one", "two")]
    for python in pythons:
        subprocess.run([sys.executable, "-m", "venv", python.parent, "--without-pip"], check=True)
    pythons = [python.parent / "bin" / "python" for python in pythons]
    write("steps/plain.py", PLAIN)
    path = write("pipeline.py", BY_NAME)
    register(pythons[0])

    assert run_dag(one_dag()).state == "success"

    assert f"plain in {pythons[0]}" in "".join(capfd.readouterr())
    assert main(["plan", str(path)]) == 0
    module = pythons[1].parents[1] / "lib" / f"python{own_version()}" / "site-packages"
    (module / "mine-1.0.dist-info").mkdir()
    (module / "mine-1.0.dist-info" / "METADATA").write_text("Name: mine\nVersion: 1.0\n")
    register(pythons[1])
    assert run_dag(one_dag()).state == "success"
    assert f"plain in {pythons[1]}" in "".join(capfd.readouterr())


ON_COMPUTES = """
    # airflow dag
    from airflow_aml import *
    own = RunConfiguration()
    own.environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["six==1.15.0"]
    )
    common = dict(source_directory="steps", arguments=["--which", "six"])
    asks = PythonScriptStep("show.py", "asks", runconfig=own, compute_target="{name}", **common)
    none = PythonScriptStep("show.py", "none", compute_target="{name}", **common)
    pipeline = Pipeline(Workspace(), [none, asks])
"""


def test_a_compute_has_the_environment_of_steps_that_ask_for_none(
    write, one_dag, run_dag, workspace, monkeypatch, capfd
):
    """A step's own counts first; a new version, or another compute's, is another environment."""

    def register(six):
        made = Environment("mine")
        made.python.conda_dependencies = CondaDependencies.create(pip_packages=[f"six=={six}"])
        made.register(Workspace())

    register("1.16.0")
    monkeypatch.setenv(
        "AIRFLOW__AML__COMPUTES",
        '{"cpu": {"environment": "mine"}, "fixed": {"environment": "mine:1"}}',
    )
    write("steps/show.py", SHOW)
    path = write("pipeline.py", ON_COMPUTES.replace("{name}", "cpu"))

    assert run_dag(one_dag()).state == "success"

    said = "".join(capfd.readouterr())
    assert "six 1.16.0" in said
    assert "six 1.15.0" in said
    register("1.17.0")
    assert main(["plan", str(path)]) == 3
    assert "package six changed from 1.16.0 to 1.17.0" in capfd.readouterr().out
    write("pipeline.py", ON_COMPUTES.replace("{name}", "fixed"))
    skipped = {"reuse": "success", "none": "skipped", "asks": "skipped"}
    assert run_dag(one_dag()).states == skipped


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('pip_packages=["no-such-package-of-anybody-xyz"]', "not found in the package registry"),
        ('conda_packages=["openjdk=8"]', "conda package 'openjdk=8' is no Python package"),
    ],
)
def test_packages_that_cannot_be_had_fail_the_run_at_once(
    write, one_dag, run_dag, capfd, asked, said
):
    """The first task says which step and why, is not tried again, and no step starts."""
    write("steps/show.py", SHOW)
    write(
        "pipeline.py",
        f"""
        # airflow dag
        from airflow_aml import *
        config = RunConfiguration(conda_dependencies=CondaDependencies.create({asked}))
        step = PythonScriptStep("show.py", name="show", source_directory="steps", runconfig=config)
        pipeline = Pipeline("ws", [step])
        """,
    )

    ran = run_dag(one_dag())

    assert ran.states == {"reuse": "failed", "show": "upstream_failed"}
    assert ran.tries("reuse") == 1
    text = " ".join(
        "".join(capfd.readouterr()).replace("\\n", " ").split()
    )  # as uv wraps its lines
    assert said in text
    assert "step 'show'" in text


def test_a_site_may_run_everything_in_the_workers_python(
    write, one_dag, run_dag, monkeypatch, capfd
):
    """[aml] environments = worker: nothing is locked, nothing is built."""
    monkeypatch.setenv("AIRFLOW__AML__ENVIRONMENTS", "worker")
    write("steps/show.py", "import sys; print('in', sys.executable)\n")
    write(
        "pipeline.py",
        """
        # airflow dag
        from airflow_aml import *
        config = RunConfiguration(
            conda_dependencies=CondaDependencies.create(pip_packages=["no-such-package-xyz"])
        )
        step = PythonScriptStep("show.py", name="show", source_directory="steps", runconfig=config)
        pipeline = Pipeline("ws", [step])
        """,
    )

    assert run_dag(one_dag()).state == "success"
    assert f"in {sys.executable}" in "".join(capfd.readouterr())

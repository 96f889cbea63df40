"""`airflow-aml list`, `graph`, `plan` and `run` take v1 programs as they stand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml.definition.names import task_id
from tests.compat.test_dropped_programs import DAGS, ENDED_BEFORE, STEPS_ONCE_SERVED, stopped_by

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture
def programs(tmp_path: Path, workspace) -> Path:
    """A copy of all programs."""
    folder = tmp_path / "programs"
    shutil.copytree(PROGRAMS, folder)
    return folder


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    """Calls the command in a process of its own."""
    command = [str(Path(sys.executable).with_name("airflow-aml")), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def answer(*words: str, code: int = 0) -> dict:
    """The JSON object that a verb answers with."""
    done = cli(*words, "--json")
    assert done.returncode == code, done.stderr
    found: dict = json.loads(done.stdout)
    return found


def said(*words: str) -> str:
    """The line that a verb fails with."""
    done = cli(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_list_knows_what_the_bundle_makes_dags_of(programs: Path):
    """The same ids and steps; programs that name what is not served are errors; nothing runs."""
    stopped = stopped_by(programs)
    for dag_id in ENDED_BEFORE:
        stopped.pop(dag_id, None)
    later = {dag_id: each for dag_id, each in STEPS_ONCE_SERVED.items() if dag_id not in stopped}

    found = answer("list", str(programs), code=1)

    steps = {
        row["dag_id"]: [task_id(name, ()) for name in row["steps"]] for row in found["pipelines"]
    }
    assert steps == {**DAGS, **later}
    assert len(found["errors"]) == len(stopped)
    assert not (programs.parent / "workspace" / "runs").exists()


def test_a_program_is_drawn_planned_run_and_planned_again(programs: Path, workspace):
    """Plan says what a run would do, the run does what the program declares, then all is there."""
    program = str(programs / "shapes" / "registers_first_model.py")

    assert "hello" in answer("graph", program)["graph"]
    assert [row["decision"] for row in answer("plan", program, code=3)["steps"]] == ["run"]
    ran = answer("run", program)
    assert (ran["status"], ran["steps"][0]["status"]) == ("Finished", "Finished")
    assert len(list(workspace.root.glob("models/*/ridge.txt"))) == 1
    assert [row["decision"] for row in answer("plan", program)["steps"]] == ["reuse"]


def test_a_v1_file_that_is_no_program_is_told(programs: Path):
    """Scripts of steps, notebooks, and programs that are wrong: each is one line."""
    shapes = programs / "shapes"
    (shapes / "nb.ipynb").write_text("{}")
    (shapes / "magic.py").write_text("import azureml.core\n%matplotlib inline\nPipeline()\n")
    (shapes / "exported.py").write_text(
        "from azureml.pipeline.core import Pipeline\nget_ipython().system('ls')\nPipeline()\n"
    )

    script = said("run", str(shapes / "src" / "register.py"))
    assert "register.py: the file imports azureml, and neither builds nor submits" in script
    assert "airflow-aml exec" in script
    assert "nb.ipynb is a notebook" in said("plan", str(shapes / "nb.ipynb"))
    magic = said("graph", str(shapes / "magic.py"))
    assert "magic.py:2: SyntaxError: invalid syntax. The line is a notebook's magic" in magic
    exported = said("graph", str(shapes / "exported.py"))
    assert "exported.py:2: NameError" in exported
    assert "a notebook's magic" in exported
    open_data = said("graph", str(shapes / "automl.py"))
    assert "automl.py:7: azureml.train.automl.AutoMLConfig is not served" in open_data


def test_native_files_are_as_they_were(write, tmp_path: Path, workspace):
    """A file for this package beside v1 programs; one that mixes both is told what to write."""
    write("src/a.py", "")
    write("ours.py", "from airflow_aml import *\nPipeline(None, [PythonScriptStep('src/a.py')])\n")
    write("mixed.py", "from airflow_aml import Pipeline\nfrom azureml.core import Workspace\n")
    write("theirs.py", "def Pipeline(): return azureml\n")

    found = answer("list", str(tmp_path / "dags"), code=1)

    assert [row["dag_id"] for row in found["pipelines"]] == ["ours"]
    (error,) = found["errors"]
    assert "Write instead: from airflow_aml import Workspace" in error["error"]

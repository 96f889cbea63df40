"""`airflow-aml exec`: v1 programs run from the terminal as they stand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml.azureml_compat.serving import SERVED
from airflow_aml.cli import main

PROGRAMS = Path(__file__).parent.parent / "programs"
EVERY = sorted(str(path.relative_to(PROGRAMS)) for path in PROGRAMS.glob("*/*.py"))
COMMAND = [str(Path(sys.executable).with_name("airflow-aml")), "exec"]

CALLS_AIRFLOW = {"seed_003/program.py", "seed_004/program.py", "shapes/publishes.py"}
"""Programs that log in to Airflow, to post to the address of what they have published."""


def start(folder: Path, *words: str, cwd: Path | None = None) -> subprocess.Popen:
    """A program that begins to run, in its own folder unless told otherwise."""
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=cwd or folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(program: subprocess.Popen) -> tuple[int, str, str]:
    """Its exit code, and what it printed."""
    out, err = program.communicate(timeout=600)
    return program.returncode, out, err


@pytest.fixture
def shapes(tmp_path: Path, workspace) -> Path:
    """A copy of the project."""
    folder = tmp_path / "shapes"
    shutil.copytree(PROGRAMS / "shapes", folder)
    return folder


def test_programs_run_wait_and_read_back(shapes: Path, workspace):
    """Submits run, waits wait, downloads find files; a run that nobody waits for is seen to."""
    reads = start(shapes, "reads_back.py")
    lines = start(shapes, "command_line.py", "--word", "given", "--regenerate")

    code, out, err = ended(reads)
    assert code == 0, err
    assert out.splitlines()[:3] == ["default", "", "airflow"]
    assert "model: 2 words, rate 0.25" in out
    assert "train Finished {'rate': 0.25}" in out

    code, out, err = ended(lines)
    assert code == 0, err
    run_id = out.split("submitted ")[1].split()[0]
    assert f"the run {run_id} is Finished" in err
    texts = [path.read_text() for path in workspace.root.glob("data/*/words/words.txt")]
    assert "given two" in texts


def test_a_program_ends_with_its_own_exit_code(shapes: Path, tmp_path: Path):
    """`sys.exit(4)` is exit code 4, an error is 1 with Python's traceback of the program alone."""
    (shapes / "fails.py").write_text("import azureml.core\n\ndef go():\n    1 / 0\n\ngo()\n")
    (shapes / "code.py").write_text("import sys\nprint(sys.argv, __name__)\nsys.exit(4)\n")
    (shapes / "words.py").write_text("import sys\nsys.exit('no luck')\n")

    code, out, _ = ended(start(shapes, "code.py", "--a", "b c"))
    assert (code, out) == (4, "['code.py', '--a', 'b c'] __main__\n")
    code, _, err = ended(start(shapes, "words.py"))
    assert (code, err) == (1, "no luck\n")
    code, _, err = ended(start(shapes, "fails.py"))
    assert code == 1
    assert err.splitlines()[1].endswith('fails.py", line 6, in <module>')
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_a_program_works_where_it_is_started(shapes: Path, tmp_path: Path):
    """Relative paths start at the working directory, imports at the program's folder, as in v1."""
    (shapes / "where.py").write_text(
        "from ml_service.settings import Env\n"
        "from azureml.pipeline.core import Pipeline\n"
        "from azureml.pipeline.steps import PythonScriptStep\n"
        "pipeline = Pipeline(None, [PythonScriptStep('hello.py', source_directory='shapes/src')])\n"
        "print(pipeline.folder, Env().experiment_name)\n"
    )
    code, out, err = ended(start(shapes, "shapes/where.py", cwd=tmp_path))
    assert (code, out) == (0, f"{tmp_path} mlops\n"), err


def test_a_module_is_run_as_python_does_it(tmp_path: Path):
    """`exec -m` starts at the top of a repository; a program that cannot import says where."""
    package = tmp_path / "ml_service" / "pipelines"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("import azureml.core\n")
    (package / "names.py").write_text("NAME = 'named'\n")
    (package / "build.py").write_text(
        "import sys\nfrom ml_service.pipelines.names import NAME\nfrom .names import NAME as SAME\n"
        "print(__name__, NAME, SAME, sys.argv[1:], sys.argv[0] == __file__)\n"
    )

    words = ("-m", "ml_service.pipelines.build", "--skip", "x")
    code, out, err = ended(start(tmp_path, *words))
    assert (code, out) == (0, "__main__ named named ['--skip', 'x'] True\n"), err

    for name in ("ml_service.pipelines.gone", "ml_service.pipelines", "nowhere.at_all", "sys"):
        code, _, err = ended(start(tmp_path, "-m", name))
        assert (code, err.count("\n")) == (1, 1)
        assert f"there is no module '{name}' that could be run" in err

    code, _, err = ended(start(tmp_path, "ml_service/pipelines/build.py"))
    assert code == 1
    assert "ModuleNotFoundError: No module named 'ml_service'" in err


def test_what_is_not_served_stops_the_program_by_name(shapes: Path):
    """Services of Azure's end a program where they are used, with what to do instead."""
    code, _, err = ended(start(shapes, "automl.py"))
    assert code == 1
    assert "automl.py:7: azureml.train.automl.AutoMLConfig is not served" in err
    code, _, err = ended(start(shapes, "nowhere.py"))
    assert (code, err.count("\n")) == (1, 1)
    assert "nowhere.py cannot be read: No such file" in err


def notebook(path: Path, *cells: str) -> None:
    """Writes a notebook of these code cells, with a text before each."""
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    for cell in cells:
        text = {"cell_type": "markdown", "metadata": {}, "source": ["# What follows\n"]}
        code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        document["cells"] += [text, {**code, "source": cell.splitlines(keepends=True)}]
    path.write_text(json.dumps(document))


def test_a_notebook_runs_in_its_folder_with_its_magics(shapes: Path, tmp_path: Path):
    """Cells run one after the other: files are written, shells called, a submit really runs."""
    notebook(
        shapes / "tutorial.ipynb",
        "%matplotlib inline\n%matplotlib inline\nword = 'hello'\n",
        "import os\nos.makedirs('made', exist_ok=True)",
        "%%writefile made/step.py\nimport sys\nprint(sys.argv[1])",
        "!echo {word} > said.txt\nlines = !cat said.txt\nlines",
        "from azureml.core import Experiment, Workspace\n"
        "from azureml.pipeline.core import Pipeline\n"
        "from azureml.pipeline.steps import PythonScriptStep\n"
        "step = PythonScriptStep('step.py', name='made', source_directory='made',\n"
        "                        arguments=[lines[0]])\n"
        "run = Experiment(Workspace.from_config(), 'nb').submit(Pipeline(None, [step]))\n",
        "%%time\nstatus = run.wait_for_completion(show_output=False)",
        "display(status)\n%env DONE=yes\nprint(os.environ['DONE'], __name__)",
    )

    code, out, err = ended(start(shapes, "shapes/tutorial.ipynb", cwd=tmp_path))

    assert code == 0, err
    assert out.splitlines()[-2:] == ["Finished", "yes __main__"]
    assert err.count("%matplotlib has no effect outside a notebook") == 1
    assert (shapes / "said.txt").read_text() == "hello\n"


def test_a_notebook_that_goes_wrong_names_cell_and_line(shapes: Path):
    """An unknown magic, a mistake, an error in a cell, and what is no notebook at all."""
    notebook(shapes / "magic.ipynb", "x = 1", "%%R -i x\nprint(x)")
    notebook(shapes / "mistake.ipynb", "print('first')", "y = 1\nx = = 1")
    notebook(shapes / "fails.ipynb", "def go():\n    1 / 0", "go()")
    (shapes / "text.ipynb").write_text("no notebook")

    code, _, err = ended(start(shapes, "magic.ipynb"))
    assert (code, err.splitlines()[1]) == (1, '  File "magic.ipynb, cell 4", line 1, in <module>')
    assert "%%R is a magic of notebooks that is not served here" in err
    code, out, err = ended(start(shapes, "mistake.ipynb"))
    assert (code, out) == (1, "first\n")
    assert 'File "mistake.ipynb, cell 4", line 2\n    x = = 1' in err
    code, _, err = ended(start(shapes, "fails.ipynb"))
    assert code == 1
    assert 'File "fails.ipynb, cell 2", line 2, in go\n    1 / 0' in err
    code, _, err = ended(start(shapes, "text.ipynb"))
    assert (code, err) == (1, "airflow-aml: text.ipynb: this is no notebook of Jupyter's.\n")


def test_a_magic_in_a_program_says_what_to_do(shapes: Path):
    """A `%` or `!` line, and what Jupyter exports for one, are no Python; a hint says so."""
    for name, line in (("a.py", "%pip list"), ("b.py", "!ls"), ("c.py", "get_ipython()")):
        (shapes / name).write_text(f"import azureml.core\n{line}\n")
        code, _, err = ended(start(shapes, name))
        assert code == 1
        assert f'File "{name}", line 2' in err
        assert err.endswith("(.ipynb), which `airflow-aml exec` runs.\n")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EVERY)
def test_every_program_runs_or_says_what_stops_it(name: str, tmp_path: Path, workspace, capsys):
    """Each as it stands; `airflow-aml check` has said before whether it would run, and why not."""
    shutil.copytree((PROGRAMS / name).parent, tmp_path / "project")
    program = tmp_path / "project" / Path(name).name
    checked = main(["check", "--json", str(program)])
    uses = json.loads(capsys.readouterr().out)["files"][0]["uses"]
    stops = [use["name"].rpartition(".")[2] for use in uses if use["status"] != SERVED]

    code, out, err = ended(start(program.parent, program.name))

    assert checked == (3 if stops else 0)
    if name in CALLS_AIRFLOW:
        assert code == 1, f"{out}\n{err}"
        assert "Set AIRFLOW_AML_API_URL to its address" in err
    elif stops:
        assert code == 1, f"{out}\n{err}"
        assert any(each in err for each in stops), err
    else:
        assert code == (4 if program.stem == "exits" else 0), f"{out}\n{err}"

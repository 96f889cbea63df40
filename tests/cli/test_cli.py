"""airflow-aml: what a person at a terminal sees, and what a script gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
    from airflow_aml import *
    out, length = OutputFileDatasetConfig("out"), OutputFileDatasetConfig("length")
    text = PipelineParameter("text", "abc")
    write = PythonScriptStep("write.py", source_directory="src", arguments=[out, text])
    counted = [out.as_input("in"), length]
    read = PythonScriptStep("read.py", source_directory="src", arguments=counted)
    main = Pipeline("ws", [read], description="Counts letters.")
"""


@pytest.fixture(autouse=True)
def project(write):
    """A pipeline of two steps."""
    write(
        "src/write.py",
        """
        import os, sys
        print("writing", sys.argv[2])
        open(os.path.join(sys.argv[1], "t"), "w").write(sys.argv[2])
    """,
    )
    write(
        "src/read.py",
        """
        import os, sys
        text = open(os.path.join(sys.argv[1], "t")).read()
        if text == "bad":
            sys.exit("cannot count bad text")
        open(os.path.join(sys.argv[2], "n"), "w").write(str(len(text)))
    """,
    )
    return write("team/count.py", PROGRAM.replace('"src"', '"../src"'))


@pytest.fixture
def cli(tmp_path, workspace):
    """Calls the installed command in the dags folder."""

    def call(*words, code=0):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("airflow-aml")), *map(str, words)],
            cwd=tmp_path / "dags",
            env={**os.environ},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return call


def test_list_shows_what_a_folder_declares(cli, write):
    """Every pipeline with its DAG id, steps and parameters; step scripts are not touched."""
    write("src/not_a_definition.py", "raise SystemExit('executed!')")

    said = cli("list", ".").stdout

    assert "team_count  (./team/count.py)" in said
    assert "steps: write.py, read.py" in said
    assert "text='abc'" in said


def test_list_json_is_one_object(cli):
    """Scripts get the same as JSON."""
    (row,) = json.loads(cli("list", ".", "--json").stdout)["pipelines"]

    assert row["dag_id"] == "team_count"
    assert row["parameters"] == {"text": "abc"}
    assert row["description"] == "Counts letters."


def test_list_tells_broken_files_and_goes_on(cli, write):
    """A broken file is named on stderr, the others are listed, the exit code is 1."""
    write("broken.py", "from airflow_aml import Pipeline\nPipeline('ws', [3])\n")
    write("dead.py", "from airflow_aml import Pipeline\n1/0\n")

    done = cli("list", ".", code=1)

    assert "team_count" in done.stdout
    assert "broken.py:2: Can not add object of type" in done.stderr
    assert "airflow-aml: ./dead.py:2: ZeroDivisionError: division by zero." in done.stderr


def test_list_tells_broken_files_that_are_ours_and_no_others(cli, write):
    """A file that mentions the package and cannot work is told; scripts are not executed."""
    write("typo.py", "from airflow_aml import Pipline\n")
    write("half.py", "from airflow_aml import PythonScriptStep\ndef steps(:\n")
    write("theirs.py", "def steps(:\n")
    write("script.py", "from airflow_aml import Run\nraise SystemExit('executed!')\n")

    said = cli("list", ".", code=1).stderr

    assert "./half.py:2: SyntaxError: invalid syntax." in said
    assert "./typo.py:1: ImportError: cannot import name 'Pipline'" in said
    assert "Is Pipeline meant?" in said
    assert "theirs.py" not in said
    assert "script.py" not in said


def test_a_broken_file_is_named_once_with_the_line_that_matters(cli, write):
    """Where a module that the file imports is broken, both places are told."""
    write("helper.py", "1/0\n")
    write("uses.py", "# airflow_aml\nimport helper\nPipeline = None\n")
    write("ends.py", "# airflow_aml\nPipeline = None\nraise SystemExit(3)\n")

    said = cli("list", ".", code=1).stderr

    assert "./uses.py:2: ZeroDivisionError: division by zero (helper.py:1)." in said
    assert "./ends.py:3: the file ends the program (SystemExit: 3)." in said
    assert said.count("uses.py") == said.count("ends.py") == 1


def test_imports_of_azureml_are_told_what_to_write(cli, write):
    """The same names are in airflow_aml, or are not served yet."""
    write(
        "v1.py",
        "from azureml.core import Workspace, Webservice\nfrom airflow_aml import Pipeline\n",
    )
    write("v1_module.py", "import azureml.core\n")

    said = cli("graph", "v1.py", code=1).stderr

    assert "v1.py:1: ModuleNotFoundError: No module named 'azureml'." in said
    assert "Write instead: from airflow_aml import Workspace (not served yet: Webservice)" in said
    assert "v1_module.py: the file imports azureml" in cli("graph", "v1_module.py", code=1).stderr


def test_an_answer_that_nobody_can_take_is_no_traceback(cli, tmp_path):
    """With stdout closed there is nowhere to say anything; the exit code still tells."""
    words = [str(Path(sys.executable).with_name("airflow-aml")), "graph", "team/count.py"]

    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *words],
        cwd=tmp_path / "dags",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_list_of_nothing(cli, tmp_path):
    """An empty folder has no pipelines; a missing one is an error."""
    (tmp_path / "dags" / "empty").mkdir()

    assert cli("list", "empty").stdout == "no pipelines\n"
    assert "there is no file or folder nowhere" in cli("list", "nowhere", code=1).stderr


def test_graph_draws_mermaid_and_dot(cli):
    """Two forms of the same picture."""
    mermaid = cli("graph", "team/count.py").stdout
    dot = cli("graph", "team/count.py", "--format", "dot").stdout

    assert mermaid.startswith("graph TD\n")
    assert "n0 -->|out| n1" in mermaid
    assert '"write" -> "read" [label="out"];' in dot
    assert json.loads(cli("graph", "team/count.py", "--json").stdout)["format"] == "mermaid"


def test_run_runs_the_pipeline_here(cli):
    """The table has each step's status and outputs; scripts' lines go to stderr."""
    done = cli("run", "team/count.py", "-p", "text=hello")

    assert "Finished  write.py" in done.stdout
    assert "Finished  read.py" in done.stdout
    assert "length: file://" in done.stdout
    assert "write.py | writing hello\n" in done.stderr
    assert "writing hello" not in done.stdout
    assert "loc=" not in done.stderr


def test_run_json_is_the_documented_object(cli):
    """One JSON object on stdout, nothing else (architecture 9)."""
    outcome = json.loads(cli("run", "team/count.py", "--json").stdout)

    assert sorted(outcome) == ["reason", "run_id", "saved_seconds", "seconds", "status", "steps"]
    assert (outcome["status"], outcome["reason"]) == ("Finished", "")
    write, read = outcome["steps"]
    assert (write["name"], write["task_id"], write["status"]) == ("write.py", "write", "Finished")
    assert Path(read["outputs"]["length"][len("file://") :], "n").read_text() == "3"


def test_a_failed_run_says_why(cli):
    """Exit code 1, the failed step with the last lines of its stderr, the rest not started."""
    done = cli("run", "team/count.py", "-p", "text=bad", code=1)

    assert "Failed  read.py" in done.stdout
    assert "cannot count bad text" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "text"], "-p takes NAME=VALUE"),
        (["-p", "=1"], "-p takes NAME=VALUE"),
        (["-p", "nope=1"], "Pipeline parameter with name nope does not exist"),
        (["--name", "other"], "no pipeline 'other' here; there is count"),
    ],
)
def test_bad_arguments_are_one_line(cli, words, said):
    """What is wrong, and what there is."""
    done = cli("run", "team/count.py", *words, code=1)

    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_with_several_pipelines_wants_a_name(cli, write):
    """--name takes the DAG id or the variable's name."""
    program = PROGRAM + '    other = Pipeline("ws", [write])\n'
    write("team/two.py", program.replace('"src"', '"../src"'))

    done = cli("graph", "team/two.py", code=1)

    assert "several pipelines are declared here: two.main, two.other. Say which" in done.stderr
    assert "read.py" in cli("graph", "team/two.py", "--name", "main").stdout
    assert "read.py" not in cli("graph", "team/two.py", "--name", "two.other").stdout


def test_pipelines_without_a_variable_have_names_too(cli, write):
    """--name takes the part of the DAG id after the dot also where no variable gave it."""
    write("src/step.py", "")
    write(
        "many.py",
        """
        from airflow_aml import Pipeline, PythonScriptStep
        def make(name):
            return Pipeline("ws", [PythonScriptStep("step.py", name=name, source_directory="src")])
        pipelines = [make("one"), make("two")]
        """,
    )

    for name, step, other in (("pipeline1", "one", "two"), ("many.pipeline2", "two", "one")):
        drawn = cli("graph", "many.py", "--name", name).stdout
        assert step in drawn
        assert other not in drawn
    assert (
        '"many.pipeline2"' in cli("plan", "many.py", "--name", "pipeline2", "--json", code=3).stdout
    )
    assert (
        "there is many.pipeline1, many.pipeline2"
        in cli("plan", "many.py", "--name", "pipeline3", code=1).stderr
    )


def test_numbers_and_booleans_are_read_as_the_parameters_types(cli, write):
    """-p text becomes the parameter's type, or is refused by name and type."""
    write("src/show.py", "import sys; print('GOT', sys.argv[1:])")
    write(
        "p.py",
        """
        from airflow_aml import *
        given = [PipelineParameter(n, v) for n, v in (("i", 1), ("f", 0.5), ("b", False))]
        p = Pipeline("ws", [PythonScriptStep("show.py", source_directory="src", arguments=given)])
    """,
    )

    said = cli("run", "p.py", "-p", "i=7", "-p", "f=2", "-p", "b=true").stderr

    assert "GOT ['7', '2.0', 'True']" in said
    assert "p.py" in cli("list", "p.py").stdout
    for text, why in (("f=nan", "JSON has no number nan"), (f"i={2**63}", "more than 64 bits")):
        assert why in cli("run", "p.py", "-p", text, code=1).stderr
    refused = cli("run", "p.py", "-p", "i=x", code=1).stderr
    assert "Expected type of the pipeline parameter i is int, but the value is 'x'" in refused


def test_version(cli):
    """The installed version."""
    from airflow_aml import __version__

    assert cli("--version").stdout == f"{__version__}\n"

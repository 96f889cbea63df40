"""What a run needs and does not find: said by the plan, and by its first task before any step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml import Datastore, Workspace

HEADER = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    def step(name, **options):
        return PythonScriptStep(f"{name}.py", name=name, source_directory="src", **options)
"""

PROGRAM = (
    HEADER
    + """
    raw = Dataset.File.from_files(%s).as_named_input("raw").as_mount()
    first = step("write", arguments=[%s])
    last = step("read", arguments=[raw])
    last.run_after(first)
    main = Pipeline(ws, [last])
"""
)


@pytest.fixture(autouse=True)
def project(write):
    """A step that takes long and writes, and one that reads afterwards."""
    write("src/write.py", "import sys; open(sys.argv[1] + '/a.csv', 'w').write('1')")
    write("src/read.py", "import os, sys; print('READ', os.listdir(sys.argv[1]))")


def planning(folder: Path, code: int) -> subprocess.CompletedProcess[str]:
    """The command, which ends with that exit code."""
    command = str(Path(sys.executable).with_name("airflow-aml"))
    done = subprocess.run(
        [command, "plan", "p.py", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def planned(folder: Path) -> dict[str, str]:
    """What the command says of each step."""
    return {
        each["name"]: each["reason"] for each in json.loads(planning(folder, 3).stdout)["steps"]
    }


@pytest.fixture
def refused(tmp_path, one_dag, run_dag, capfd):
    """The sentence with which plan refuses, and a run as well, of which no step starts."""

    def ask():
        sentence = planning(tmp_path / "dags", 1).stderr.removeprefix("airflow-aml: ").strip()
        capfd.readouterr()
        ran = run_dag(one_dag())
        assert ran.states["reuse"] == "failed"
        assert ran.states["write"] != "success"
        said = "".join(capfd.readouterr())
        assert "AirflowFailException" in said
        assert sentence in said
        return sentence

    return ask


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ('(store, "gone")', "there is no file or folder 'gone' in datastore"),
        ('"gone"', "It was removed since, was never written, or is called otherwise"),
        ('(store, "raw/*.csv")', "no file matches 'raw/*.csv' in datastore"),
        ('"raw/*.csv"', "/raw/*.csv' in this machine"),
    ],
)
def test_an_input_that_is_not_there_is_found_first(write, refused, path, sentence):
    """It is told as to_path() tells it, and no step runs for hours before."""
    write("p.py", PROGRAM % (path, 'OutputFileDatasetConfig("o")'))

    said = refused()
    assert said.startswith("step 'read', input 'raw': ")
    assert sentence in said
    assert "Errno" not in said


@pytest.mark.parametrize("path", ["made", "made/*.csv"])
def test_an_input_where_another_step_publishes_is_waited_for(
    write, one_dag, run_dag, tmp_path, capfd, path
):
    """A fixed destination that nobody has filled yet is no reason to refuse the run."""
    write(
        "p.py",
        PROGRAM
        % (f'(store, "{path}")', 'OutputFileDatasetConfig("o", destination=(store, "made/"))'),
    )
    reason = planned(tmp_path / "dags")["read"]
    assert reason.startswith(("input 'raw': there is no file or", "input 'raw': no file matches"))
    assert run_dag(one_dag()).state == "success"
    assert "READ ['a.csv']" in "".join(capfd.readouterr())


def test_an_input_that_a_declared_upload_makes_is_there(write, one_dag, run_dag, tmp_path, capfd):
    """The first task does what the file declares before it looks; plan knows that it will."""
    write("a.csv", "1")
    upload = '\n    store.upload_files(["a.csv"], target_path="up")\n'
    paths = ('(store, "up/*.csv")', 'OutputFileDatasetConfig("o")')
    write("p.py", (HEADER + upload + PROGRAM.removeprefix(HEADER)) % paths)

    assert planned(tmp_path / "dags")["read"].startswith("depends on the declared upload to ")
    assert run_dag(one_dag()).state == "success"
    assert "READ ['a.csv']" in "".join(capfd.readouterr())


@pytest.mark.parametrize("default", [False, True])
def test_an_input_in_a_datastore_that_the_file_registers_anew(
    write, one_dag, run_dag, tmp_path, capfd, default
):
    """Another step publishes through it where the input is; only the run can see that."""
    (tmp_path / "stock" / "made").mkdir(parents=True)
    declared = f"""
    stock = Datastore.register_local(ws, "stock", {str(tmp_path / "stock")!r})
    {"stock.set_as_default()" if default else ""}
    """
    place = "ws.get_default_datastore()" if default else "stock"
    path = f"{str(tmp_path / 'stock/made/*.csv')!r}"
    output = f'OutputFileDatasetConfig("o", destination=({place}, "made"))'
    write("p.py", (HEADER + declared + PROGRAM.removeprefix(HEADER)) % (path, output))

    assert "no file matches" in planned(tmp_path / "dags")["read"]
    assert run_dag(one_dag()).state == "success"
    assert "READ ['a.csv']" in "".join(capfd.readouterr())


WRITES = (
    HEADER
    + """
    %s
    first = step("write", arguments=[OutputFileDatasetConfig("made")])
    last = step("read", arguments=[OutputFileDatasetConfig("o", destination=%s)])
    last.run_after(first)
    main = Pipeline(ws, [last])
"""
)
STOCK = 'Datastore.register_local(ws, "warehouse", "%s")'


@pytest.mark.parametrize("place", ['"warehous"', '(Datastore.get(ws, "warehous"), "x")'])
def test_an_output_for_an_unknown_datastore_is_found_first(
    write, refused, workspace, tmp_path, place
):
    """A slip in the last step's destination costs no hours of the steps before it."""
    (tmp_path / "stock").mkdir()
    Datastore.register_local(Workspace(), "warehouse", str(tmp_path / "stock"))
    write("p.py", WRITES % ("", place))

    sentence = refused()
    assert sentence.startswith("step 'read', output 'o': there is no datastore 'warehous' in the ")
    assert sentence.endswith("Is it 'warehouse'?")


@pytest.mark.parametrize(
    ("program", "port"),
    [
        (WRITES % ("", '("warehouse", "x")'), "output 'o'"),
        (
            PROGRAM % ('(Datastore.get(ws, "warehouse"), "x")', 'OutputFileDatasetConfig("o")'),
            "input 'raw'",
        ),
    ],
)
def test_a_datastore_whose_folder_is_not_there_is_found_first(
    write, refused, workspace, tmp_path, program, port
):
    """A share that is not mounted costs no hours of the steps before the one that needs it."""
    (tmp_path / "stock").mkdir()
    Datastore.register_local(Workspace(), "warehouse", str(tmp_path / "stock"))
    (tmp_path / "stock").rmdir()
    write("p.py", program)

    sentence = refused()
    assert sentence.startswith(f"step 'read', {port}: the folder {tmp_path}/stock of the datastore")


def test_a_datastore_that_the_file_registers_need_not_be_there(
    write, one_dag, run_dag, tmp_path, capfd
):
    """The run's first task registers it before it looks, and plan knows that it will."""
    (tmp_path / "stock").mkdir()
    write("p.py", WRITES % (STOCK % (tmp_path / "stock"), '(Datastore.get(ws, "warehouse"), "x")'))

    assert planned(tmp_path / "dags")["read"] == "depends on 'write'"
    assert run_dag(one_dag()).state == "success"
    assert (tmp_path / "stock" / "x").is_dir()


@pytest.mark.parametrize("ignored", ["read.py", "*.py\n!write.py"])
def test_a_script_that_an_ignore_file_leaves_out_is_found_first(write, refused, ignored):
    """It would not travel with its step, which could only fail when its turn comes."""
    write("src/.amlignore", ignored)
    write("p.py", WRITES % ("", "None"))

    sentence = refused()
    assert "/dags/src: the script 'read.py' does not count as source" in sentence
    assert "Does .amlignore leave it out" in sentence

"""airflow-aml plan: what a run would do, and that a run then does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml.reuse.lookup import duration

SCRIPT = """
    import argparse, os
    parser = argparse.ArgumentParser()
    for name in ("--in", "--out", "--rate"):
        parser.add_argument(name)
    args, _ = parser.parse_known_args()
    place = getattr(args, "in")
    if os.path.isdir(place):
        (name,) = os.listdir(place)
        place = os.path.join(place, name)
    text = open(place).read()
    with open(os.path.join(args.out, "text.txt"), "w") as stream:
        stream.write("%s %s" % (text.strip(), args.rate))
"""

PROGRAM = """
    # airflow dag
    from airflow_aml import Dataset, OutputFileDatasetConfig, Pipeline, PipelineParameter
    from airflow_aml import PythonScriptStep
    rate = PipelineParameter("rate", 1)
    raw = Dataset.File.from_files("raw.txt").as_named_input("raw").as_mount()
    a, b, c = (OutputFileDatasetConfig(name) for name in "abc")
    def step(name, *arguments):
        return PythonScriptStep(name + ".py", name=name, source_directory=name, arguments=arguments)
    prepare = step("prepare", "--in", raw, "--out", a)
    train = step("train", "--in", a.as_input("data"), "--rate", rate, "--out", b)
    report = step("report", "--in", b.as_input("model"), "--out", c)
    main = Pipeline("ws", [report])
"""

STEPS = ("prepare", "train", "report")


@pytest.fixture(autouse=True)
def project(write):
    """A pipeline of three steps with a parameter and an input file."""
    for name in STEPS:
        write(f"{name}/{name}.py", SCRIPT)
    write("raw.txt", "data")
    return write("p.py", PROGRAM)


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
        assert done.returncode == code, done.stderr + done.stdout
        return done

    return call


@pytest.fixture
def plan(cli):
    """What plan says: step -> (decision, reason)."""

    def ask(*words, code=3):
        steps = json.loads(cli("plan", "p.py", "--json", *words, code=code).stdout)["steps"]
        return {each["name"]: (each["decision"], each["reason"]) for each in steps}

    return ask


@pytest.fixture
def run(one_dag, run_dag):
    """What a run does: step -> (status, reason). In this process, as Airflow starts slowly."""

    def go(**parameters):
        ran = run_dag(one_dag(), parameters)
        results = {name: ran.xcom(name) for name in STEPS}
        return {name: (each["status"], each["reason"]) for name, each in results.items()}

    return go


def test_plan_says_what_a_run_does(plan, run, write):
    """Before the first run, after it, after a change, with another parameter: the plan holds."""
    first = plan()
    assert [each[0] for each in first.values()] == ["run", "depends", "depends"]
    assert run()["prepare"] == ("Finished", first["prepare"][1])

    unchanged = plan(code=0)
    assert [each[0] for each in unchanged.values()] == ["reuse", "reuse", "reuse"]
    again = run()
    assert {name: ("Reused", reason) for name, (_, reason) in unchanged.items()} == again

    write("prepare/prepare.py", SCRIPT + "\n    # a comment\n")
    changed = plan("-p", "rate=2")
    assert changed["prepare"] == ("run", "prepare.py changed")
    assert [each[0] for each in changed.values()] == ["run", "depends", "depends"]
    ran = run(rate=2)
    assert ran["prepare"] == ("Finished", "prepare.py changed")
    assert ran["train"] == ("Finished", "parameter 'rate' changed from 1 to 2")


def test_plan_names_files_and_values(plan, run, write):
    """Reasons name changed files, inputs and parameters although nothing new was stored."""
    run()
    write("raw.txt", "other")
    assert plan()["prepare"] == ("run", "input 'raw' changed: 1 file (raw.txt)")
    write("raw.txt", "data")
    write("train/train.py", SCRIPT + "#")
    write("train/helper.py", "x = 1")
    assert plan()["train"] == ("run", "train.py changed; helper.py was added")
    assert plan("-p", "rate=3")["train"][1].endswith("parameter 'rate' changed from 1 to 3")
    assert plan("--regenerate")["prepare"] == ("run", "regenerate_outputs was asked for")


def test_plan_checks_outputs(plan, run, workspace):
    """A deleted output is a reason to run, and so are bytes that were changed behind our back."""
    run()
    (made,) = workspace.root.glob("data/*/b/text.txt")
    status = made.stat()
    made.chmod(0o644)
    made.write_text("DATA None 1")
    os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert made.stat().st_size == status.st_size
    assert "content" in plan()["train"][1]
    assert "content" in plan("--verify", "content")["train"][1]
    made.parent.chmod(0o755)
    made.unlink()
    assert plan()["train"] == (
        "run",
        "file 'text.txt' of output 'b' of the earlier result was deleted",
    )


def test_plan_stores_nothing(plan, run, write, workspace):
    """No plan adds or changes a document of the workspace."""
    run()
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}
    write("train/train.py", SCRIPT + "#")
    write("raw.txt", "other")
    plan()

    after = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}
    assert after == before


@pytest.mark.parametrize("of_program", ["PROGRAM", "DECLARED"])
def test_plan_makes_no_workspace(cli, write, tmp_path, monkeypatch, of_program):
    """Where there is none yet, all steps would run; the place stays as it was."""
    write("p.py", globals()[of_program])
    place = tmp_path / "new" / "workspace"
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(place))

    done = cli("plan", "p.py", code=3)

    said = f"there is no workspace at file://{place} yet, so all steps would run"
    assert done.stderr == f"airflow-aml: {said}\n"
    assert "; reuse saves 0.0 s" in done.stdout
    assert not place.parent.exists()


def test_plan_and_run_for_people(cli):
    """Tables with reasons, and what reuse saves; run does what plan said."""
    said = cli("plan", "p.py", code=3).stdout

    assert "run      prepare  no earlier result of this step\n" in said
    assert "depends  train    depends on 'prepare'\n" in said
    assert said.endswith("0 of 3 steps reused, 1 to run, 2 to be seen; reuse saves 0.0 s\n")
    cli("run", "p.py")
    planned = json.loads(cli("plan", "p.py", "--json").stdout)
    ran = cli("run", "p.py").stdout
    for step in planned["steps"]:
        assert f"    Reused  {step['name']:<7}              {step['reason']}\n" in ran
    assert "\n            c: file://" in ran
    saved = duration(planned["saved_seconds"])
    assert ran.endswith(f"3 of 3 steps reused, {saved} saved\n")
    assert "3 of 3 steps reused; reuse saves " in cli("plan", "p.py").stdout


DECLARED = """
    # airflow dag
    from airflow_aml import Dataset, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace
    ws = Workspace()
    store = ws.get_default_datastore()
    store.upload_files(["raw.txt"], target_path="raw", overwrite=True)
    Dataset.File.from_files([(store, "raw/raw.txt")]).register(
        ws, "raw", create_new_version=True)
    def step(name, given, out):
        return PythonScriptStep(
            name + ".py", name=name, source_directory=name, arguments=["--in", given, "--out", out])
    a, b = OutputFileDatasetConfig("a"), OutputFileDatasetConfig("b")
    prepare = step("prepare", Dataset.get_by_name(ws, "raw").as_named_input("raw").as_mount(), a)
    train = step("train", a.as_input("data"), b)
    main = Pipeline(ws, [train])
"""


def test_plan_knows_what_the_file_declares(plan, cli, write, one_dag, run_dag):
    """An upload or registration that a run will do first is what a step depends on until then."""
    write("p.py", DECLARED)

    first = cli("plan", "p.py", "--json", code=3)
    assert first.stderr == ""
    steps = {each["name"]: each for each in json.loads(first.stdout)["steps"]}
    assert (steps["prepare"]["decision"], steps["prepare"]["reason"]) == (
        "depends",
        "depends on the declared registration of dataset 'raw'",
    )
    assert steps["train"]["reason"] == "depends on 'prepare'"
    run_dag(one_dag())
    assert [each[0] for each in plan(code=0).values()] == ["reuse", "reuse"]

    write("raw.txt", "other")
    assert plan()["prepare"] == (
        "depends",
        "depends on the declared upload to datastore 'workspaceblobstore' at 'raw'",
    )
    run_dag(one_dag())
    assert plan(code=0)["prepare"][0] == "reuse"
    (Path(one_dag().fileloc).parent / "raw.txt").unlink()
    decision, reason = plan()["prepare"]
    assert decision == "depends"
    assert "which cannot be done (there is no file " in reason


QUERY = """
    from airflow_aml import Dataset, Datastore, Pipeline, PythonScriptStep, Workspace
    ws = Workspace()
    pg = Datastore.register_azure_postgre_sql(ws, "pg", "server", "sales", "me", "secret")
    rows = Dataset.Tabular.from_sql_query((pg, "select 1")).as_named_input("rows")
    main = Pipeline(ws, [PythonScriptStep(
        "prepare.py", name="prepare", source_directory="prepare", inputs=[rows])])
"""


def test_plan_knows_a_database_that_the_file_declares(plan, write):
    """A run registers it first, so that plan need not find it."""
    write("p.py", QUERY)
    why = "depends on the declared registration of datastore 'pg'"
    assert plan() == {"prepare": ("depends", why)}


def test_plan_refuses_what_no_run_could_find(cli, write):
    """A dataset that is neither there nor declared is an error, as it is in a run."""
    write("p.py", DECLARED.replace('get_by_name(ws, "raw")', 'get_by_name(ws, "rwa")'))
    assert "there is no dataset named 'rwa'" in cli("plan", "p.py", code=1).stderr


def test_plan_tells_what_is_only_published_again(cli, run_dag, one_dag, write):
    """A, B, A: the script need not run, but its fixed destination shows the other's files."""
    fixed = 'OutputFileDatasetConfig("a", destination=(Workspace().get_default_datastore(), "at/"))'
    program = PROGRAM.replace("a, b, c = (", f"a, b, c = {fixed}, *(").replace('"abc")', '"bc")')
    program = program.replace('raw, "--out"', 'raw, "--rate", rate, "--out"')
    write("p.py", program.replace("import PythonScriptStep", "import PythonScriptStep, Workspace"))
    run_dag(one_dag(), {"rate": 1})
    run_dag(one_dag(), {"rate": 2})

    steps = json.loads(cli("plan", "p.py", "--json", code=3).stdout)["steps"]
    assert steps[0]["decision"] == "publish"
    assert steps[0]["reason"].startswith("nothing changed, but the destination of output 'a' ")
    assert steps[0]["saved_seconds"] > 0
    said = cli("plan", "p.py", code=3).stdout
    assert said.startswith("publish  prepare  nothing changed, but the destination of output 'a' ")
    assert "1 of 3 steps reused, 1 of them published again, 2 to be seen;" in said
    ran = run_dag(one_dag(), {"rate": 1})
    assert ran.xcom("prepare")["reason"] == steps[0]["reason"]
    assert ran.states["train"] == "skipped"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error(tmp_path, workspace, unbuffered):
    """``airflow-aml plan FILE | head -1`` ends without a word, with the exit code of SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("airflow-aml")), "plan", "p.py"],
        cwd=tmp_path / "dags",
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_plan_errors(cli):
    """Exit code 1 and one line."""
    for words in (["nowhere.py"], ["team_pipeline"], ["p.py", "-p", "x=1"]):
        done = cli("plan", *words, code=1)
        assert done.stderr.startswith("airflow-aml: ")
        assert "Traceback" not in done.stderr


def test_plan_imports_neither_airflow_nor_fsspec(tmp_path, workspace):
    """It stays quick: what it does not need is not imported."""
    program = (
        "import sys; from airflow_aml.cli import main; main(['plan', 'p.py']); "
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'airflow', 'fsspec', 'pandas', 'numpy'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "dags",
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.endswith("\n[]\n")

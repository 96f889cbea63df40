"""airflow-aml explain and runs: what a workspace tells of its runs, without Airflow."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from airflow_aml import Experiment, Workspace
from airflow_aml.cli import main

PROGRAM = """
    # airflow dag
    from airflow_aml import OutputFileDatasetConfig, Pipeline, PipelineParameter, PythonScriptStep
    text = PipelineParameter("text", "abc")
    out, length = OutputFileDatasetConfig("out"), OutputFileDatasetConfig("length")
    write = PythonScriptStep(
        "write.py", name="write", source_directory="write", arguments=[out, text])
    read = PythonScriptStep(
        "read.py", name="read", source_directory="read", arguments=[out.as_input("in"), length])
    main = Pipeline("ws", [read])
"""
WRITE = """
    import os, sys
    if sys.argv[2] == "bad":
        sys.exit("cannot write that")
    open(os.path.join(sys.argv[1], "t"), "w").write(sys.argv[2])
"""
READ = """
    import os, sys
    text = open(os.path.join(sys.argv[1], "t")).read()
    open(os.path.join(sys.argv[2], "n"), "w").write(str(len(text)))
"""


@pytest.fixture
def run(write, one_dag, run_dag):
    """Runs a pipeline of two steps."""
    write("write/write.py", WRITE)
    write("read/read.py", READ)
    write("count.py", PROGRAM)
    return lambda **parameters: run_dag(one_dag(), parameters)


@pytest.fixture
def say(workspace, capsys):
    """What a verb prints."""

    def call(*words, code=0):
        capsys.readouterr()
        assert main([str(each) for each in words]) == code
        done = capsys.readouterr()
        return done.err if code else done.out

    return call


def test_explain_gives_each_step_a_sentence(run, say, write):
    """Whatever decided: the run's first task, the step itself, or a step above it."""
    run()
    write("write/write.py", WRITE + "\n    # a comment\n")
    second = run().dag_run.run_id

    said = say("explain", second, "--diff")

    assert said.startswith("run ")
    assert "  Finished  write  write.py changed\n" in said
    assert "    Reused  read   nothing changed since run " in said
    assert "--- a/write.py\n+++ b/write.py\n" in said
    assert "+# a comment\n" in said
    third = run(text="bad").dag_run.run_id
    assert "    Failed  write  step 'write': " in say("explain", third)
    assert "cannot write that" in say("explain", "latest", "write", "--dag", "count")
    assert "NotStarted  read" in say("explain", "latest")


def test_explain_json(run, say):
    """One object with everything that is known of each step."""
    ran = run()
    again = run()
    answer = json.loads(say("explain", "latest", "--json"))
    by_id = json.loads(say("explain", answer["id"], "read", "--json"))

    assert (answer["dag_id"], answer["run_id"]) == ("count", again.dag_run.run_id)
    write, read = answer["steps"]
    assert (write["status"], read["status"]) == ("Reused", "Reused")
    assert read["source"]["run_id"] == ran.dag_run.run_id
    assert read["outputs"]["length"] == ran.xcom("read", "length")["uri"]
    assert by_id["steps"] == [read]


SAME_NAMES = """
    # airflow dag
    from airflow_aml import Pipeline, PythonScriptStep
    def step(text):
        return PythonScriptStep("say.py", name="say", source_directory="say", arguments=[text])
    main = Pipeline("ws", [step("one"), step("two")])
"""


def test_steps_with_one_name_are_told_apart(write, one_dag, run_dag, say):
    """v1 lets several steps have one name; the task id says which is meant."""
    write("say/say.py", "print('hello')")
    write("count.py", SAME_NAMES)
    ids = [name for name in run_dag(one_dag()).states if name.startswith("say")]
    program = one_dag().fileloc

    assert len(ids) == 2
    for task_id in ids:
        assert f"  Finished  say ({task_id})" in say("explain", "latest")
        assert f" say ({task_id})" in say("plan", program)


def test_a_diff_with_nothing_to_show_says_so(run, say):
    """Else nobody knows whether it has been looked for."""
    run()
    run(text="hello")

    said = say("explain", "latest", "--diff")
    assert said.endswith("no step's sources changed since an earlier run of it\n")


def test_a_diff_with_nothing_to_compare_with_does_not_say_unchanged(run, say, write):
    """A step's first run has no earlier sources, and gc removes those that nothing needs."""
    run()
    assert say("explain", "latest", "--diff").endswith(
        "no earlier sources are kept to compare with\n"
    )
    write("write/write.py", WRITE + "\n    # a comment\n")
    write("read/read.py", READ + "\n    # a comment\n")
    run()
    assert "+# a comment\n" in say("explain", "latest", "--diff")
    say("gc", "--older-than", "0d", "--keep-last", "1")
    said = say("explain", "latest", "--diff")
    assert said.endswith("no earlier sources are kept to compare with\n")
    assert "no step's sources changed" not in said
    assert "diff" not in json.loads(say("explain", "latest", "--diff", "--json"))["steps"][0]

    write("count.py", PROGRAM.replace('"read.py", name="read"', '"read.py", name="count"'))
    run()
    said = say("explain", "latest", "--diff")
    assert "\nno earlier sources of count are kept to compare with\n" in said
    assert said.endswith("no step's sources changed since an earlier run of it\n")


def test_runs_of_a_name_that_nobody_has(run, say, capsys):
    """What there is, or what may have been meant."""
    assert main(["runs", "nope"]) == 0
    assert capsys.readouterr().err.endswith("has no run of 'nope'. It has no run at all.\n")
    run()
    capsys.readouterr()
    assert main(["runs", "cuont"]) == 0
    assert capsys.readouterr().err.endswith("has no run of 'cuont'. Did you mean 'count'?\n")
    assert main(["runs", "nope"]) == 0
    assert capsys.readouterr().err.endswith("There are runs of 'count'.\n")


def test_explain_errors(run, say):
    """What is wrong, and what there is."""
    assert "has no run 'latest'" in say("explain", "latest", code=1)
    run()
    assert "Its newest are " in say("explain", "nothing", code=1)
    assert "no step 'x'; it has write, read" in say("explain", "latest", "x", code=1)


def test_runs_tells_what_reuse_saved(run, say, monkeypatch):
    """Newest first, with totals; money only where a price is configured."""
    first, second = run(), run(text="hello")
    third = run()

    answer = json.loads(say("runs", "--json"))

    assert [each["run_id"] for each in answer["runs"]] == [
        each.dag_run.run_id for each in (third, second, first)
    ]
    newest = answer["runs"][0]
    assert (newest["status"], newest["ran"], newest["reused"]) == ("Finished", 0, 2)
    saved = sum(first.xcom(name)["seconds"] for name in ("write", "read"))
    assert newest["saved_seconds"] == pytest.approx(saved, abs=0.01)
    head = third.xcom("reuse")  # which rounds the sum, not each
    assert newest["saved_seconds"] == pytest.approx(head["saved_seconds"], abs=0.002)
    assert answer["total"]["saved_seconds"] == newest["saved_seconds"]
    assert "saved_money" not in answer["total"]
    monkeypatch.setenv("AIRFLOW__AML__PRICE_PER_HOUR", "3600")
    money = json.loads(say("runs", "count", "--json"))["total"]["saved_money"]
    assert money == pytest.approx(saved, abs=0.02)
    assert json.loads(say("runs", "other", "--json"))["runs"] == []
    assert say("runs").endswith(" at your price\n")
    assert say("runs").splitlines()[0].split()[3:6] == ["Finished", "count", newest["run_id"]]


def test_a_step_that_fails_before_its_script_starts_has_failed(run, say, write, tmp_path):
    """Where its output must go there is a file: runs and explain say so after the run, too."""
    place = tmp_path / "shared"
    place.mkdir()
    store = f"Datastore.register_local(Workspace('ws'), 'shared', {str(place)!r})"
    fixed = f"OutputFileDatasetConfig('out', destination=({store}, 'at/'))"
    program = PROGRAM.replace('OutputFileDatasetConfig("out")', fixed)
    write(
        "count.py", program.replace("import OutputFile", "import Datastore, Workspace, OutputFile")
    )
    run()
    shutil.rmtree(place / "at")
    (place / "at").write_text("in the way")

    run(text="hello")

    assert "  Failed      count  " in say("runs")
    said = say("explain", "latest")
    assert "    Failed  write  " in said
    assert str(place) in said
    assert "NotStarted  read" in said


HAND_WRITTEN = """
    from airflow.sdk import DAG, task
    from airflow_aml import OutputFileDatasetConfig, PythonScriptStepOperator
    with DAG("by_hand", params={"text": "abc"}):
        write = PythonScriptStepOperator(
            task_id="write", script_name="write.py", source_directory="write",
            arguments=[OutputFileDatasetConfig("out"), "{{ params.text }}"])
        read = PythonScriptStepOperator(
            task_id="read", script_name="read.py", source_directory="read",
            arguments=[write.output["out"], OutputFileDatasetConfig("length")])
"""


def test_steps_of_hand_written_dags_are_runs_too(write, one_dag, run_dag, say):
    """Nobody planned for them: what is told is what they said when they ended."""
    write("write/write.py", WRITE)
    write("read/read.py", READ)
    write("by_hand.py", HAND_WRITTEN)
    first, second = run_dag(one_dag()), run_dag(one_dag())
    failed = run_dag(one_dag(), {"text": "bad"})
    assert failed.state == "failed"

    runs = json.loads(say("runs", "--json"))["runs"]

    known = {each["run_id"]: each for each in runs}
    ran, again = known[first.dag_run.run_id], known[second.dag_run.run_id]
    assert (ran["dag_id"], ran["status"], ran["ran"], ran["steps"]) == ("by_hand", "Finished", 2, 2)
    assert (again["reused"], again["ran"]) == (2, 0)
    assert again["saved_seconds"] == pytest.approx(ran["seconds"], abs=0.01)
    assert runs.index(again) < runs.index(ran)
    assert (known["?"]["status"], known["?"]["steps"]) == ("Failed", 1)
    said = say("explain", second.dag_run.run_id, "--dag", "by_hand")
    assert "    Reused  write  nothing changed since run " in said
    assert "cannot write that" in say("explain", known["?"]["id"])


def test_a_price_is_a_number(say, monkeypatch):
    """One line that names the setting."""
    monkeypatch.setenv("AIRFLOW__AML__PRICE_PER_HOUR", "cheap")
    assert "[aml] price_per_hour must be a price" in say("runs", code=1)
    monkeypatch.setenv("AIRFLOW__AML__PRICE_PER_HOUR", "-1")
    assert "not '-1'" in say("runs", code=1)


def test_a_price_is_told_in_the_sites_currency(run, say, monkeypatch, tmp_path, capsys):
    """It stands in airflow.cfg or the environment; the run's own log tells it as well."""
    run()
    monkeypatch.setenv("AIRFLOW__AML__PRICE_PER_HOUR", "3600 EUR")
    again = run().xcom("reuse")["saved_seconds"]

    logged = capsys.readouterr()
    told = re.findall(r"2 of 2 steps reused, .* saved \(([\d.]+) EUR\)", logged.out + logged.err)
    assert [float(each) for each in told] == pytest.approx([again], abs=0.02)
    assert " EUR at your price\n" in say("runs")
    assert json.loads(say("runs", "--json"))["total"]["currency"] == "EUR"
    monkeypatch.delenv("AIRFLOW__AML__PRICE_PER_HOUR")
    (tmp_path / "airflow.cfg").write_text("[aml]\nprice_per_hour = $7200\n[other]\nx = 100%%\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", str(tmp_path / "airflow.cfg"))
    (dollars,) = re.findall(r", \$([\d.]+) at your price", say("runs"))
    assert float(dollars) == pytest.approx(2 * again, abs=0.02)
    monkeypatch.setenv("AIRFLOW__AML__PRICE_PER_HOUR", "")
    assert "at your price" not in say("runs")


def test_a_run_without_a_dag_is_called_by_its_id(say):
    """A run that a program began by itself has an id and an experiment, wherever it is named."""
    with Experiment(Workspace(), "notes").start_logging() as run:
        run.log("loss", 1)

    assert f"  notes  {run.id}  " in say("runs")
    assert f"run {run.id} of experiment notes" in say("runs", "show", run.id)
    assert f"run {run.id} of experiment notes, begun " in say("explain", "latest")
    assert f"Its newest are {run.id} of experiment notes." in say("explain", "nope", code=1)

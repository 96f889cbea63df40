"""airflow-aml runs show, compare and plot: one run in full, two side by side, one as a picture."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_aml.cli import main

PROGRAM = """
    # airflow dag
    from airflow_aml import (
        Experiment, OutputFileDatasetConfig, Pipeline, PipelineParameter, PythonScriptStep)
    rate = PipelineParameter("rate", 0.5)
    model = OutputFileDatasetConfig("model")
    train = PythonScriptStep(
        "train.py", name="train", source_directory="train", arguments=[model, rate])
    score = PythonScriptStep(
        "score.py", name="score", source_directory="score", arguments=[model.as_input("model")])
    Experiment("ws", "fit").submit(Pipeline("ws", [score]), tags={"team": "a"})
"""
TRAIN = """
    import sys
    from airflow_aml import Run
    run = Run.get_context()
    for epoch in range(4):
        run.log("loss", float(sys.argv[2]) / (epoch + 1), step=epoch * 10)
    run.log("<b>best", float("nan"))
    run.log_list("huge", [1, 10**400, float("-inf"), 2])
    run.log_row("curve", x=1, y=2.5)
    run.log_row("curve", x=2, y=3.5)
    run.parent.log("final", float(sys.argv[2]))
    run.tag("kind", "ridge")
    open(sys.argv[1] + "/weights", "w").write(sys.argv[2])
    open("outputs/notes.txt", "w").write("noted")
    print("trained")
"""
SCORE = """
    import sys
    from airflow_aml import Run
    Run.get_context().log("r2", 0.75)
"""


@pytest.fixture
def run(write, one_dag, run_dag):
    """Runs a pipeline of two steps; its Airflow id."""
    write("train/train.py", TRAIN)
    write("score/score.py", SCORE)
    write("fit.py", PROGRAM)
    return lambda **parameters: run_dag(one_dag(), parameters).dag_run.run_id


@pytest.fixture
def say(workspace, capsys):
    """What a verb prints."""

    def call(*words, code=0):
        capsys.readouterr()
        assert main([str(each) for each in words]) == code
        done = capsys.readouterr()
        return done.err if code else done.out

    return call


def test_show_tells_all_of_a_run(run, say):
    """Parameters, tags, metrics, and each step with what it made."""
    wanted = run()

    said = say("runs", "show", wanted)

    assert f": {wanted} of fit" in said
    for line in ("status      Finished", "  rate  0.5", "  team  a", "  final  0.5"):
        assert line in said.splitlines()
    assert "  Finished    train" in said
    assert "    metric  loss  0.125 (last of 4)" in said
    assert "    metric  curve  table of x, y" in said
    assert "    output  model  file://" in said
    answer = json.loads(say("runs", "show", "latest", "--json"))
    assert (answer["status"], answer["parameters"], answer["tags"]) == (
        "Finished",
        {"rate": 0.5},
        {"team": "a"},
    )
    train, score = answer["steps"]
    assert train["metrics"]["loss"] == [0.5, 0.25, 0.5 / 3, 0.125]
    assert train["metrics"]["<b>best"] == "NaN"  # a word of JSON, as JSON itself has none
    assert train["metrics"]["huge"] == [1, 10**400, "-Infinity", 2]
    assert train["reason"] == "no earlier result of this step"
    assert score["upstream"] == ["train"]
    assert train["begun"] < train["ended"] <= score["ended"]


def test_show_of_one_step(run, say):
    """Its properties and the names of its files; of a reused one what the result's run left."""
    run()
    again = run()

    said = say("runs", "show", again, "train")

    assert said.startswith("step train (")
    assert ": Reused, saved " in said.splitlines()[0]
    assert "  nothing changed since run " in said
    assert "  outputs/notes.txt" in said.splitlines()
    assert "  logs/azureml/stdoutlogs.txt" in said.splitlines()
    assert "airflow_aml.reason" in said
    assert "  kind  ridge" in said.splitlines()
    (step,) = json.loads(say("runs", "show", again, "train", "--json"))["steps"]
    assert step["properties"]["azureml.reusedrunid"]
    assert step["begun"] is None


def test_the_source_of_a_step_comes_back(run, say, write, tmp_path):
    """As it was in that run, into a new folder."""
    first = run()
    write("train/train.py", "print('edited')")

    said = say("runs", "show", first, "train", "--snapshot", tmp_path / "back")

    assert str(tmp_path / "back") in said
    assert "ridge" in (tmp_path / "back" / "train.py").read_text()
    again = say("runs", "show", first, "train", "--snapshot", tmp_path / "back", code=1)
    assert "is there already" in again
    several = say("runs", "show", first, "--snapshot", tmp_path / "other", code=1)
    assert "Say of which step: train, score." in several


def test_compare_marks_what_differs(run, say):
    """Parameters, metrics, what was reused, how long it took."""
    first, second = run(), run(rate=0.25)

    lines = say("runs", "compare", first, second).splitlines()

    assert "* rate  0.5  0.25" in lines
    assert any(line.startswith("* train.loss ") and "0.0625 (last of 4)" in line for line in lines)
    assert any(line.startswith("  score.r2 ") for line in lines)
    answer = json.loads(say("runs", "compare", first, second, "--json"))
    assert answer["metrics"]["final"] == {"a": 0.5, "b": 0.25, "differs": True}
    assert answer["metrics"]["train.<b>best"]["differs"] is False  # both are NaN
    assert answer["reasons"]["train"]["b"] == "parameter 'rate' changed from 0.5 to 0.25"
    assert answer["a"]["run_id"] == first
    third = run()
    steps = json.loads(say("runs", "compare", first, third, "--json"))["steps"]
    assert steps["train"] == {"a": "Finished", "b": "Reused", "differs": True}


def test_plot_draws_curves_and_steps(run, say, tmp_path):
    """A PNG; series of scalars and columns of rows are curves, single values are not; a number
    that cannot be drawn is a gap."""
    run()
    picture = tmp_path / "run.png"

    answer = json.loads(say("runs", "plot", "latest", "-o", picture, "--json"))

    assert answer == {
        "file": str(picture),
        "steps": 2,
        "curves": ["train.loss", "train.huge", "train.curve.x", "train.curve.y"],
    }
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
    wrong = say("runs", "plot", "latest", "-o", tmp_path / "no" / "run.png", code=1)
    assert "cannot be written" in wrong
    assert "cannot be written" in say("runs", "plot", "latest", "-o", "run.nonsense", code=1)


def test_plot_without_matplotlib(run, workspace, tmp_path):
    """One line that says what to install."""
    run()
    program = (
        "import sys; sys.modules['matplotlib'] = None; from airflow_aml.cli import main; "
        "sys.exit(main(['runs', 'plot', 'latest']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "airflow-provider-aml[plot]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_fails_and_one_that_is_unknown(run, say, write):
    """A failed step has its reason and its time; near names are offered for a mistyped run."""
    wanted = run()
    write("train/train.py", "import sys\nprint('at work')\nsys.exit('no more memory')\n")
    run()

    answer = json.loads(say("runs", "show", "latest", "--json"))

    assert answer["status"] == "Failed"
    train, score = answer["steps"]
    assert (train["status"], score["status"]) == ("Failed", "NotStarted")
    assert "no more memory" in train["reason"]
    assert train["seconds"] > 0
    why = "it was not started: 'train' failed before, and the run does not continue on step failure"
    assert score["reason"] == why
    assert all(why in say(*verb, "latest") for verb in (["runs", "show"], ["explain"]))
    assert say("runs", "plot", "latest", "-o", "/dev/null").endswith("2 steps, 0 curves\n")
    wrong = say("runs", "show", wanted[:-2] + "xx", code=1)
    assert f"Did you mean {wanted} of fit" in wrong
    assert "no step 'trian'; it has train, score" in say("runs", "show", wanted, "trian", code=1)


def test_an_experiment_may_be_called_show(run, say, write, capsys):
    """The list of an experiment's runs is what it was, whatever the experiment is called."""
    run()
    assert main(["runs", "show"]) == 0
    assert "airflow-aml runs show RUN" in capsys.readouterr().err
    write("fit.py", PROGRAM.replace('"fit"', '"show"'))
    run(rate=0.1)

    assert len(json.loads(say("runs", "show", "--json"))["runs"]) == 1
    with pytest.raises(SystemExit):
        main(["runs", "show", "--help"])
    assert "--snapshot DIR" in capsys.readouterr().out


def test_options_may_stand_anywhere(run, say):
    """Whoever types an option before the step's name is understood."""
    run()
    for words in (
        ["explain", "latest", "--diff", "train"],
        ["explain", "--json", "latest", "train"],
        ["runs", "show", "latest", "--json", "train"],
        ["runs", "show", "--json", "latest", "train"],
    ):
        assert "train" in say(*words)
        assert "'score'" not in say(*words)

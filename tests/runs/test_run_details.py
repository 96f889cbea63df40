"""RunDetails and what a notebook shows of objects, for runs of every kind and state."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict

import pytest

from airflow_aml import (
    Dataset,
    Experiment,
    Pipeline,
    PipelineRun,
    PythonScriptStep,
    RunDetails,
    ScriptRun,
    Workspace,
)
from airflow_aml.cli import main
from airflow_aml.definition.runs.rundetails_graph import Box, svg
from airflow_aml.definition.runs.rundetails_html import html_of, text_of
from airflow_aml.definition.runs.rundetails_view import Watch
from airflow_aml.errors import ActivityFailedException, UserErrorException
from airflow_aml.workspace import layout
from airflow_aml.workspace.endings import mark_failed, write_report
from airflow_aml.workspace.plans import PlannedStep, RunPlan, write_plan, write_reused
from airflow_aml.workspace.process import Process
from airflow_aml.workspace.runs import write_head
from airflow_aml.workspace.submitted import Submitted, write_submitted
from tests.serving import serving

NASTY = "<script>alert('x')</script> & \"friends\""
RUN = "8b1c6f0e-52a5-5e0c-9c39-6f3f5a1c7e4d"


@pytest.fixture
def airflow(monkeypatch):
    """A server that answers as Airflow's REST API does for one failed run, of these tasks."""
    tasks = {}

    def task(name):
        return {
            "task_id": name,
            "task_display_name": name,
            "state": tasks[name],
            "duration": 1.0,
            "try_number": 1,
            "start_date": None,
        }

    def answer(_, path):
        last = path.partition("?")[0].rpartition("/")[2]
        known = [task(name) for name in tasks]
        page = {"task_instances": known, "total_entries": len(known)}
        found = {"taskInstances": page, "manual__1": {"state": "failed"}}
        return 200, json.dumps(found[last] if last in found else task(last)).encode()

    with serving(answer) as url:
        monkeypatch.setenv("AIRFLOW_AML_API_URL", url)
        monkeypatch.setenv("AIRFLOW_AML_API_TOKEN", "token")
        yield tasks


def begin(home, steps, parameters=None):
    """A run of a chain of steps, name by task id, that has just been planned."""
    ids = list(steps)
    planned = {
        task_id: PlannedStep("digest", name=steps[task_id], upstream=tuple(ids[place - 1 : place]))
        for place, task_id in enumerate(ids)
    }
    plan = RunPlan("dag", "manual__1", "täglich", "default", parameters or {}, planned)
    write_plan(home, RUN, plan)
    write_head(home, RUN, plan)
    return PipelineRun.get(Workspace(), RUN)


def finish(home, task_id, **values):
    reason = "no earlier result of this step"
    said = {"status": "Finished", "reason": reason, "seconds": 2.0, **values}
    step = layout.step_run_id(RUN, task_id)
    write_report(home, RUN, step, task_id, {"return_value": said})


def test_a_run_that_goes_on(workspace, capsys):
    """In a terminal: the run and its steps as they are now, and the program goes on."""
    run = begin(workspace, {"a": "prepare", "b": "train", "c": "score"}, {"rate": 0.5})
    finish(workspace, "a")
    workspace.store.write(f"{layout.step(RUN, layout.step_run_id(RUN, 'b'))}/input.json", b"{}")

    RunDetails(run).show()

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"PipelineRunId: {RUN}", "Experiment: täglich"]
    assert "Parameters: rate=0.5" in lines
    assert "PipelineRun Status: Running" in lines
    assert [line.split()[:2] for line in lines[-4:-1]] == [
        ["prepare", "Finished"],
        ["train", "Running"],
        ["score", "NotStarted"],
    ]
    assert lines[-1] == "3 steps: 1 ran in 2.0 s, 1 running, 1 not started"


def test_the_same_as_a_document(workspace):
    """get_widget_data has steps, reasons and edges; a reused step tells what it saved."""
    run = begin(workspace, {"a": "prepare", "b": "train"})
    reused = {"status": "Reused", "reason": "nothing changed", "saved_seconds": 11.4}
    write_reused(workspace, RUN, "reuse", {"a": {"return_value": reused}})
    finish(workspace, "b")

    data = RunDetails(run).get_widget_data()

    assert (data["status"], data["run_id"], data["error"]) == ("Finished", RUN, "")
    assert [(each["status"], each["saved_seconds"]) for each in data["child_runs"]] == [
        ("Reused", 11.4),
        ("Finished", 0.0),
    ]
    assert data["graph"]["edges"] == [{"from": "a", "to": "b"}]


def test_names_are_only_text(workspace, capsys):
    """Whatever a step, a parameter or a reason is called: no markup, no terminal command."""
    run = begin(workspace, {"a": NASTY, "b": "训练\x1b[31m\x00\ud800"}, {NASTY: NASTY})
    long = f"{NASTY}\n{'a line of a traceback' * 500}\nValueError: the end"
    workspace.store.write(layout.failed(RUN) + "a", long.encode())

    shown = html_of(Watch(run).look())
    RunDetails(run).show()

    assert "<script" not in shown
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;friends&quot;" in shown
    assert "训练" in shown
    assert not {"\x1b", "\x00", "\ud800"} & set(shown + capsys.readouterr().out)
    assert "Failed</span>" in shown
    assert "ValueError: the end</td>" in shown
    assert len(shown) < 8000


def test_five_hundred_steps(workspace):
    """A table, a sentence instead of a graph; what has ended is read once."""
    names = {f"step_{number}": f"step {number}" for number in range(500)}
    run = begin(workspace, names)
    for task_id in names:
        finish(workspace, task_id)
    watch = Watch(run)
    assert watch.look(patience=0).done is False  # metrics are still to be read

    view = watch.look()
    begun = time.perf_counter()
    shown = html_of(view)

    assert time.perf_counter() - begun < 1
    assert view.done
    assert shown.count("<tr>") == 501
    assert "<svg" not in shown
    assert "A graph is drawn of 60 steps at most; this run has 500." in shown


def test_a_run_of_which_nothing_is_known_yet(workspace):
    """It has been submitted, and has no steps: that is said, and it is not taken for ended."""
    write_submitted(workspace, RUN, Submitted("dag", "manual__1", "new"))
    view = Watch(PipelineRun(Experiment(Workspace(), "new"), RUN)).look()

    assert (view.status, view.done) == ("NotStarted", False)
    assert "No step of it is known yet." in html_of(view)


def test_a_run_that_does_not_exist(workspace):
    """An id that was mistyped, or a step's, is refused, as is what is asked of one that is gone."""
    run = begin(workspace, {"a": "prepare"})
    (step,) = run.get_steps()

    for wrong in ("nope", step.id):
        with pytest.raises(UserErrorException, match=f"has no run '{wrong}'"):
            PipelineRun(Experiment(Workspace(), "new"), wrong)
        unknown = PipelineRun(Experiment(Workspace(), "new"), wrong, _is_known=True)
        for ask in (
            unknown.get_status,
            unknown.wait_for_completion,
            unknown.cancel,
            unknown.get_metrics,
            lambda: unknown.tag("a", "b"),  # noqa: B023 - called at once
            lambda: list(unknown.get_steps()),  # noqa: B023
        ):
            with pytest.raises(UserErrorException, match=f"has no run '{wrong}'"):
                ask()
        assert f"has no run '{wrong}'" in Watch(unknown).look().trouble
        assert workspace.store.children(f"{layout.run(wrong)}/") == []


def test_a_workspace_that_cannot_be_read_for_a_while(workspace):
    """What was known stays, with a sentence; then it goes on."""
    run = begin(workspace, {"a": "prepare"})
    watch = Watch(run)
    watch.look()
    damaged = f"{layout.run(RUN)}/reused/reuse.json"
    workspace.store.write(damaged, b"{ no json")

    view = watch.look()

    assert "It cannot be looked at just now:" in html_of(view)
    assert "prepare" in html_of(view)
    assert "cannot be looked at" in text_of(view)
    assert not view.done
    assert "unknown" in run._repr_html_()
    workspace.store.delete([damaged])
    finish(workspace, "a")
    view = watch.look()
    assert (view.status, view.trouble, view.done) == ("Finished", "", True)


def test_one_step(workspace, capsys):
    """A step's run is shown by itself."""
    run = begin(workspace, {"a": "prepare", "b": "train"})
    finish(workspace, "a")
    prepare, _ = run.get_steps()

    RunDetails(prepare).show()

    told = capsys.readouterr().out
    assert "StepRun Status: Finished" in told
    assert "1 step: 1 ran" in told
    assert "train" not in told
    assert "azureml.StepRun" in prepare._repr_html_()


def test_who_waits_for_a_step_that_will_not_start(workspace, capsys):
    """Its run has ended by another step's failure: so has the waiting, and nothing timed out."""
    run = begin(workspace, {"a": "prepare", "b": "train"})
    mark_failed(workspace, RUN, "a", "no luck")
    prepare, train = run.get_steps()

    assert train.wait_for_completion(show_output=True) == "NotStarted"
    assert capsys.readouterr().out == f"StepRunId: {train.id}\nStepRun Status: NotStarted\n"
    with pytest.raises(ActivityFailedException, match="step 'prepare': no luck"):
        prepare.wait_for_completion(show_output=False)


def test_v1s_documents(workspace):
    """They have the words of run history, when it began and ended, properties and log files."""
    run = begin(workspace, {"a": "prepare", "b": "train"})
    finish(workspace, "a")
    log = f"{layout.step(RUN, layout.step_run_id(RUN, 'a'))}/files/logs/azureml/stdoutlogs.txt"
    workspace.store.write(log, b"done")

    going = run.get_details()
    assert (going["status"], going["endTimeUtc"]) == ("Running", None)
    finish(workspace, "b")
    details, (prepare, train) = run.get_details(), run.get_steps()
    assert (details["status"], run.get_status()) == ("Completed", "Finished")
    assert prepare.get_details()["status"] == "Completed"
    assert details["endTimeUtc"] == train.get_details()["endTimeUtc"] > details["startTimeUtc"]
    assert details["properties"] == run.get_properties() == run.properties
    assert run.properties == {"airflow.dag_id": "dag", "airflow.run_id": "manual__1"}
    assert list(details["logFiles"]) == ["a/logs/azureml/stdoutlogs.txt"]


def test_what_a_pipelines_run_refuses(workspace):
    """It ends with its steps and has no other children: v1's NotImplementedError, not silence."""
    run = begin(workspace, {"a": "prepare"})

    for ask in (run.complete, run.fail, run.child_run, lambda: run.create_children(2)):
        with pytest.raises(NotImplementedError, match=r"PipelineRun\.[a-z_]+: "):
            ask()


def test_a_step_that_was_kept_from_starting(workspace, airflow):
    """Its task has failed in Airflow; the step was never begun, and says because of which one."""
    run = begin(workspace, {"a": "quick", "b": "slow"})
    mark_failed(workspace, RUN, "a", "no luck")
    airflow.update(a="failed", b="failed")

    quick, slow = run.get_steps()
    assert (quick.get_status(), slow.get_status()) == ("Failed", "NotStarted")
    assert slow.reason == (
        "it was not started: 'quick' failed before, and the run does not continue on step failure"
    )
    with pytest.raises(ActivityFailedException, match=r"^Activity Failed: step 'quick': no luck$"):
        run.wait_for_completion(show_output=True)
    assert slow.wait_for_completion(show_output=False) == "NotStarted"


def test_a_run_whose_process_was_killed(workspace, capsys):
    """Nothing of it goes on: the run and the step at work have failed, whoever asks."""
    run = begin(workspace, {"a": "prepare", "b": "train", "c": "score"})
    finish(workspace, "a")
    at_work = layout.step(RUN, layout.step_run_id(RUN, "b"))
    workspace.store.write(f"{at_work}/journal.jsonl", b'{"metric": "loss", "value": 1, "t": 1.0}\n')
    with subprocess.Popen(["sleep", "60"]) as process:
        known = asdict(Process.here(process.pid))
        workspace.store.write(f"submitted/{RUN}/process.json", json.dumps(known).encode())
        _, train, score = run.get_steps()
        statuses = [run.get_status(), train.get_status(), score.get_status()]
        assert statuses == ["Running", "Running", "NotStarted"]
        process.kill()

    assert [each.get_status() for each in (run, train, score)] == ["Failed", "Failed", "NotStarted"]
    with pytest.raises(ActivityFailedException, match="step 'train': it was lost"):
        run.wait_for_completion(show_output=False)
    for words in (["runs"], ["runs", "show", RUN]):
        capsys.readouterr()
        assert main(words) == 0
        told = capsys.readouterr().out
        assert "Failed" in told
        assert not any(word in told for word in ("Unfinished", "Running"))


def test_a_script(workspace, capsys):
    """The run of a ScriptRunConfig: its one step, in the words of v1's script runs."""
    script = ScriptRun(begin(workspace, {"train": "train"}), "train")
    finish(workspace, "train")

    RunDetails(script).show()

    told = capsys.readouterr().out
    assert f"RunId: {script.id}" in told
    assert "Run Status: Completed" in told
    assert "no earlier result of this step" in told


def test_an_interactive_run(workspace, capsys):
    """start_logging: metrics and child runs."""
    run = Experiment(Workspace(), "notes").start_logging()
    run.log("loss", 1)
    run.log("loss", 0.25)
    run.child_run("part")
    RunDetails(run).show()
    going_on = capsys.readouterr().out
    run.complete()

    RunDetails(run).show()

    assert "Run Status: Running" in going_on
    told = capsys.readouterr().out
    assert "Metrics: loss=0.25 (last of 2)" in told
    assert "Run Status: Completed" in told
    assert "part  Completed" in told
    assert "1 step" not in told
    assert "azureml.interactiverun" in run._repr_html_()


def test_only_runs_have_details():
    """A mistake is said at once; outside a run there is nothing to show."""
    with pytest.raises(UserErrorException, match="takes a run, not a Experiment"):
        RunDetails(Experiment(Workspace(), "x"))


def test_a_file_that_airflow_loads_may_show_its_run(write, one_dag):
    """Nothing is shown, and the file is a DAG as any other."""
    write("train.py", "")
    write(
        "pipeline.py",
        """
        # Airflow lists this file's pipeline as a DAG.
        from airflow_aml import Experiment, Pipeline, PythonScriptStep, RunDetails, Workspace
        ws = Workspace()
        run = Experiment(ws, "x").submit(Pipeline(ws, [PythonScriptStep("train.py")]))
        RunDetails(run).show()
        run.wait_for_completion()
        """,
    )

    assert "train" in str(one_dag().task_ids)


def test_objects_in_a_notebook(workspace, tmp_path):
    """Pipelines, experiments and datasets are tables; nobody reads data for that."""
    gone = str(tmp_path / "gone" / "a<b>.csv")
    files = Dataset.File.from_files(gone, validate=False)
    table = Dataset.Tabular.from_delimited_files(gone, validate=False).keep_columns(["x"])
    (tmp_path / "s.py").touch()
    first, second = (PythonScriptStep("s.py", name=x, source_directory=str(tmp_path)) for x in "ab")
    first.run_after(second)
    second.run_after(first)

    assert "a&lt;b&gt;.csv" in files._repr_html_()
    assert "keep_columns(columns=[&#x27;x&#x27;])" in table._repr_html_()
    assert "a&lt;b&gt;.csv" in table._repr_html_()
    assert "notes" in Experiment(Workspace(), "notes")._repr_html_()
    assert "Cycle detected" in Pipeline(Workspace(), [first, second])._repr_html_()


def test_a_graph_of_any_shape():
    """Each box is to the right of what it waits for; what is not there is no edge."""
    diamond = {
        "a": Box("a"),
        "b": Box("b", ("a",)),
        "c": Box("c", ("a", "gone")),
        "d": Box("d", ("b", "c", "a")),
    }

    drawn = svg(diamond)

    assert drawn.count("<rect") == 4
    assert drawn.count("stroke=") == 5
    assert svg({}) == ""
    assert svg({str(number): Box("x") for number in range(61)}) == ""

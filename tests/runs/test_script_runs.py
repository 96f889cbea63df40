"""One script without a pipeline, and a run without a script: ScriptRunConfig and start_logging."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml import (
    DockerConfiguration,
    Experiment,
    Pipeline,
    PipelineRun,
    Run,
    RunConfiguration,
    ScriptRun,
    ScriptRunConfig,
    Workspace,
    get_run,
)
from airflow_aml.definition.loading import pipeline_files
from airflow_aml.definition.runs.offline import _OfflineRun
from airflow_aml.errors import ActivityFailedException, NotServedError, UserErrorException

TRAIN = """
import sys
from airflow_aml import Run
run = Run.get_context()
assert (run.parent, run.type) == (None, "azureml.scriptrun")
run.log("rate", float(sys.argv[2]))
run.tag("kind", "ridge")
run.child_run("part").log("half", float(sys.argv[2]) / 2)
open("outputs/model.txt", "w").write("weights")
print("trained")
sys.exit(int(sys.argv[3]))
"""

PROGRAM = """
import json, sys
from airflow_aml import Experiment, ScriptRunConfig, Workspace

if __name__ == "__main__":
    ws = Workspace()
    config = ScriptRunConfig("src", script="train.py", arguments=["--rate", 0.5, sys.argv[1]])
    run = Experiment(ws, "alone").submit(config, tags={"team": "a"})
    details = run.wait_for_completion(show_output=True, raise_on_error=sys.argv[1] == "0")
    run.register_model("ridge", "outputs/model.txt")
    print(json.dumps({
        "id": run.id, "status": run.get_status(), "metrics": run.get_metrics(), "tags": run.tags,
        "files": run.get_file_names(), "details": details["status"], "type": run.type,
        "log": run.get_details_with_logs()["logFiles"]["logs/azureml/stdoutlogs.txt"],
    }))
"""

INTERACTIVE = """
import sys
from airflow_aml import Experiment, Workspace
run = Experiment(Workspace(), "notes").start_logging(display_name="by hand")
run.log("loss", 1); run.log("loss", 0.5); run.tag("kind", "notebook")
run.upload_file("outputs/x.txt", __file__)
child = run.child_run("part"); child.log("part", 3); child.complete()
print(run.id, run.get_status(), run.get_metrics(), [each.name for each in run.get_children()])
{end}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with a script, and a workspace of its own."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_text(TRAIN)
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_program(folder: Path, text: str, *words: str, code: int = 0) -> str:
    (folder / "program.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "program.py", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_one_script_runs_by_itself(folder):
    """Its metrics, files, tags and logs are the run's, and it is never reused."""
    import json

    told = [run_program(folder, PROGRAM, "0").splitlines() for _ in range(2)]
    first, again = (json.loads(lines[-1]) for lines in told)

    assert (told[0][0], told[0][2:4]) == (
        f"RunId: {first['id']}",
        ["trained", "Run Status: Completed"],
    )

    assert first["status"] == first["details"] == "Completed"
    assert first["type"] == "azureml.scriptrun"
    assert first["metrics"] == {"rate": 0.5}
    assert first["tags"] == {"team": "a", "kind": "ridge"}
    assert {"outputs/model.txt", "logs/azureml/stdoutlogs.txt"} <= set(first["files"])
    assert first["log"] == "trained\n"
    assert again["id"] != first["id"]
    assert again["metrics"] == {"rate": 0.5}
    assert Workspace().models["ridge"].version == 2
    listed = Experiment(Workspace(), "alone").get_runs(type="azureml.scriptrun")
    assert [each.id for each in listed] == [again["id"], first["id"]]
    found = Run.get(Workspace(), first["id"])
    assert (type(found), found.get_status()) == (ScriptRun, "Completed")
    assert (found.get_metrics(), found.tags) == ({"rate": 0.5}, first["tags"])
    (child,) = found.get_children()
    assert child.get_metrics() == {"half": 0.25}
    with Experiment(Workspace(), "alone").start_logging() as third:
        pass
    with Experiment(Workspace(), "another").start_logging() as other:
        pass
    assert [each.number for each in (found, child, third, other)] == [1, 1, 3, 1]
    assert Run.get(Workspace(), again["id"]).number == 2


def test_a_script_that_fails_says_so(folder):
    """raise_on_error raises what the script said; without it the status is Failed."""
    told = run_program(folder, PROGRAM, "3", code=0)
    assert '"status": "Failed"' in told
    (failed,) = Experiment(Workspace(), "alone").get_runs()
    details = failed.get_details()
    assert details["seconds"] > 0
    assert details["error"]["error"]["code"] == "UserError"
    assert "exit code 3" in details["error"]["error"]["message"]

    run = Experiment(Workspace(), "alone").submit(
        ScriptRunConfig(folder / "src", "train.py", ["--rate", 1, 3])
    )
    assert isinstance(run, ScriptRun)
    with pytest.raises(ActivityFailedException, match="exit code 3"):
        run.wait_for_completion(raise_on_error=True)


def test_what_a_config_says_and_what_it_cannot(folder):
    """run_config wins over the settings beside it; what is not served is named."""
    settings = RunConfiguration(script="train.py", arguments=["a"])
    with pytest.warns(UserWarning, match="docker_runtime_config= is ignored"):
        config = ScriptRunConfig(
            "src", run_config=settings, docker_runtime_config=DockerConfiguration()
        )
    assert (config.script, config.arguments) == ("train.py", ["a"])
    limited = ScriptRunConfig(folder / "src", "train.py", max_run_duration_seconds=60).pipeline(
        "ws"
    )
    assert limited.spec.nodes[0].settings.max_run_seconds == 60
    assert isinstance(limited, Pipeline)

    with pytest.raises(UserErrorException, match="needs a script"):
        ScriptRunConfig("src")
    with pytest.raises(NotServedError, match="command="):
        ScriptRunConfig("src", command="python train.py")
    with pytest.raises(NotServedError, match="or a ScriptRunConfig, not a dict"):
        Experiment(Workspace(), "alone").submit({})


def test_a_submitted_script_becomes_a_dag(folder, write, parse):
    """In the dags folder the same call declares a DAG of one task, and nothing runs."""
    write("src/train.py", TRAIN)
    write(
        "alone.py",
        """
        # airflow dag
        from airflow_aml import Experiment, ScriptRunConfig, Workspace
        run = Experiment(Workspace(), "alone").submit(ScriptRunConfig("src", "train.py", [1]))
        run.tag("a", "b")
        run.wait_for_completion(show_output=True)
        notes = Experiment(Workspace(), "alone").start_logging()
        notes.log("x", 1)
        """,
    )

    parsed = parse()

    assert parsed.errors == {}
    assert [sorted(dag.task_ids) for dag in parsed.dags.values()] == [["reuse", "train"]]


def test_the_example_of_the_page_is_a_dag_as_it_stands(folder, write, parse):
    """It is found where a script is not that begins child runs, and declares one task."""
    page = (Path(__file__).parents[2] / "docs/runs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    (example,) = (each for each in blocks if "ridge" in each)
    write("training/train.py", "from airflow_aml import Run, ScriptRunConfig\n")
    alone = write("alone.py", example)

    assert list(pipeline_files(str(alone.parent))) == [str(alone)]
    parsed = parse()
    assert parsed.errors == {}
    assert [sorted(dag.task_ids) for dag in parsed.dags.values()] == [["reuse", "train"]]


def test_a_program_logs_without_a_pipeline(folder):
    """The run is found by its experiment, with metrics, tags, files and children."""
    told = run_program(folder, INTERACTIVE.format(end="run.complete()"))

    assert "Running {'loss': [1, 0.5]} ['part']" in told
    (run,) = Experiment(Workspace(), "notes").get_runs()
    assert run.id == told.split()[0]
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": [1, 0.5]}
    assert run.tags == {"kind": "notebook"}
    assert run.get_file_names() == ["outputs/x.txt"]


def test_runs_below_a_run_are_found(folder):
    """By id, in lists, by their tags and in the metrics of what is above, however deep they lie."""
    workspace, experiment = Workspace(), Experiment(Workspace(), "folds")
    with experiment.start_logging() as run:
        run.log("folds", 1)
        fold = run.child_run("fold")
        fold.tag("fold", "1")
        fold.log("auc", 0.9)
        part = fold.child_run("part")
        part.log("rows", 7)
    metrics = {run.id: {"folds": 1}, fold.id: {"auc": 0.9}, part.id: {"rows": 7}}

    found = Run.get(workspace, part.id)
    assert (found.name, found.get_metrics(), found.parent.id) == ("part", {"rows": 7}, fold.id)
    assert [each.id for each in Run.get(workspace, fold.id).get_children()] == [part.id]
    tagged = Run.list(experiment, include_children=True, tags={"fold": "1"})
    assert [each.id for each in tagged] == [fold.id]
    assert {part.id, fold.id} < {each.id for each in experiment.get_runs(include_children=True)}
    assert run.get_metrics(recursive=True) == metrics
    seen = PipelineRun.get(workspace, run.id)
    (step,) = seen.get_steps()
    del metrics[run.id]
    assert seen.get_metrics(recursive=True) == {seen.id: {"folds": 1}, step.id: {}, **metrics}
    assert step.get_metrics(recursive=True) == {step.id: {}, **metrics}


def test_another_program_goes_on_with_a_run(folder):
    """It logs to it and to new runs below it, and ends it; whoever began it hears of that."""
    workspace, experiment = Workspace(), Experiment(Workspace(), "shared")
    begun = experiment.start_logging()
    begun.child_run("first").log("auc", 0.5)

    run = Run.get(workspace, begun.id)
    assert [type(each) for each in (run, Run(experiment, begun.id))] == [type(run)] * 2
    assert (run.get_status(), run.type, run.parent) == ("Running", begun.type, None)
    with run.child_run("second") as second:
        second.log("auc", 0.9)
        second.child_run("part").log("rows", 7)
    run.log("loss", 1)
    run.complete()

    assert (run.status, begun.get_status()) == ("Completed", "Completed")
    begun.fail("too late")
    assert Run.get(workspace, begun.id).get_details()["endTimeUtc"]
    assert [each.name for each in run.get_children(recursive=True)] == ["second", "part", "first"]
    found = Run.get(workspace, second.id)
    assert (found.get_status(), found.get_metrics(), found.parent.id) == (
        "Completed",
        {"auc": 0.9},
        run.id,
    )
    below = run.get_metrics(recursive=True, run_type="azureml.scriptrun")
    assert sorted(map(str, below.values())) == ["{'auc': 0.5}", "{'auc': 0.9}", "{'rows': 7}"]
    assert run.get_metrics(run_type="azureml.scriptrun") == {}


def test_a_run_that_was_failed_says_why(folder):
    """In its details, its detailed status, and to whoever waits; with the code that was given."""
    experiment = Experiment(Workspace(), "why")
    begun = experiment.start_logging()
    child = begun.child_run("fold")
    child.fail("no rows", error_code="Empty")
    begun.fail("no data", error_code="NoData")

    for run in (begun, *experiment.get_runs()):
        assert run.get_details()["error"] == {"error": {"code": "NoData", "message": "no data"}}
        assert "no data" in run.get_detailed_status()["details"]
        with pytest.raises(ActivityFailedException, match="no data"):
            run.wait_for_completion()
    (again,) = run.get_children()
    for each in (child, again):
        assert each.get_details()["error"] == {"error": {"code": "Empty", "message": "no rows"}}


def test_a_program_cancels_its_own_run(folder):
    """Others see that, and what it is about; what v1 has besides is refused under its own name."""
    workspace, experiment = Workspace(), Experiment(Workspace(), "given-up")
    run = experiment.start_logging()
    run.description = "too slow"
    kid = run.child_run("kid")
    run.cancel()
    run.complete()  # it has ended already

    assert (run.get_status(), run.wait_for_completion()["status"]) == ("Canceled", "Canceled")
    assert "given-up" in workspace.experiments
    seen = get_run(workspace.experiments["given-up"], run.id)
    assert (seen.get_status(), seen.description) == ("Canceled", "too slow")
    below = workspace.get_run(kid.id)
    assert below.get_portal_url() == below.parent.get_portal_url() == seen.get_portal_url()
    assert below.wait_for_completion()["runId"] == kid.id
    with pytest.raises(NotServedError, match=r"cancel\(\) of the pipeline's run ends it"):
        below.cancel()
    as_pipeline = PipelineRun.get(workspace, run.id)
    details = as_pipeline.get_details()
    assert details["endTimeUtc"] > details["startTimeUtc"]
    with pytest.raises(UserErrorException, match=r"has not kept what it was made from"):
        as_pipeline.publish_pipeline("p", "", "1")
    with pytest.raises(UserErrorException, match=r"cannot be saved: .* what it was made from"):
        as_pipeline.save()
    with pytest.raises(UserErrorException, match="there is no published pipeline with the id 'id'"):
        PipelineRun.get_pipeline_runs(workspace, "id")
    with pytest.raises(UserErrorException, match=r"has not kept what it was made from"):
        as_pipeline.get_graph()


@pytest.mark.parametrize(
    ("end", "code", "status"),
    [
        ("", 0, "Completed"),
        ("raise ValueError('no data')", 1, "Failed"),
        ("sys.exit(3)", 3, "Failed"),
        ("sys.exit('no data')", 1, "Failed"),
        ("exec('try: sys.exit(3)\\nexcept SystemExit: exit()')", 0, "Completed"),
        ("run.fail('bad data')", 0, "Failed"),
        ("with run: pass", 0, "Completed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, "Failed"),
    ],
)
def test_an_interactive_run_ends_with_its_program(folder, end, code, status):
    """However the program ends, the run has ended, too."""
    run_program(folder, INTERACTIVE.format(end=end), code=code)

    (run,) = Experiment(Workspace(), "notes").get_runs()
    assert run.get_status() == status
    if status == "Failed":
        why = run.get_detailed_status()["details"]
        said = {3: "ended with exit code 3", -9: "program was ended"}.get(code, "data")
        assert said in why


def test_loading_a_file_begins_no_run():
    """What is logged while Airflow loads a file is printed, as outside of any run."""
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.engine import using

    with using(Declarations("p.py", ".")):
        assert isinstance(Experiment(Workspace(), "x").start_logging(), _OfflineRun)

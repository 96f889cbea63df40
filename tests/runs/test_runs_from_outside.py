"""A program submits a pipeline, and it and others read of the run what its steps recorded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from airflow_aml import (
    Dataset,
    Environment,
    Experiment,
    Model,
    Pipeline,
    PipelineRun,
    PythonScriptStep,
    Run,
    StepRun,
    Workspace,
)
from airflow_aml.cli import main
from airflow_aml.errors import (
    ActivityFailedException,
    AzureMLException,
    NotServedError,
    UserErrorException,
)
from scripts.templates import PROJECT

PIPELINE = """
import sys
from airflow_aml import Experiment, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace

if __name__ == "__main__":
    ws = Workspace()
    model = OutputFileDatasetConfig("model")
    train = PythonScriptStep("train.py", name="train", source_directory="src", arguments=[model])
    spare = OutputFileDatasetConfig("spare")
    score = PythonScriptStep(
        "score.py", name="score", source_directory="src",
        arguments=[model.as_input("model"), spare])
    pipeline = Pipeline(ws, [train, score])
    run = Experiment(ws, "outside").submit(pipeline, tags={"team": "a"})
    run.tag("from", "the program")
    status = run.wait_for_completion(show_output=False)
    print(run.id, status)
    print({step.name: step.get_metrics() for step in run.get_steps()})
"""

TRAIN = """
import sys
from airflow_aml import Run
run = Run.get_context()
open(sys.argv[1] + "/model.txt", "w").write("weights")
for epoch in range(3):
    run.log("loss", 3 - epoch)
open("plot.png", "wb").write(b"png")
run.log_image("plot", path="plot.png")
run.parent.log("best", 1)
run.tag("kind", "ridge")
print("trained")
print("careful", file=sys.stderr)
open("outputs/notes.txt", "w").write("noted")
"""

SCORE = """
from airflow_aml import Run
run = Run.get_context()
(train,) = [step for step in run.parent.get_children() if step.name == "train"]
run.log("r2", 0.9)
run.log("seen", min(train.get_metrics()["loss"]))
print(run.parent.get_metrics())
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program, run twice in one workspace; what each printed."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "src").mkdir()
    (folder / "src/train.py").write_text(TRAIN)
    (folder / "src/score.py").write_text(SCORE)
    (folder / "program.py").write_text(PIPELINE)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIRFLOW__AML__WORKSPACE", str(folder / "aml"))
    patch.chdir(folder)
    yield [run_program(folder), run_program(folder)]
    patch.undo()


def run_program(folder: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *(words or ["program.py"])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def run_of(lines: list[str]) -> PipelineRun:
    return PipelineRun.get(Workspace(), lines[0].split()[0])


def test_the_program_reads_its_own_run(program) -> None:
    """After wait_for_completion the metrics of all steps are there."""
    assert program[0][0].endswith(" Finished")
    assert "'train': {'loss': [3, 2, 1], 'plot': 'plot_" in program[0][1]
    assert "'score': {'r2': 0.9, 'seen': 1}" in program[0][1]


def test_another_program_finds_the_run(program, tmp_path) -> None:
    """By id or through the experiment: status, tags, metrics, steps."""
    run = run_of(program[0])

    assert (run.get_status(), run.type, run.experiment_name) == (
        "Finished",
        "azureml.PipelineRun",
        "outside",
    )
    assert run.tags == {"team": "a", "from": "the program"}
    assert run.get_metrics() == {"best": 1}
    train, score = run.get_steps()
    assert run.get_metrics(recursive=True)[score.id] == {"r2": 0.9, "seen": 1}
    assert [each.id for each in Experiment(Workspace(), "outside").get_runs()] == [
        run_of(program[1]).id,
        run.id,
    ]
    assert list(Experiment(Workspace(), "outside").get_runs(tags={"team": "b"})) == []
    assert [each.name for each in run.get_children(tags="kind")] == ["train"]
    assert run.find_step_run("gone") == []
    assert train.wait_for_completion(show_output=False) == "Finished"


def test_a_run_is_saved_as_a_pipeline_in_yaml(program, tmp_path, capsys) -> None:
    """What is read from the file has the results of the run, as far as they can be reused."""
    run_of(program[0]).save(str(tmp_path))

    assert main(["plan", str(tmp_path / "outside.yml"), "--json"]) == 3
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [(each["name"], each["decision"]) for each in steps] == [
        ("train", "reuse"),
        ("score", "run"),  # it reads what was noted about the whole run
    ]


def test_the_environment_of_a_step_is_told(program) -> None:
    """A step's run has one; that of a pipeline has not."""
    run = run_of(program[0])
    (train,) = run.find_step_run("train")
    assert isinstance(train.get_environment(), Environment)
    with pytest.raises(UserErrorException, match="no environment is known of PipelineRun"):
        run.get_environment()


def test_a_run_without_airflow_has_no_link_to_it(program, capsys) -> None:
    """Who follows it is told where its record is."""
    assert run_of(program[0]).wait_for_completion(show_output=True) == "Finished"
    told = capsys.readouterr().out
    assert "Record of the run: file://" in told
    assert "Link to Airflow" not in told
    (train,) = run_of(program[0]).find_step_run("train")
    train.wait_for_completion(show_output=True)
    assert "trained\ncareful\nStepRun Status: Finished\n" in capsys.readouterr().out


def test_files_logs_and_outputs_of_a_step(program, tmp_path) -> None:
    """Whatever the step left can be read and downloaded."""
    run = run_of(program[0])
    (train,) = run.find_step_run("train")

    assert train.get_stdout_log() == "trained\n"
    assert train.get_stderr_log() == "careful\n"
    logs = train.get_details_with_logs()["logFiles"]
    assert logs["logs/azureml/stdoutlogs.txt"] == "trained\n"
    train.download_file("outputs/notes.txt", str(tmp_path / "n.txt"))
    assert (tmp_path / "n.txt").read_text() == "noted"
    train.download_file(train.get_metrics()["plot"], str(tmp_path))
    assert next(tmp_path.glob("plot_*.png")).read_bytes() == b"png"

    port = train.get_output_data("model")
    assert port.download(str(tmp_path / "down")) == 1
    assert (tmp_path / "down" / port.path_on_datastore / "model.txt").read_text() == "weights"
    assert port._path_on_datastore == port.path_on_datastore
    (score,) = run.find_step_run("score")
    assert score.get_output_data("spare").download(str(tmp_path / "none")) == 0
    train.download_file("outputs/notes.txt", f"{tmp_path}/new/")
    assert (tmp_path / "new/notes.txt").read_text() == "noted"
    in_the_way = tmp_path / "n.txt/x"
    for call in (
        lambda: train.download_file("outputs/notes.txt", str(in_the_way)),
        lambda: train.download_files("outputs", str(in_the_way)),
        lambda: port.download(str(in_the_way)),
    ):
        with pytest.raises(AzureMLException, match=r"n\.txt.*: (Not a dir|File ex)") as caught:
            call()
        assert "aml:" not in str(caught.value)
        assert "file://" not in str(caught.value)
    with pytest.raises(UserErrorException, match="has no output 'no'; it has 'model'"):
        train.get_output("no")


COPIES = """
import os, sys
from airflow_aml import Run
print(os.listdir(sys.argv[1]))
os.makedirs("outputs", exist_ok=True)
open("outputs/copy.txt", "w").write(open(sys.argv[1] + "/model.txt").read())
Run.get_context().register_model("copied", "outputs/copy.txt")
"""

READS_ANOTHER = """
import sys
from airflow_aml import Experiment, Pipeline, PipelineRun, PythonScriptStep, Workspace

if __name__ == "__main__":
    ws = Workspace()
    (train,) = PipelineRun.get(ws, sys.argv[1]).find_step_run("train")
    given = train.get_output_data("model").as_download()
    copy = PythonScriptStep("copies.py", "copy", source_directory="other", arguments=[given])
    run = Experiment(ws, "copies").submit(Pipeline(ws, [copy]))
    print(run.wait_for_completion(show_output=False))
    print(next(run.get_steps()).get_stdout_log())
"""


def test_an_output_is_the_input_of_another_pipeline(program) -> None:
    """By its port; a model that is registered there knows its run, experiment and place."""
    run = run_of(program[0])
    folder = Path.cwd()
    (folder / "other").mkdir()
    (folder / "other/copies.py").write_text(COPIES)
    (folder / "another.py").write_text(READS_ANOTHER)

    told = run_program(folder, "another.py", run.id)

    assert told[:2] == ["Finished", "['model.txt']"]
    port = run.find_step_run("train")[0].get_output_data("model")
    store, path = port.datastore, port.path_on_datastore  # it had no destination
    assert port.datastore_name == store.name == "workspaceoutputs"
    assert [store.download("again", prefix=path) for _ in range(2)] == [1, 0]
    assert (Path("again") / path / "model.txt").read_text() == "weights"
    assert store.download("again", prefix=f"{path}/none") == 0
    (copied,) = Dataset.File.from_files((store, path)).download("copied")
    assert Path(copied).read_text() == "weights"
    with pytest.raises(NotServedError, match="upload: outputs in the workspace's own place are"):
        store.upload("other")
    model = Model(Workspace(), "copied")
    assert (model.run.name, model.experiment_name, model.datasets) == ("copy", "copies", {})
    assert Path(urlsplit(model.url).path).read_text() == "weights"


def test_a_reused_step_shows_what_it_uses(program) -> None:
    """The second run's train is the first's; score read its metrics, so it really ran again."""
    train, score = run_of(program[1]).get_steps()
    before = run_of(program[0]).find_step_run("train")[0]

    assert (train.type, train.get_status()) == ("azureml.ReusedStepRun", "Finished")
    assert train.get_metrics() == before.get_metrics()
    assert train.get_stdout_log() == "trained\n"
    assert train.get_properties()["azureml.reusedrunid"] == before.id
    assert score.type == "azureml.StepRun"
    assert score.get_metrics()["seen"] == 1


def test_what_a_reused_step_had_logged_to_its_parent_counts_again(program) -> None:
    """Train logged the best loss to its pipeline's run: the second run has it, though only reused;
    so has the script that asks for it there."""
    first, second = (run_of(lines) for lines in program)
    (score,) = second.find_step_run("score")

    assert second.get_metrics() == first.get_metrics() == {"best": 1}
    assert second.tags == {"team": "a", "from": "the program"}
    assert score.get_stdout_log() == "{'best': 1}\n"


def test_a_step_by_its_ids(program) -> None:
    """v1's StepRun(experiment, step_run_id, pipeline_run_id) is the step that get_steps gives."""
    run = run_of(program[1])
    train, score = run.get_steps()

    again = StepRun(run.experiment, score.id, run.id)

    assert (again.name, again.get_metrics()) == ("score", score.get_metrics())
    with pytest.raises(UserErrorException, match=f"run '{run.id}' has no step run 'nobody'"):
        StepRun(run.experiment, "nobody", run.id)
    with pytest.raises(UserErrorException, match="no run"):
        StepRun(run.experiment, train.id, "nobody")


def test_what_is_written_to_a_reused_step_is_its_own(program, tmp_path) -> None:
    """Tags, metrics, files and runs below it stand beside the source's, which stays as it was."""
    before, after = (run_of(lines).find_step_run("train")[0] for lines in program)
    known = before.get_metrics(), before.tags, before.get_file_names()
    (tmp_path / "extra.txt").write_text("extra")

    after.tag("on", "reused")
    after.log("extra", 1)
    after.upload_file("outputs/notes.txt", str(tmp_path / "extra.txt"))
    with after.child_run("fold") as fold:
        fold.log("auc", 0.9)

    assert (before.get_metrics(), before.tags, before.get_file_names()) == known
    assert after.tags == {"kind": "ridge", "on": "reused"}
    assert after.get_metrics() == {**known[0], "extra": 1}
    (child,) = after.get_children()
    assert (child.name, child.get_status(), child.get_metrics()) == (
        "fold",
        "Completed",
        {"auc": 0.9},
    )
    assert list(before.get_children()) == []
    after.download_file("outputs/notes.txt", str(tmp_path / "mine.txt"))
    assert (tmp_path / "mine.txt").read_text() == "extra"
    before.download_file("outputs/notes.txt", str(tmp_path / "theirs.txt"))
    assert (tmp_path / "theirs.txt").read_text() == "noted"


def test_the_sample_of_the_page_runs(program, tmp_path, monkeypatch, capsys) -> None:
    """The page about scripts has a program that reads the newest run."""
    monkeypatch.chdir(tmp_path)
    page = (PROJECT / "docs/scripts.md").read_text(encoding="utf-8")
    sample = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[-1]

    exec(compile(sample, "scripts.md", "exec"), {})

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Finished {'best': 1} a"
    assert printed[1].startswith("train Finished azureml.ReusedStepRun ")
    assert printed[2].startswith("score Finished azureml.StepRun ")
    assert printed[3] == "trained"
    assert printed[-1] == "weights"


def test_a_run_that_is_not_there(program) -> None:
    """An unknown id is said so, and so is one of another experiment."""
    with pytest.raises(UserErrorException, match="has no run 'nothing'"):
        PipelineRun.get(Workspace(), "nothing")
    outside, other = Experiment(Workspace(), "outside"), Experiment(Workspace(), "other")
    for kind in (Run, PipelineRun):
        with pytest.raises(UserErrorException, match="has no run 'nothing'"):
            kind(outside, "nothing")
        with pytest.raises(UserErrorException, match=r"'other' has .*: it is of 'outside'"):
            kind(other, run_of(program[0]).id)
    assert PipelineRun(outside, run_of(program[0]).id).get_status() == "Finished"


def test_a_run_by_v1s_constructor(program) -> None:
    """Run(experiment, run_id) is the run of that id, whichever kind of run it is."""
    run = run_of(program[0])
    (train,) = run.find_step_run("train")

    for found in (run, train):
        same = Run(run.experiment, run_id=found.id)
        assert (type(same), same.id) == (type(found), found.id)
        assert same.get_metrics() == found.get_metrics()


def test_experiments_of_a_workspace(program) -> None:
    """Experiments are known by their runs; what Azure alone can do with them is refused by name."""
    experiment = run_of(program[0]).experiment

    assert experiment.name in [each.name for each in Experiment.list(Workspace())]
    assert [each.name for each in Experiment.list(Workspace(), "none such")] == []
    assert experiment.id == Experiment(Workspace(), experiment.name).id
    assert experiment.id != Experiment(Workspace(), "another").id
    with pytest.raises(NotServedError, match=r"Experiment\.archive"):
        experiment.archive()
    with pytest.raises(NotServedError, match=r"Experiment\.delete"):
        Experiment.delete(Workspace(), experiment.id)


CANCEL = {
    "its own program": "run.cancel()",
    "another program": (
        "subprocess.run([sys.executable, '-c', 'from airflow_aml import *; '"
        " f'PipelineRun.get(Workspace(), {run.id!r}).cancel()'], check=True)"
    ),
    "a program of another host": (
        "note = run._folder / 'process.json'; text = note.read_text(); "
        "note.write_text(text.replace(os.uname().nodename, 'elsewhere')); "
        "from airflow_aml import PipelineRun\n"
        "try: PipelineRun.get(Workspace(), run.id).cancel()\n"
        "except Exception as error: assert 'on the host where' in str(error), error\n"
        "else: raise AssertionError\n"
        "run.cancel()"
    ),
}


@pytest.mark.parametrize("who", CANCEL)
def test_cancel_ends_everything(tmp_path, monkeypatch, capsys, who: str) -> None:
    """A long run that is canceled leaves no process, and says Canceled."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    (tmp_path / "long.py").write_text(
        "import subprocess, sys, time\n"
        f"subprocess.Popen(['sleep', '987.{tmp_path.stat().st_ino}'])\n"
        "open('started', 'w'); print('started', flush=True); time.sleep(600)\n"
    )
    (tmp_path / "program.py").write_text(
        "from airflow_aml import Experiment, Pipeline, PythonScriptStep, Workspace\n"
        "import glob, os, subprocess, sys, time\n"
        "step = PythonScriptStep('long.py', name='long', source_directory='.')\n"
        "run = Experiment(Workspace(), 'cancel').submit(Pipeline(Workspace(), [step]))\n"
        "logs = os.environ['AIRFLOW__AML__WORKSPACE'] + '/runs/*/steps/*/files/logs/*/*out*'\n"
        "while not glob.glob(logs): time.sleep(0.2)\n"
        f"print(run.get_status()); {CANCEL[who]}; print(run.get_status())\n"
        "print(run.wait_for_completion(show_output=False))\n"
        "print(next(run.get_steps()).reason)\n"
        "for each in (run, next(run.get_steps())):\n"
        "    seen = each.get_details(); print(seen['endTimeUtc'] > seen['startTimeUtc'])\n"
        "print((run._folder / 'log.txt').read_text().splitlines()[-1])\n"
    )
    printed = run_program(tmp_path)

    why = "the run was canceled"
    assert printed == ["Running", "Canceled", "Canceled", why, "True", "True", why]
    for words in (["runs", "cancel"], ["explain", "latest"], ["runs", "show", "latest"]):
        assert main(words) == 0
    told = capsys.readouterr().out
    assert told.count("Canceled") == 4  # the run and its step
    assert not any(word in told for word in ("Unfinished", "NotStarted", "Running", "Failed"))
    deadline = time.monotonic() + 30
    while (left := processes(f"987.{tmp_path.stat().st_ino}")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


@pytest.mark.parametrize("how", ["canceled", "killed", "killed on another host"])
def test_a_run_is_there_from_the_start(tmp_path, monkeypatch, capsys, how: str) -> None:
    """Before it has a plan another program finds and ends it; it stays listed, whatever comes."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    (tmp_path / "long.py").write_text("import time; time.sleep(600)")
    step = PythonScriptStep("long.py", name="long", source_directory=str(tmp_path))
    experiment = Experiment(Workspace(), "early")

    submitted = experiment.submit(Pipeline(Workspace(), [step]), tags={"team": "a"})

    found = PipelineRun.get(Workspace(), submitted.id)
    assert [each.id for each in experiment.get_runs()] == [submitted.id]
    assert (found.get_status(), found.experiment_name, list(found.get_steps())) == (
        "Running",
        "early",
        [],
    )
    details = submitted.get_details()
    assert (details["status"], details["startTimeUtc"], details["logFiles"]) == (
        "Running",
        None,
        {},
    )
    assert details["properties"]["airflow.dag_id"] == "early"
    assert found.number == 1
    if how == "canceled":
        found.cancel()
    else:
        submitted._process.kill()
        submitted._process.wait()
    if "another" in how:
        note = submitted._folder / "process.json"
        note.write_text(note.read_text().replace(os.uname().nodename, "elsewhere"))
        assert found.get_status() == "Running"  # as far as can be seen from here
        sign = tmp_path / f"aml/runs/{found.id}/alive.json"
        before = sign.stat().st_mtime - 660
        os.utime(sign, (before, before))
        with pytest.raises(ActivityFailedException, match="the process that ran it is gone"):
            found.wait_for_completion(show_output=False)
    ended = "Canceled" if how == "canceled" else "Failed"
    assert found.get_status() == ended
    assert [each.id for each in Run.list(experiment, status=ended)] == [submitted.id]
    for words in (["runs", "early"], ["runs", "show", submitted.id]):
        assert main(words) == 0
        assert ended in capsys.readouterr().out


def processes(word: str) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if word in words or any(each.endswith("/src/long.py") for each in words):
            found.append(" ".join(words))
    return found

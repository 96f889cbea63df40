"""Every step run says what it was made from: git, sources, environment, reason."""

from __future__ import annotations

import os
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from airflow_aml import Experiment, PipelineRun, Workspace
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.gitstate import GitLook

PROGRAM = """
    # airflow dag
    from airflow_aml import Experiment, Pipeline, PythonScriptStep, Workspace
    ws = Workspace()
    train = PythonScriptStep("train.py", name="train", source_directory="train")
    score = PythonScriptStep("score.py", name="score", source_directory="score")
    score.run_after(train)
    Experiment(ws, "known").submit(Pipeline(ws, [train, score]))
"""
TRAIN = """
    from airflow_aml import Run
    properties = Run.get_context().get_properties()
    print(properties["azureml.git.commit"], properties["azureml.git.dirty"])
"""


def git(folder: Path, *words: str) -> str:
    calm = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *words],
        cwd=folder,
        env={**os.environ, **calm},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def dags(write) -> Path:
    """A folder of pipelines in git; one step's source has been edited since the commit."""
    write("known.py", PROGRAM)
    write("score/score.py", "print('scored')\n")
    folder = write("train/train.py", TRAIN).parent.parent
    git(folder, "init")
    git(folder, "remote", "add", "origin", "https://me:secret@example.org/team/known.git")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    write("score/score.py", "print('scored again')\n")
    return folder


def test_a_step_run_tells_where_it_came_from(dags, workspace, one_dag, run_dag, tmp_path) -> None:
    """Branch, commit and state of the step's own folder; snapshot, environment, reason."""
    assert run_dag(one_dag()).state == "success"

    (run,) = Experiment(Workspace(), "known").get_runs()
    train, score = run.get_steps()
    known = train.get_properties()
    commit = git(dags, "rev-parse", "HEAD")
    assert known["azureml.git.commit"] == known["mlflow.source.git.commit"] == commit
    assert known["azureml.git.branch"] == "main"
    assert known["azureml.git.repository_uri"] == "https://example.org/team/known.git"
    assert (known["azureml.git.dirty"], score.properties["azureml.git.dirty"]) == ("False", "True")
    assert train.get_stdout_log() == f"{commit} False\n"
    assert known["airflow_aml.reason"] == "no earlier result of this step"
    assert known["airflow_aml.compute"] == "local"
    assert known["airflow_aml.fingerprint"].startswith("sha256:")
    assert known["airflow_aml.environment"]
    assert known["azureml.pipelinerunid"] == run.id


def test_the_sources_of_a_run_come_back(dags, workspace, one_dag, run_dag, tmp_path, write) -> None:
    """As they were when it began, also when they were edited since, and for a reused step."""
    run_dag(one_dag())
    write("train/train.py", "print('edited')\n")
    (run,) = Experiment(Workspace(), "known").get_runs()
    train, score = run.get_steps()

    archive = train.restore_snapshot(path=str(tmp_path / "back"))

    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ["train.py"]
        assert "get_properties" in opened.read("train.py").decode()
    assert train.get_snapshot_id() == train.properties["ContentSnapshotId"]
    assert score.get_snapshot_id() != train.get_snapshot_id()
    with pytest.raises(UserErrorException, match="have 2 source folders"):
        run.get_snapshot_id()
    with pytest.raises(UserErrorException, match="has no snapshot 'sha256:0'"):
        run.restore_snapshot("sha256:0", str(tmp_path))
    for wrong in ("nope", "", "sha256:../.."):
        with pytest.raises(UserErrorException, match=r"is no snapshot's id.*'sha256:' and 64"):
            train.restore_snapshot(wrong, str(tmp_path))
    with pytest.raises(UserErrorException, match=r"train\.py' cannot be a folder: File exists"):
        train.restore_snapshot(path=str(write("train/train.py", "")))


def test_a_run_of_one_source_folder_has_its_snapshot(
    write, workspace, one_dag, run_dag, tmp_path
) -> None:
    """Asked of the pipeline run itself, and outside of git."""
    write("known.py", PROGRAM.replace('source_directory="score"', 'source_directory="train"'))
    write("train/score.py", "print('scored')\n")
    write("train/train.py", "print('trained')\n")
    run_dag(one_dag())
    (found,) = Experiment(Workspace(), "known").get_runs()
    run = PipelineRun.get(Workspace(), found.id)

    with zipfile.ZipFile(run.restore_snapshot(path=str(tmp_path))) as opened:
        assert sorted(opened.namelist()) == ["score.py", "train.py"]
    assert not [name for name in run.find_step_run("train")[0].properties if ".git." in name]


def test_folders_of_one_repository(tmp_path) -> None:
    """A renamed file, a new folder and a name in another script each make their folder dirty."""
    for name in ("clean", "moved", "grün"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a b.py").write_text("1\n" * 20)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "all")
    git(tmp_path, "mv", "moved/a b.py", "moved/c.py")
    (tmp_path / "grün" / "ö.py").touch()
    (tmp_path / "new" / "below").mkdir(parents=True)
    (tmp_path / "new" / "below" / "x.py").touch()
    names = ("clean", "moved", "grün", "new/below", ".")

    answers = GitLook({name: str(tmp_path / name) for name in names}).answers()

    dirty = {name: answers[name]["azureml.git.dirty"] for name in names}
    assert dirty == {
        "clean": "False",
        "moved": "True",
        "grün": "True",
        "new/below": "True",
        ".": "True",
    }
    assert "azureml.git.repository_uri" not in answers["clean"]


def test_git_that_cannot_answer_stops_nothing(tmp_path, monkeypatch) -> None:
    """Not installed, a broken repository, or one that takes for ever: nothing is known, soon."""
    git(tmp_path, "init")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tools / "git").chmod(0o755)
    monkeypatch.setattr("airflow_aml.workspace.gitstate.PATIENCE", 0.3)

    monkeypatch.setenv("PATH", str(tools))
    started = time.monotonic()
    assert GitLook({"all": str(tmp_path)}).answers() == {}
    assert time.monotonic() - started < 5
    monkeypatch.setenv("PATH", "/nowhere")
    assert GitLook({"all": str(tmp_path)}).answers() == {}
    monkeypatch.undo()
    (tmp_path / ".git" / "HEAD").write_text("nonsense")
    assert GitLook({"all": str(tmp_path)}).answers() == {}

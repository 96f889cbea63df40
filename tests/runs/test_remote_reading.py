"""A run without an Airflow: its named output, its details and logs, and runs found by id."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_aml import Experiment, PipelineRun, Run, Workspace
from airflow_aml.definition.runs.steprun import StepRun
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.home import open_home

PROGRAM = """
from airflow_aml import Experiment, Pipeline, PipelineData, PythonScriptStep, Workspace

ws = Workspace()
model = PipelineData("model", pipeline_output_name="best", is_directory=True)
make = PythonScriptStep("make.py", name="make", arguments=[model], outputs=[model])
fail = PythonScriptStep("fail.py", name="fail", arguments=[model], inputs=[model])

if __name__ == "__main__":
    run = Experiment(ws, "reading").submit(Pipeline(ws, [make, fail]))
    print(run.get_portal_url())
    print(run.wait_for_completion(show_output=True, raise_on_error=False))
    print(run.id)
"""
MAKE = """
import os, sys
os.makedirs(sys.argv[1])
open(sys.argv[1] + "/model.txt", "w").write("weights")
print("made")
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory):
    """What the program printed; this process looks into the same workspace."""
    folder = tmp_path_factory.mktemp("reading")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "make.py").write_text(MAKE)
    (folder / "fail.py").write_text("raise SystemExit('no luck')")
    patch = pytest.MonkeyPatch()
    patch.setenv("AIRFLOW__AML__WORKSPACE", str(folder / "aml"))
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield done.stdout.splitlines()
    patch.undo()


@pytest.fixture
def run(printed: list[str]) -> PipelineRun:
    return PipelineRun.get(Workspace(), printed[-1])


def test_the_end_is_summed_up(printed: list[str], run: PipelineRun) -> None:
    """Steps by how they ended, and why one failed; the link leads to the run's folder."""
    assert printed[0] == open_home(os.environ["AIRFLOW__AML__WORKSPACE"]).uri(f"runs/{run.id}")
    at = printed.index("PipelineRun Execution Summary")
    assert printed[at + 2] == "PipelineRun Status: Failed"
    assert printed[at + 3].startswith("2 steps: 1 ran in ")
    assert printed[at + 3].endswith(", 1 failed")
    assert printed[-2] == "Failed"


def test_a_named_output_is_downloaded(run: PipelineRun, tmp_path: Path) -> None:
    """By the name that the pipeline gives it; an unknown name is told those that there are."""
    assert run.get_pipeline_output("best").download(str(tmp_path)) == 1
    assert next(tmp_path.rglob("model.txt")).read_text() == "weights"
    with pytest.raises(UserErrorException, match="no pipeline output 'worst'; it has 'best'"):
        run.get_pipeline_output("worst")


def test_details_and_logs(run: PipelineRun, tmp_path: Path) -> None:
    """v1's documents, both vocabularies of status, and a file for each stream of each step."""
    make, fail = run.get_steps()

    assert (make.get_status(), make.status) == ("Finished", "Completed")
    assert (run.get_status(), run.status) == ("Failed", "Failed")
    assert "no luck" in run.get_detailed_status()["details"]
    assert run.get_details_with_logs()["logFiles"] == {
        "make/logs/azureml/stdoutlogs.txt": "made\n",
        "fail/logs/azureml/stderrlogs.txt": "no luck\n",
    }
    paths = run.get_all_logs(str(tmp_path))
    assert [Path(path).read_text() for path in paths] == ["made\n", "no luck\n"]
    (log,) = fail.get_all_logs(str(tmp_path / "fail"))
    assert log.endswith("stderrlogs.txt")


def test_runs_are_found(run: PipelineRun) -> None:
    """By the id of a pipeline's or a step's run, and by their status."""
    make, _ = run.get_steps()
    experiment = Experiment(Workspace(), "reading")

    assert isinstance(Run.get(Workspace(), run.id), PipelineRun)
    found = Run.get(Workspace(), make.id)
    assert isinstance(found, StepRun)
    assert found.get_stdout_log() == "made\n"
    assert [each.id for each in Run.list(experiment, status="Failed")] == [run.id]
    children = Run.list(experiment, status="Completed", include_children=True)
    assert [each.id for each in children] == [make.id]
    assert list(Run.list(experiment, status="Running")) == []
    with pytest.raises(UserErrorException, match="has no run 'nothing'"):
        Run.get(Workspace(), "nothing")


def test_a_run_that_has_ended_stays_as_it_is(run: PipelineRun) -> None:
    """There is nothing to cancel any more."""
    run.cancel()

    assert run.get_status() == "Failed"

"""Calls with what they do not expect: kept as far as it can be, else refused in one sentence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Iterator

import pytest

from airflow_aml import Experiment, PipelineRun, Run, StepRun, Workspace, get_run
from airflow_aml.errors import UserErrorException


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A run of this program."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    monkeypatch.chdir(tmp_path)
    Path("auc.png").write_bytes(b"picture")
    begun = Experiment(Workspace(), "odd").start_logging()
    yield begun
    begun.complete()


def test_pictures_of_long_names_are_kept(run: Any) -> None:
    """Under a shorter file name; the metric has its own."""
    names = ["auc of " + "x" * 300, "auc of " + "x" * 301, "é/" * 150]
    for name in names:
        run.log_image(name, path="auc.png")

    kept = [run.get_metrics()[name] for name in names]
    assert sorted(kept) == run.get_file_names()
    assert len(set(kept)) == 3
    for each in kept:
        run.download_file(each, "copy.png")
        assert Path("copy.png").read_bytes() == b"picture"


def test_columns_of_all_kinds_are_values(run: Any) -> None:
    """Ranges, tuples, arrays, a dict's views; what can be read only once is refused."""
    import numpy as np

    table = {"x": range(3), "y": ("a", "b"), "z": np.eye(2), "keys": {"k": 1}.keys()}
    run.log_table("table", table)
    run.log_row("row", x=range(2))
    run.log_confusion_matrix("matrix", {"data": {"class_labels": range(2)}})

    metrics = run.get_metrics()
    values = {"x": [0, 1, 2], "y": ["a", "b"], "z": [[1.0, 0.0], [0.0, 1.0]], "keys": ["k"]}
    assert metrics["table"] == values
    assert metrics["row"] == {"x": [0, 1]}
    assert metrics["matrix"] == {"data": {"class_labels": [0, 1]}}
    run.log("whole", 1, step=np.float64(3.0))
    for call in (run.log_table, lambda name, value: run.log_row(name, **value)):
        with pytest.raises(UserErrorException, match="column 'x' is a generator, not values"):
            call("more", {"x": (each for each in "ab")})
    with pytest.raises(UserErrorException, match="log takes one value, not a map"):
        run.log("more", map(int, "12"))
    with pytest.raises(UserErrorException, match="metric 'more': step= is a whole number, not 'x'"):
        run.log("more", 1, step="x")
    assert "more" not in run.get_metrics()


def test_calls_with_something_else_say_so(run: Any) -> None:
    """Each names the call and what it takes, and nothing is noted."""
    experiment, seen = run.experiment, PipelineRun.get(Workspace(), run.id)
    wrong = {
        r"upload_file\('a'\): the stream gives str": lambda: run.upload_file("a", io.StringIO("a")),
        "by its path or as an open binary stream, not as a int": lambda: run.upload_file("a", 1),
        "None cannot be the name of a run's file": lambda: run.upload_file(None, "auc.png"),
        "name of a tag is a text, not None": lambda: run.set_tags({"a": 1, None: 1}),
        "remove_tags takes names of tags, not 5": lambda: run.remove_tags(5),
        "name of a property is a text, not ''": lambda: run.add_properties({"a": 1, "": 1}),
        "find_step_run takes a step's name, a text, not 5": lambda: seen.find_step_run(5),
        "StepRun takes an Experiment, not 'odd'": lambda: StepRun("odd", "x", run.id),
        "the id of a step's run, a text, not None": lambda: StepRun(experiment, None, run.id),
        "the id of a pipeline's run, a text, not Pipe": lambda: StepRun(experiment, "x", seen),
    }
    for sentence, call in wrong.items():
        with pytest.raises(UserErrorException, match=sentence):
            call()
    assert (run.get_file_names(), run.tags, run.properties) == ([], {}, {})
    for call in (Run, PipelineRun, get_run):
        with pytest.raises(TypeError, match="unexpected keyword argument 'step'"):
            call(experiment, run.id, step="x")
    with pytest.warns(UserWarning, match=r"get_context does not know step=; this has no effect"):
        Run.get_context(step="x")


@pytest.mark.parametrize("run_id", [None, 5, "", ".."])
def test_what_is_no_id_of_a_run_is_said_to_be_none(run: Any, run_id: Any) -> None:
    """Whoever looks a run up by nothing, or by a number, reads one sentence."""
    ws = Workspace()
    experiment = Experiment(ws, "odd")
    for look in (
        lambda: Run.get(ws, run_id),
        lambda: PipelineRun(experiment, run_id),
        lambda: PipelineRun.get(ws, run_id),
    ):
        with pytest.raises(UserErrorException, match=f"{run_id!r} is no id of a run"):
            look()


def test_a_child_that_nobody_ends_ends_with_its_parent(run: Any) -> None:
    """Its program went wrong between the two."""
    child = run.child_run("half done")
    assert child.get_status() == "Running"
    run.fail("it went wrong")
    assert child.get_status() == Run.get(Workspace(), child.id).get_status() == "Failed"

"""What clocks, disks and people do to a workspace between two runs: steps run, and say so."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from airflow_aml.reuse import layout, lease
from airflow_aml.reuse.lease import Owner
from airflow_aml.reuse.records import StepRecord
from airflow_aml.workspace.home import Home

PIPELINE = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    data, model = OutputFileDatasetConfig("data"), OutputFileDatasetConfig("model")
    make = PythonScriptStep("make.py", name="make", arguments=["--out", data])
    train = PythonScriptStep(
        "train.py", name="train", arguments=["--in", data.as_input("data"), "--out", model]
    )
    pipeline = Pipeline(ws, [train])
"""
MAKE = """
    import os, sys
    with open(os.path.join(sys.argv[2], "data.txt"), "w") as stream:
        stream.write("data")
"""
TRAIN = """
    import os, sys, time
    with open(os.path.join(sys.argv[4], "model.txt"), "w") as stream:
        stream.write("made at %d" % time.time_ns())
"""


@pytest.fixture
def run(write, one_dag, run_dag):
    """A step that always writes the same, one that never does, and a function that runs both."""
    write("p.py", PIPELINE)
    write("make.py", MAKE)
    write("train.py", TRAIN)
    return lambda conf=None: run_dag(one_dag(), conf)


def set_clock_back(workspace: Home, by: timedelta = timedelta(days=1)) -> None:
    """All records are as if they had been made by a clock that was ahead."""
    for path in workspace.path(layout.ROOT).glob("??/*/*.json"):
        record = StepRecord.from_bytes(path.read_bytes())
        later = replace(record, created=moved(record.created, by), made=moved(record.made, by))
        path.unlink()
        place = layout.record(later.fingerprint, later.created, later.step_run_id)
        workspace.path(place).write_bytes(later.to_bytes())


def moved(moment: str, by: timedelta) -> str:
    return moment and (datetime.fromisoformat(moment) + by).isoformat(timespec="microseconds")


def records(workspace: Home, ran, step: str) -> Path:
    """The folder of the records of what a step did."""
    return workspace.path(layout.records(ran.xcom(step)["fingerprint"]).rstrip("/"))


def test_a_forced_run_replaces_a_result_of_tomorrow(run, workspace):
    """After the clock was set back the result that was asked for anew is the one that is used."""
    run()
    set_clock_back(workspace)

    forced = run({"aml_regenerate_outputs": True})
    third = run()

    assert third.states["train"] == "skipped"
    assert third.output("train", "model") == forced.output("train", "model")


def test_a_repaired_step_replaces_a_result_of_tomorrow(run, workspace):
    """So is the result of a step that runs because its earlier output was damaged."""
    first = run()
    set_clock_back(workspace)
    (first.output("train", "model") / "model.txt").unlink()

    second = run()
    third = run()

    assert (second.states["train"], third.states["train"]) == ("success", "skipped")
    assert third.output("train", "model") == second.output("train", "model")


def test_a_destination_is_published_again_once(write, one_dag, run_dag, workspace):
    """A fixed destination is filled again after the clock was set back, and then lies still."""
    fixed = 'OutputFileDatasetConfig("model", destination=(ws.get_default_datastore(), "best"))'
    write("p.py", PIPELINE.replace('OutputFileDatasetConfig("model")', fixed))
    write("make.py", MAKE)
    write("train.py", TRAIN)
    run_dag(one_dag())
    set_clock_back(workspace)
    (workspace.path("datastores/workspaceblobstore/best") / "model.txt").unlink()

    states = [run_dag(one_dag()).states["train"] for _ in range(3)]

    assert states == ["success", "skipped", "skipped"]


@pytest.mark.parametrize("obstacle", ["a link that leads to itself", "a file"])
def test_results_of_one_step_cannot_be_listed(run, workspace, capfd, obstacle):
    """That step runs and both of its logs say why; the others are reused, and the run succeeds."""
    folder = records(workspace, run(), "train")
    folder.rename(folder.with_name("moved"))
    if obstacle == "a file":
        folder.write_text("")
    else:
        folder.symlink_to(folder)
    capfd.readouterr()

    second = run()

    assert (second.states["make"], second.states["train"]) == ("skipped", "success")
    said = "".join(capfd.readouterr())
    assert "this result is not kept for reuse" in said
    if obstacle != "a file":  # which a listing takes for a folder that has nothing in it
        assert "earlier results could not be listed" in said


def test_a_result_of_tomorrow_has_no_age(run, write, workspace):
    """Where the author says how old a result may be, one that a wrong clock dated is made again."""
    write("p.py", PIPELINE.replace('"train.py",', '"train.py", reuse=ReusePolicy(max_age=3600),'))
    run()
    assert run().states["train"] == "skipped"
    set_clock_back(workspace)

    second = run()

    assert (second.states["make"], second.states["train"]) == ("skipped", "success")
    assert "from now, so its age is not known" in second.xcom("train")["reason"]


def test_a_result_that_is_published_again_is_no_younger(write, one_dag, run_dag, workspace):
    """How old a result is counts from when its script ran, however often it is published."""
    fixed = 'OutputFileDatasetConfig("model", destination=(ws.get_default_datastore(), "best"))'
    text = PIPELINE.replace('OutputFileDatasetConfig("model")', fixed)
    write("p.py", text.replace('"train.py",', '"train.py", reuse=ReusePolicy(max_age=3600),'))
    write("make.py", MAKE)
    write("train.py", TRAIN)
    run_dag(one_dag())
    statuses = []
    for _ in range(2):
        set_clock_back(workspace, -timedelta(minutes=40))
        (workspace.path("datastores/workspaceblobstore/best") / "model.txt").unlink()
        statuses.append(run_dag(one_dag()).xcom("train")["status"])

    assert statuses == ["Reused", "Finished"]


def test_an_output_that_is_damaged_before_its_record_is_written(run, write, workspace):
    """What is lost of an output right after its commit does not become part of the result."""
    write(
        "make.py",
        MAKE.replace('"data.txt"', '"%d.txt" % number').replace(
            "    with", "    for number in range(3000):\n     with"
        ),
    )

    def damage() -> None:
        while not (found := list(workspace.path("data").glob("*/data.manifest.json"))):
            pass
        next((found[0].parent / "data").glob("*.txt")).unlink()

    vandal = threading.Thread(target=damage)
    vandal.start()
    first = run()
    vandal.join()

    second = run()

    assert first.state == second.state == "success"
    assert second.states["make"] == "success"
    assert len(list(second.output("make", "data").iterdir())) == 3000


def test_a_lease_of_tomorrow_is_not_waited_for(write, one_dag, run_dag, workspace):
    """An owner that nobody can ask and that does not renew its lease is gone, whatever it dated."""
    key = "sha256:" + "ab" * 32
    other = Owner("of another Airflow", "run", "train")
    _, left = lease.take(workspace, key, other, at=time.time() + 86_400)
    write(
        "p.py",
        f"""
        from airflow.sdk import DAG, BaseOperator
        from airflow_aml.airflow.waiting import ResultTrigger
        class Wait(BaseOperator):
            def execute(self, context):
                trigger = ResultTrigger("", {key!r}, poll_seconds=0.1, patience_seconds=1.0)
                self.defer(trigger=trigger, method_name="after")
            def after(self, context, event):
                return event["gone"]
        with DAG("waiting"):
            Wait(task_id="wait")
        """,
    )

    started = time.monotonic()
    ran = run_dag(one_dag())

    assert ran.xcom("wait") == left.token
    assert time.monotonic() - started < 60

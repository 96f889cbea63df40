"""What a step's script logs, tags and uploads through Run.get_context(), written as for v1."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_aml import Run, _OfflineRun
from airflow_aml.workspace.journal import (
    JOURNAL,
    about,
    metrics_of,
    properties_of,
    read_notes,
    tags_of,
)
from tests.runtime.laboratory import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


class Recorded:
    """The record that a job's script left."""

    def __init__(self, job):
        self.folder = Path(job.record)

    def notes(self, run_id=None):
        return about(read_notes((self.folder / JOURNAL).read_bytes()), run_id)

    @property
    def metrics(self):
        return metrics_of(self.notes())

    @property
    def files(self):
        root = self.folder / "files"
        found = (each.relative_to(root).as_posix() for each in root.rglob("*") if each.is_file())
        return sorted(each for each in found if not each.startswith("logs/azureml/"))


def run(lab: Lab, script: str, outcome: str = "finished") -> Recorded:
    job = lab.job("from airflow_aml import Run\nrun = Run.get_context()\n" + script)
    report = lab.run(job)
    assert report.outcome == outcome, lab.lines
    return Recorded(job)


def test_every_kind_of_metric(lab: Lab) -> None:
    """A value once is itself, logged again it is a series; rows become columns."""
    script = """
run.log("alpha", 0.03)
for epoch in range(3):
    run.log("loss", 1 / (epoch + 1), step=epoch)
    run.log_row("curve", epoch=epoch, accuracy=epoch / 10)
run.log_row("once", a=1)
run.log_list("fibonacci", [1, 1, 2])
run.log_list("fibonacci", (3, 5))
run.log_table("table", {"x": [1, 2], "y": [3, 4]})
run.log_confusion_matrix("matrix", {"schema_type": "confusion_matrix", "data": {"matrix": [[1]]}})
run.log_accuracy_table("accuracy table", '{"schema_type": "accuracy_table", "data": {}}')
run.log("größe/名前", "text")
print(run.get_metrics("loss"))
"""
    recorded = run(lab, script)

    assert recorded.metrics == {
        "alpha": 0.03,
        "loss": [1.0, 0.5, 1 / 3],
        "curve": {"epoch": [0, 1, 2], "accuracy": [0.0, 0.1, 0.2]},
        "once": {"a": 1},
        "fibonacci": [1, 1, 2, 3, 5],
        "table": {"x": [1, 2], "y": [3, 4]},
        "matrix": {"schema_type": "confusion_matrix", "data": {"matrix": [[1]]}},
        "accuracy table": {"schema_type": "accuracy_table", "data": {}},
        "größe/名前": "text",
    }
    assert lab.lines[-1].startswith("{'loss': [1.0, 0.5,")


def test_numbers_of_other_libraries(lab: Lab) -> None:
    """numpy's scalars and arrays, decimals, NaN and infinity are logged as the numbers they are."""
    script = """
import numpy as np
from decimal import Decimal
run.log("a", np.float32(0.5)); run.log("b", np.int64(3)); run.log("c", np.array([2.0]))
run.log("d", Decimal("1.25")); run.log("nan", float("nan")); run.log("inf", -float("inf"))
run.log_list("list", np.arange(3)); run.log_row("row", x=np.float64(1.5))
run.log_table("table", {"x": np.arange(2)}); run.log("flag", True)
"""
    metrics = run(lab, script).metrics

    assert math.isnan(metrics.pop("nan"))
    assert metrics == {
        "a": 0.5,
        "b": 3,
        "c": 2.0,
        "d": 1.25,
        "inf": -math.inf,
        "list": [0, 1, 2],
        "row": {"x": 1.5},
        "table": {"x": [0, 1]},
        "flag": True,
    }


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ('run.log("m", [1, 2])', "metric 'm': log takes one value, not a list. Use run.log_list"),
        ('run.log("", 1)', "a metric's name is a text, not ''"),
        ('run.log_list("m", 3)', "log_list takes a list, not 3. Use run.log for one value."),
        ('run.log_row("m")', "log_row needs at least one column"),
        ('run.log_table("m", [1])', "log_table takes a dict of columns, not list"),
        ('run.log_image("m")', "image 'm': log_image takes either path= or plot=."),
        ('run.log_image("m", path="no.png")', "there is no file 'no.png'"),
        ('run.log_accuracy_table("m", "{")', "the value is not JSON"),
        ('run.upload_file("x", "no.txt")', "there is no file 'no.txt'"),
        ('run.upload_file("../x", "step.py")', "'../x' cannot be the name of a run's file"),
        (r'run.upload_file("\ud800", "step.py")', r"'\ud800' cannot be the name"),
        ('run.upload_file("y" * 300, "step.py")', "a part of it has 300 bytes, and 200 are"),
        (
            '[run.upload_file(each, "step.py") for each in ("t", "t/inner")]',
            "file 't/inner': 't' cannot be a file of the run and a folder of its files, too.",
        ),
        (
            '[run.upload_file(each, "step.py") for each in ("t/inner", "t")]',
            "file 't': 't' cannot be a file of the run and a folder",
        ),
        ('run.upload_folder("x", "no")', "there is no folder 'no'"),
        ('run.download_file("no")', "the run has no file 'no'. It"),
        ("run.child_run(run_id='../../x')", "'../../x' cannot be a run's id"),
        ("[run.child_run(run_id='a') for _ in 'ab']", "there is a run 'a' already."),
        ("run.child_run(run_id=run.parent.id)", "there is a run 'root' already."),
        ("run.create_children('3')", "count= is a number, not '3'"),
        ("run.set_tags('abc')", "set_tags takes a dict, not 'abc'"),
        ("run.add_properties('abc')", "add_properties takes a dict, not 'abc'"),
        ('run.log_image("m", plot="x")', "plot= is a figure, which has a savefig, not a str"),
        ('run.download_file("outputs/x", "step.py/x")', "step.py' cannot be a folder to download"),
        ("run.create_children()", "takes either count= or both of tag_key= and tag_values="),
        ("run.cancel()", "ends with its script. A script ends itself by sys.exit()"),
        ("run.wait_for_completion()", "does not end before this script, which cannot wait"),
    ],
)
def test_wrong_calls_say_what_to_do(lab: Lab, call: str, sentence: str) -> None:
    """What v1 refuses is refused in the line of the script that is wrong, with one sentence."""
    script = f"from airflow_aml import Run\nrun = Run.get_context()\nprint('began')\n{call}\n"
    report = lab.run(script)

    assert report.outcome == "script_failed"
    assert sentence in report.stderr_tail[-1]


def test_files_and_images(lab: Lab) -> None:
    """Uploaded files, pictures, and what is left in ./outputs and ./logs are the run's files."""
    script = """
import io, os
open("chart.png", "wb").write(b"png")
run.log_image("my chart", path="chart.png")
run.upload_file("outputs/model.txt", "chart.png")
run.upload_file(name="stream.bin", path_or_stream=io.BytesIO(b"streamed"))
os.makedirs("more/deep"); open("more/deep/a", "w").write("1"); open("more/b", "w").write("2")
run.upload_folder("extra", "more")
run.upload_files(["x/1", "x/2"], ["more/b", "more/b"])
open("outputs/left.txt", "w").write("left"); open("logs/my.log", "w").write("line")
print([name for name in run.get_file_names() if not name.startswith("logs/azureml")])
run.download_file("stream.bin", "back/again.bin"); print(open("back/again.bin").read())
run.download_files("extra", "fetched"); print(sorted(os.listdir("fetched/extra")))
print(run.get_metrics("my chart"))
"""
    recorded = run(lab, script)

    (picture,) = [name for name in recorded.files if name.startswith("my chart_")]
    assert recorded.files == [
        "extra/b",
        "extra/deep/a",
        "logs/my.log",
        picture,
        "outputs/left.txt",
        "outputs/model.txt",
        "stream.bin",
        "x/1",
        "x/2",
    ]
    assert (recorded.folder / "files" / picture).read_bytes() == b"png"
    assert lab.lines[-4] == str(recorded.files)
    assert lab.lines[-3:] == ["streamed", "['b', 'deep']", f"{{'my chart': '{picture}'}}"]


def test_a_figure_becomes_a_picture(lab: Lab) -> None:
    """log_image(plot=plt) saves whatever can be saved."""
    script = """
class Figure:
    def savefig(self, path): open(path, "wb").write(b"drawn")
run.log_image("roc/auc", plot=Figure())
"""
    recorded = run(lab, script)

    assert recorded.files == [recorded.metrics["roc/auc"]]
    assert recorded.files[0].startswith("roc_auc_")


def test_a_script_knows_whether_it_is_in_a_run(lab: Lab) -> None:
    """As v1's scripts do, by the class of what get_context() gives."""
    lab.run("""
from airflow_aml import Run, _OfflineRun
print(isinstance(Run.get_context(), _OfflineRun))
""")
    assert lab.lines == ["False"]
    assert isinstance(Run.get_context(), _OfflineRun)


def test_the_whole_output_is_kept(lab: Lab) -> None:
    """All lines of stdout and stderr stay with the run, also of a script that fails."""
    script = """
import sys
for number in range(5000): print("line", number)
print("ünï", file=sys.stderr); sys.exit(3)
"""
    recorded = run(lab, script, outcome="script_failed")

    logs = recorded.folder / "files/logs/azureml"
    assert (logs / "stdoutlogs.txt").read_text().splitlines() == [
        f"line {number}" for number in range(5000)
    ]
    assert (logs / "stderrlogs.txt").read_text() == "ünï\n"


def test_tags_and_properties(lab: Lab) -> None:
    """Tags may change and go; a property that was set once stays."""
    script = """
run.tag("stage", "first"); run.tag("stage", "second"); run.tag("bare")
run.set_tags({"a": 1, "b": 2}); run.remove_tags(["a"])
run.add_properties({"author": "me"}); run.add_properties({"author": "me"})
run.display_name = "A good name"
print(run.tags, run.display_name, run.get_properties())
try:
    run.add_properties({"author": "you"})
except Exception as error:
    print(error)
"""
    recorded = run(lab, script)

    assert tags_of(recorded.notes()) == {"stage": "second", "bare": None, "b": "2"}
    assert properties_of(recorded.notes()) == {"author": "me"}
    assert "A good name" in lab.lines[-2]
    assert "property 'author' is 'me' already" in lab.lines[-1]


def test_the_parent_and_children(lab: Lab) -> None:
    """run.parent.log reaches the pipeline run; child runs have records of their own."""
    script = """
run.parent.log("best", 0.9); run.parent.tag("winner", run.id)
run.parent.upload_file("outputs/p.txt", "step.py")
with run.child_run("fold 1") as child:
    child.log("auc", 0.8)
    child.upload_file("a.txt", "step.py")
try:
    with run.child_run("fold 2") as child:
        child.log("auc", 0.7); raise ValueError("no convergence")
except ValueError:
    pass
run.create_children(tag_key="fold", tag_values=[3, 4])
for child in run.get_children():
    print(child.name[:4], child.get_status(), child.get_metrics(), child.tags)
print([child.tags["fold"] for child in run.get_children(tags={"fold": 4})])
run.complete(); run.log("after", 1)
"""
    recorded = run(lab, script)

    parent = recorded.notes("root")
    assert metrics_of(parent) == {"best": 0.9}
    assert (recorded.folder / "of/root/files/outputs/p.txt").is_file()
    assert recorded.metrics == {"after": 1}
    assert [line.split(" ", 1)[1] for line in lab.lines[-5:-1]] == [
        "Running {} {'fold': '4'}",
        "Running {} {'fold': '3'}",
        "Failed {'auc': 0.7} {}",
        "Completed {'auc': 0.8} {}",
    ]
    assert lab.lines[-1] == "['4']"


def test_a_run_tells_of_itself(lab: Lab) -> None:
    """In its script, too: details, logs and page; a child run is canceled, and waited for."""
    script = """
from airflow_aml.errors import ActivityFailedException
run.description = "fits a ridge"
print(run.description, run.get_detailed_status(), run.get_details()["properties"])
with run.child_run("one") as child:
    child.cancel()
print(child.wait_for_completion()["status"], child.get_details_with_logs()["logFiles"])
child = run.child_run("two")
child.fail("no convergence")
try:
    child.wait_for_completion()
except ActivityFailedException as error:
    print("no convergence" in str(error), child.wait_for_completion(raise_on_error=False)["status"])
import time
deadline = time.monotonic() + 20
while not run.get_all_logs("there") and time.monotonic() < deadline:
    time.sleep(0.05)  # the log is written by the process that reads what this one prints
print(run.get_all_logs("there"), child.get_portal_url().startswith("file:///"), run.clean())
"""
    run(lab, script)

    assert lab.lines[-4:] == [
        "fits a ridge {'status': 'Running', 'details': None} {}",
        "Canceled {}",
        "True Failed",
        "['there/logs/azureml/stdoutlogs.txt'] True None",
    ]


def test_many_processes_log_to_one_run(lab: Lab) -> None:
    """Workers that a script forks log to its run, and no point is lost or torn."""
    script = """
from concurrent.futures import ProcessPoolExecutor
def work(number):
    for point in range(500):
        Run.get_context().log("points", number * 1000 + point)
if __name__ == "__main__":
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
"""
    points = run(lab, script).metrics["points"]

    expected = [number * 1000 + point for number in range(4) for point in range(500)]
    assert sorted(points) == expected


def test_points_survive_a_kill(lab: Lab) -> None:
    """kill -9 in the middle of logging loses nothing that was logged before."""
    script = """
import os, signal
for point in range(1000): run.log("points", point)
os.kill(os.getpid(), signal.SIGKILL)
"""
    recorded = run(lab, script, outcome="script_failed")

    assert recorded.metrics["points"] == list(range(1000))


def test_a_record_that_cannot_be_written_stops_nothing(lab: Lab, tmp_path: Path) -> None:
    """The script goes on, and is told once."""
    (tmp_path / "file").write_text("in the way")
    job = lab.job(
        "from airflow_aml import Run\nrun = Run.get_context()\n"
        "run.log('a', 1); run.log('a', 2); run.upload_file('f', 'step.py'); print('went on')\n"
    )
    report = lab.run(replace(job, record=str(tmp_path / "file" / "record")))

    assert report.outcome == "finished"
    assert "went on" in lab.lines
    assert sum("the record of this run cannot be written" in line for line in lab.lines) == 1
    assert sum("the file 'f' cannot be kept with this run" in line for line in lab.lines) == 1


def test_a_second_attempt_begins_anew(lab: Lab) -> None:
    """What an attempt that was lost had logged is not mixed with its retry's."""
    job = lab.job("from airflow_aml import Run\nRun.get_context().log('a', 1)\n")
    for _ in range(2):
        assert lab.run(job).outcome == "finished"

    assert Recorded(job).metrics == {"a": 1}


def test_what_no_store_can_keep_is_left_out(lab: Lab) -> None:
    """Links become what they lead to; the rest of a strange folder is kept, with a warning each."""
    from airflow_aml.definition.runs.records import StoredRecord
    from airflow_aml.workspace import layout

    job = lab.job("""
import os, sys
os.makedirs("outputs/ckpt-5"); open("outputs/ckpt-5/weights", "w").write("w")
os.symlink(os.path.abspath("outputs/ckpt-5"), "outputs/latest")
os.symlink(os.path.abspath("step.py"), "outputs/code.py")
os.symlink("nowhere", "outputs/gone"); os.symlink("..", "outputs/up")
os.symlink("/dev/null", "outputs/null"); os.mkfifo("outputs/pipe")
open(b"outputs/odd-\\xff", "w").write("odd")
""")
    place = lab.home.path(layout.step("run", job.run_id))
    report = lab.run(replace(job, record=str(place)))

    warned = "\n".join(report.warnings)
    for name in ("gone", "up", "null", "pipe", "odd-\\\\xff"):
        assert f"In ./outputs: '{name}' " in warned
    assert len(report.warnings) == 5
    shutil.rmtree(job.work)
    record = StoredRecord(lab.home, "run", job.run_id)
    assert [name for name in record.names() if name.startswith("outputs/")] == [
        "outputs/ckpt-5/weights",
        "outputs/code.py",
        "outputs/latest/weights",
    ]

    os.symlink("nowhere", place / "files/outputs/older")  # as records of before may have it
    with pytest.warns(UserWarning, match="older' of a run is a link that leads nowhere"):
        assert "outputs/code.py" in record.names()

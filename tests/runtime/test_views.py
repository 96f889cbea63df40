"""Views: an author's fixed destination, beside the immutable copy."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from laboratory import Lab

from airflow_aml.errors import WorkspaceException
from airflow_aml.runtime.child import run_job
from airflow_aml.runtime.job import JobOutput, OutputRef, StepJob, StepReport
from airflow_aml.runtime.views import Lease

WRITE = """
import json, os, sys
for name, text in json.load(open("content")).items():
    path = os.path.join(sys.argv[1], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
"""

WRITE_ALL = """
import json, os, sys
for place, content in zip(sys.argv[1:], json.load(open("content"))):
    for name, text in content.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write(text)
"""


def filling(lab: Lab, view: Path, content: dict, **members) -> StepJob:
    output = JobOutput("out", "", "", view=str(view), **members)
    files = {"content": json.dumps(content)}
    return lab.job(WRITE, files=files, outputs=(output,), arguments=(OutputRef("out"),))


def read(view: Path) -> dict:
    files = [path for path in view.rglob("*") if path.is_file()]
    return {str(path.relative_to(view)): path.read_text() for path in files}


def test_view_is_filled_beside_the_commit(lab: Lab, tmp_path: Path) -> None:
    """The files are at the fixed place and at the immutable one; consumers get the latter."""
    view = tmp_path / "store" / "latest data"
    job = filling(lab, view, {"a": "1", "sub/ü": "2"})
    report = lab.run(job)
    assert read(view) == {"a": "1", "sub/ü": "2"}
    assert report.outputs["out"].uri == f"file://{job.outputs[0].destination}"
    assert (view / "a").stat().st_mode & 0o200
    assert os.listdir(view.parent) == ["latest data"]


@pytest.mark.parametrize("name", ["x" * 255, "語" * 83 + ".txt"], ids=["ascii", "wide"])
def test_a_file_may_be_called_as_long_as_any(lab: Lab, tmp_path: Path, name: str) -> None:
    """What is added to its name while it is copied does not make that too long."""
    report = lab.run(filling(lab, tmp_path / "view", {name: "1", "sub/" + name: "2"}))
    assert report.outcome == "finished"
    assert read(tmp_path / "view") == {name: "1", "sub/" + name: "2"}


@pytest.mark.parametrize("below", ["sub", "sub/deeper", ""])
def test_a_view_below_a_file(lab: Lab, tmp_path: Path, below: str) -> None:
    """What stands in the way is named, and trying again is no use."""
    (tmp_path / "blocked").write_text("")
    report = lab.run(filling(lab, tmp_path / "blocked" / below, {"a": "1"}))
    assert (report.outcome, report.fatal) == ("error", True)
    assert f"{tmp_path}/blocked" in report.message
    assert "a file is where this folder must go" in report.message
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_files_are_replaced_by_name_and_others_kept(lab: Lab, tmp_path: Path) -> None:
    """A second run replaces what it writes again, as v1 users rely on."""
    view = tmp_path / "view"
    first = lab.run(filling(lab, view, {"a": "1", "old/b": "1"}))
    (view / "note.txt").write_text("mine")
    second = lab.run(filling(lab, view, {"a": "2", "new/c": "2"}))
    assert read(view) == {"a": "2", "old/b": "1", "new/c": "2", "note.txt": "mine"}
    assert (first.outcome, second.outcome) == ("finished", "finished")
    from airflow_aml.workspace.home import path_of_uri

    assert read(Path(path_of_uri(first.outputs["out"].uri))) == {"a": "1", "old/b": "1"}


def test_change_in_a_view_does_not_reach_the_commit(lab: Lab, tmp_path: Path) -> None:
    """Who edits the view edits a copy."""
    job = filling(lab, tmp_path / "view", {"a": "1"})
    lab.run(job)
    (tmp_path / "view" / "a").write_text("changed")
    assert Path(job.outputs[0].destination, "a").read_text() == "1"


def test_no_overwriting_means_none(lab: Lab, tmp_path: Path) -> None:
    """With overwrite=False a file that is there is an error, before anything is committed."""
    view = tmp_path / "view"
    assert lab.run(filling(lab, view, {"a": "1"}, overwrite=False)).outcome == "finished"
    assert lab.run(filling(lab, view, {"b": "1"}, overwrite=False)).outcome == "finished"
    job = filling(lab, view, {"c": "2", "b": "2"}, overwrite=False)
    report = lab.run(job)
    assert (report.outcome, report.fatal) == ("error", True)
    assert f"{view}/b" in report.message
    assert "overwrite=False" in report.message
    assert read(view) == {"a": "1", "b": "1"}
    assert not os.path.exists(job.outputs[0].destination)
    assert sorted(os.listdir(view)) == ["a", "b"]


@pytest.mark.parametrize(
    ("first", "second", "below", "says"),
    [
        ({"b": "1"}, {"a": "2", "b": "2"}, "", "writes this file, too, and this one says overwr"),
        ({"sub": "1"}, {"a": "2"}, "sub", "writes a file where this folder must go"),
        ({"sub/b": "1"}, {"b/c": "2"}, "sub", "writes a file where this folder must go"),
    ],
)
def test_outputs_of_one_step_that_need_one_name(
    lab: Lab, tmp_path: Path, first: dict, second: dict, below: str, says: str
) -> None:
    """Where one is in the place of the other, a name that both need is an error at once."""
    view = tmp_path / "view"
    outputs = (
        JobOutput("one", "", "", view=str(view)),
        JobOutput("two", "", "", view=str(view / below), overwrite=False),
    )
    files = {"content": json.dumps([first, second])}
    arguments = (OutputRef("one"), OutputRef("two"))
    report = lab.run(lab.job(WRITE_ALL, files=files, outputs=outputs, arguments=arguments))
    assert (report.outcome, report.fatal) == ("error", True)
    assert f"output 'one' of the same step {says}" in report.message
    assert "'two' could not be committed" in report.message
    assert read(view) == {}


def test_folder_where_a_file_must_go(lab: Lab, tmp_path: Path) -> None:
    """A folder in a file's place, or a file in a folder's, is an error that names it."""
    view = tmp_path / "view"
    lab.run(filling(lab, view, {"a/b": "1"}))
    for content, place in (({"a": "2"}, "a"), ({"a/b/c": "2"}, "a/b")):
        report = lab.run(filling(lab, view, content))
        assert (report.outcome, report.fatal) == ("error", True)
        assert f"{view}/{place}" in report.message
    assert read(view) == {"a/b": "1"}


def test_empty_output_makes_an_empty_view(lab: Lab, tmp_path: Path) -> None:
    """A view of an output without files is a folder without files."""
    assert lab.run(filling(lab, tmp_path / "view", {})).outcome == "finished"
    assert os.listdir(tmp_path / "view") == []


def test_file_output_with_a_view(lab: Lab, tmp_path: Path) -> None:
    """The view of an output that is one file is that file."""
    output = JobOutput("out", "", "", style="reference", view=str(tmp_path / "store" / "m.pkl"))
    script = "import sys; open(sys.argv[1], 'w').write('model')"
    assert lab.run(script, outputs=(output,), arguments=(OutputRef("out"),)).outcome == "finished"
    assert read(tmp_path / "store") == {"m.pkl": "model"}


def test_two_outputs_in_one_view(lab: Lab, tmp_path: Path) -> None:
    """Two outputs of a step may share a place."""
    view = str(tmp_path / "view")
    outputs = (JobOutput("a", "", "", view=view), JobOutput("b", "", "", view=view))
    script = "import sys\nfor n in (1, 2): open(f'{sys.argv[n]}/{n}', 'w').write(str(n))"
    arguments = (OutputRef("a"), OutputRef("b"))
    assert lab.run(script, outputs=outputs, arguments=arguments).outcome == "finished"
    assert read(tmp_path / "view") == {"1": "1", "2": "2"}
    assert sorted(os.listdir(tmp_path / "view")) == ["1", "2"]


def test_two_outputs_that_write_one_file_in_one_view(lab: Lab, tmp_path: Path) -> None:
    """The last output in the step's order wins by file name; each keeps its own immutable copy."""
    view = str(tmp_path / "same")
    outputs = (JobOutput("a", "", "", view=view), JobOutput("b", "", "", view=view))
    script = "import sys\nfor n in (1, 2): open(f'{sys.argv[n]}/f.txt', 'w').write(str(n))"
    arguments = (OutputRef("a"), OutputRef("b"))
    job = lab.job(script, outputs=outputs, arguments=arguments)
    report = lab.run(job)
    assert report.outcome == "finished", report.message
    assert read(tmp_path / "same") == {"f.txt": "2"}
    assert [read(Path(each.destination)) for each in job.outputs] == [
        {"f.txt": "1"},
        {"f.txt": "2"},
    ]
    assert sorted(os.listdir(tmp_path / "same")) == ["f.txt"]


def test_steps_that_fill_one_view_at_once(lab: Lab, tmp_path: Path) -> None:
    """Of several steps at once each fills the view whole: the files of one are never mixed in."""
    jobs = [filling(lab, tmp_path / "view", {str(n): str(k) for n in range(30)}) for k in range(5)]
    reports: list[StepReport] = []
    threads = [
        threading.Thread(target=lambda job=job: reports.append(run_job(job, print))) for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {report.outcome for report in reports} == {"finished"}
    assert len(read(tmp_path / "view")) == 30
    assert len(set(read(tmp_path / "view").values())) == 1
    assert not [name for name in os.listdir(tmp_path) if "lease" in name]


def test_lease_is_held_by_one(tmp_path: Path) -> None:
    """Who holds the lease has it; others wait, and give up with a word about who holds it."""
    one, two = Lease(str(tmp_path / "view"), "one"), Lease(str(tmp_path / "view"), "two")
    one.take(lambda: None)
    with pytest.raises(WorkspaceException, match="attempt one at another step"):
        two.take(lambda: None, patience=0.2)
    two.release()
    assert os.path.exists(one.path)
    one.release()
    two.take(lambda: None)
    two.release()
    assert not os.path.exists(two.path)


@pytest.mark.parametrize("kind", ["dead", "old", "garbage and old"])
def test_stale_lease_is_taken_over(tmp_path: Path, kind: str) -> None:
    """The lease of a process that is no more, or that nobody renewed, is nobody's."""
    lease = Lease(str(tmp_path / "view"), "new")
    document = {"attempt": "gone", "host": os.uname().nodename, "pid": 2**22 + 1, "time": 0}
    if kind == "old":
        document["pid"] = os.getpid()
    Path(lease.path).write_text("garbage" if "garbage" in kind else json.dumps(document))
    if "old" in kind:
        os.utime(lease.path, (time.time() - 700, time.time() - 700))
    lease.take(lambda: None, patience=1)
    assert json.loads(Path(lease.path).read_text())["attempt"] == "new"
    assert os.listdir(tmp_path) == [os.path.basename(lease.path)]


def test_lease_of_another_host_is_respected(tmp_path: Path) -> None:
    """What runs elsewhere cannot be looked at, so its lease counts until it is old."""
    lease = Lease(str(tmp_path / "view"), "new")
    document = {"attempt": "far", "host": "elsewhere", "pid": 2**22 + 1, "time": 0}
    Path(lease.path).write_text(json.dumps(document))
    with pytest.raises(WorkspaceException, match="far"):
        lease.take(lambda: None, patience=0.2)


def test_many_takers_of_a_stale_lease(tmp_path: Path) -> None:
    """Of many who find a stale lease at once, one at a time gets it."""
    holders: list[str] = []
    overlaps: list[int] = []
    stale = Lease(str(tmp_path / "view"), "gone")
    Path(stale.path).write_text(
        json.dumps({"attempt": "gone", "host": os.uname().nodename, "pid": 2**22 + 1})
    )

    def fill(name: str) -> None:
        lease = Lease(str(tmp_path / "view"), name)
        lease.take(lambda: None)
        holders.append(name)
        time.sleep(0.005)
        overlaps.append(len(holders))
        holders.remove(name)
        lease.release()

    threads = [threading.Thread(target=fill, args=(str(n),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 12

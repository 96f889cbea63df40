"""Inputs: what path a script gets, and that nothing of anybody's is touched."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from laboratory import Lab

from airflow_aml.runtime.job import InputRef, JobInput, StepReport

TREE = """
import json, os, sys
top = sys.argv[1]
found = {}
for folder, folders, files in os.walk(top):
    for name in files:
        path = os.path.join(folder, name)
        found[os.path.relpath(path, top)] = open(path).read()
kind = "link" if os.path.islink(top) else "folder" if os.path.isdir(top) else "file"
print(json.dumps([top, kind, found]))
"""


def look(lab: Lab, port: JobInput) -> tuple:
    """The path, the kind of path and the files that a script sees at an input."""
    report = lab.run(lab.job(TREE, inputs=(port,), arguments=(InputRef(port.name),)))
    assert report.outcome == "finished", report
    return tuple(json.loads(lab.lines[0]))


def fail(lab: Lab, port: JobInput) -> StepReport:
    report = lab.run(lab.job(TREE, inputs=(port,), arguments=(InputRef(port.name),)))
    assert (report.outcome, report.fatal, report.exit_code) == ("error", True, None)
    assert repr(port.name) in report.message
    return report


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.csv", "sub/a.csv", "sub/deep/c.csv", "ü ñ [1].txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


def test_exact_paths_are_handed_over(lab: Lab, data: Path) -> None:
    """A committed output, folder or file, is the original path itself."""
    folder = look(lab, JobInput("in", (str(data),), exact=True))
    assert folder[:2] == (str(data), "folder")
    file = look(lab, JobInput("in", (str(data / "ü ñ [1].txt"),), exact=True))
    assert file[:2] == (str(data / "ü ñ [1].txt"), "file")


def test_one_path_is_that_path(lab: Lab, data: Path) -> None:
    """A dataset of one file arrives as that file, one folder as that folder."""
    assert look(lab, JobInput("in", (str(data / "a.csv"),)))[:2] == (str(data / "a.csv"), "file")
    assert look(lab, JobInput("in", (str(data / "sub"),)))[:2] == (str(data / "sub"), "folder")


def test_signs_in_a_real_name_are_no_pattern(lab: Lab, data: Path) -> None:
    """A file with brackets in its name is found by that name."""
    path = str(data / "ü ñ [1].txt")
    assert look(lab, JobInput("in", (path,)))[:2] == (path, "file")


def test_pattern_makes_a_farm(lab: Lab, data: Path) -> None:
    """A pattern's files appear in a folder of links, named from where the pattern begins."""
    top, kind, found = look(lab, JobInput("in put", (f"{data}/**/*.csv",)))
    assert (os.path.basename(top), kind) == ("in put", "folder")
    assert found == {n: n for n in ("a.csv", "b.csv", "sub/a.csv", "sub/deep/c.csv")}
    _, _, found = look(lab, JobInput("in", (f"{data}/*.csv",)))
    assert found == {"a.csv": "a.csv", "b.csv": "b.csv"}


def test_one_match_is_still_a_folder(lab: Lab, data: Path) -> None:
    """A pattern means a folder, whatever it matches today."""
    assert look(lab, JobInput("in", (f"{data}/a.*",)))[1:] == ("folder", {"a.csv": "a.csv"})


def test_root_gives_the_names(lab: Lab, data: Path) -> None:
    """With a root, names inside the farm are relative to it."""
    paths = (str(data / "sub" / "a.csv"), f"{data}/a.*", str(data / "sub" / "deep"))
    _, _, found = look(lab, JobInput("in", paths, root=str(data)))
    assert found == {n: n for n in ("sub/a.csv", "a.csv", "sub/deep/c.csv")}


def test_several_paths_without_a_root(lab: Lab, data: Path) -> None:
    """Without one, each path is known by its own name."""
    paths = (str(data / "b.csv"), str(data / "sub" / "a.csv"), str(data / "sub" / "deep"))
    _, _, found = look(lab, JobInput("in", paths))
    expected = {"b.csv": "b.csv", "a.csv": "sub/a.csv", "deep/c.csv": "sub/deep/c.csv"}
    assert found == expected


def test_root_itself_and_what_is_in_it(lab: Lab, data: Path) -> None:
    """A folder and files of it are no contradiction: each file is there once."""
    paths = (str(data), str(data / "sub"), f"{data}/sub/*.csv", str(data / "a.csv"))
    _, _, found = look(lab, JobInput("in", paths, root=str(data)))
    assert found == look(lab, JobInput("in", (str(data),)))[2]


def test_links_never_copies(lab: Lab, data: Path) -> None:
    """The farm holds symlinks only, and what it leads to is unchanged afterwards."""
    script = (
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "for folder, _, files in os.walk('.'):\n"
        "    for name in files: print(os.path.islink(os.path.join(folder, name)))"
    )
    port = JobInput("in", (f"{data}/*",))
    before = {path: path.stat() for path in data.rglob("*")}
    lab.run(lab.job(script, inputs=(port,), arguments=(InputRef("in"),)))
    assert set(lab.lines) == {"True"}
    for path, status in before.items():
        assert (path.stat().st_nlink, path.stat().st_mtime_ns) == (
            status.st_nlink,
            status.st_mtime_ns,
        )


def test_missing_path_is_named(lab: Lab, data: Path) -> None:
    """An input that is not there fails the step at once, by name, and for good."""
    assert "nowhere.csv" in fail(lab, JobInput("in", (str(data / "nowhere.csv"),))).message
    assert "gone" in fail(lab, JobInput("in", (str(data / "gone"),), exact=True)).message
    assert "gone" in fail(lab, JobInput("in", (str(data / "a.csv"), str(data / "gone")))).message
    fail(lab, JobInput("in", ()))


def test_pattern_without_a_match_is_named(lab: Lab, data: Path) -> None:
    """A pattern that matches nothing is an error that shows it."""
    message = fail(lab, JobInput("in", (f"{data}/*.parquet",))).message
    assert f"no file matches {data}/*.parquet" in message


def test_two_files_of_one_name(lab: Lab, data: Path) -> None:
    """Two files that would get one name are both named, rather than one of them lost."""
    paths = (str(data / "a.csv"), str(data / "sub" / "a.csv"))
    message = fail(lab, JobInput("in", paths)).message
    assert all(path in message for path in paths)
    other = data.parent / "other" / "sub"
    other.mkdir(parents=True)
    (other / "x.csv").write_text("x")
    folders = JobInput("in", (str(data / "sub"), str(other)))
    assert set(look(lab, folders)[2]) == {"sub/a.csv", "sub/deep/c.csv", "sub/x.csv"}
    (other / "a.csv").write_text("another")
    assert "'sub/a.csv'" in fail(lab, folders).message


def test_links_inside_a_folder(lab: Lab, data: Path) -> None:
    """Links to folders are followed, but not in a circle, and nothing is made where they lead."""
    (data / "sub" / "back").symlink_to(data / "sub")
    (data / "sub" / "elsewhere").symlink_to(data / "sub" / "deep")
    (data / "sub" / "nowhere").symlink_to(data / "gone")
    script = (
        "import os, sys\n"
        "for folder, _, files in os.walk(sys.argv[1]):\n"
        "    for name in files: print(os.path.relpath(os.path.join(folder, name), sys.argv[1]))"
    )
    port = JobInput("in", (str(data / "sub"), str(data / "b.csv")))
    lab.run(lab.job(script, inputs=(port,), arguments=(InputRef("in"),)))
    below = {"sub/a.csv", "sub/deep/c.csv", "sub/elsewhere/c.csv", "sub/nowhere"}
    assert set(lab.lines) == {"b.csv", *below}
    same = data.parent / "other" / "sub"
    (same / "back").mkdir(parents=True)
    (same / "back" / "new.csv").write_text("")
    assert "'sub/back'" in fail(lab, JobInput("in", (str(data / "sub"), str(same)))).message
    assert not (data / "sub" / "new.csv").exists()


def test_path_outside_of_the_root(lab: Lab, data: Path) -> None:
    """A path that is not below the root has no name in the farm."""
    paths = (str(data / "a.csv"), str(data / "sub" / "a.csv"))
    assert "outside of" in fail(lab, JobInput("in", paths, root=str(data / "sub"))).message


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "../../x"])
def test_names_that_climb_are_refused(lab: Lab, data: Path, name: str) -> None:
    """An input's name cannot lead anywhere."""
    fail(lab, JobInput(name, (f"{data}/*.csv",)))


def test_direct_input_is_its_id(lab: Lab) -> None:
    """A direct input is the id of its dataset, in the arguments and in the environment."""
    port = JobInput("table", (), mode="direct", identity="7a-1")
    script = "import os, sys; print(sys.argv[1], os.environ['AZURE_ML_INPUT_table'])"
    lab.run(lab.job(script, inputs=(port,), arguments=(InputRef("table"),)))
    assert lab.lines == ["7a-1 7a-1"]


def test_argument_for_an_input_that_is_none(lab: Lab) -> None:
    """An argument that refers to no input is an error, not a text that leaks into the script."""
    report = lab.run(lab.job("print(1)", arguments=(InputRef("in"),)))
    assert (report.outcome, report.fatal, lab.lines) == ("error", True, [])
    assert "'in'" in report.message


def test_path_on_compute(lab: Lab, data: Path, tmp_path: Path) -> None:
    """A place that the author asked for leads to the data, inside and outside the folder."""
    port = JobInput("in", (str(data),), path_on_compute="mnt/data")
    top, _, found = look(lab, port)
    assert top.endswith("/src/mnt/data")
    assert found["a.csv"] == "a.csv"
    elsewhere = tmp_path / "elsewhere" / "data"
    assert look(lab, replace(port, path_on_compute=str(elsewhere)))[0] == str(elsewhere)
    assert not os.path.lexists(elsewhere)


def test_path_on_compute_that_is_taken(lab: Lab, data: Path, tmp_path: Path) -> None:
    """Where something else is already, the script gets the original path, and a warning."""
    (tmp_path / "taken").mkdir()
    port = JobInput("in", (str(data),), path_on_compute=str(tmp_path / "taken"))
    report = lab.run(lab.job(TREE, inputs=(port,), arguments=(InputRef("in"),)))
    assert json.loads(lab.lines[0])[0] == str(data)
    assert "cannot be had" in report.warnings[0]
    assert os.listdir(tmp_path / "taken") == []

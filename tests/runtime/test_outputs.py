"""Outputs: committed whole or not at all, immutable, and nobody's but the run's."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Iterator

import pytest
from laboratory import Lab

from airflow_aml.runtime.child import run_job
from airflow_aml.runtime.job import JobOutput, OutputRef, StepReport
from airflow_aml.workspace.home import path_of_uri
from airflow_aml.workspace.manifests import build

OUT = (OutputRef("out"),)
REFERENCE = JobOutput("out", "", "", style="reference")


def committed(report: StepReport, name: str = "out") -> Path:
    assert report.outcome == "finished", report
    return Path(path_of_uri(report.outputs[name].uri))


def names(folder: Path) -> list:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_dataset_output_is_a_folder(lab: Lab) -> None:
    """The folder is there before the script, and its files are read-only after it."""
    script = (
        "import os, sys\n"
        "assert os.listdir(sys.argv[1]) == []\n"
        "os.makedirs(sys.argv[1] + '/sub dir')\n"
        "open(sys.argv[1] + '/sub dir/ü.csv', 'w').write('1')\n"
        "open(sys.argv[1] + '/empty', 'w')\n"
        "os.chmod(sys.argv[1] + '/empty', 0o755)\n"
    )
    job = lab.job(script, outputs=("out",), arguments=OUT)
    report = lab.run(job)
    place = committed(report)
    assert str(place) == job.outputs[0].destination
    assert names(place) == ["empty", "sub dir", "sub dir/ü.csv"]
    modes = [stat.S_IMODE((place / name).stat().st_mode) for name in ("empty", "sub dir/ü.csv")]
    assert modes[0] == 0o555
    assert modes[1] & 0o222 == 0
    assert report.outputs["out"].manifest == build(place)
    assert report.outputs["out"].reference == {
        "uri": report.outputs["out"].uri,
        "digest": build(place).digest,
        "files": 2,
        "bytes": 1,
    }
    assert (report.warnings, lab.leftovers()) == ((), [])


def test_reference_output_is_what_the_script_makes(lab: Lab) -> None:
    """Only the parent is there; the script makes a folder, or a file, as v1's PipelineData."""
    script = "import os, sys\nassert not os.path.exists(sys.argv[1]); os.makedirs(sys.argv[1])\n"
    script += "open(os.path.join(sys.argv[1], 'm'), 'w').write('1')\n"
    place = committed(lab.run(script, outputs=(REFERENCE,), arguments=OUT))
    assert names(place) == ["m"]
    script = "import sys; open(sys.argv[1], 'w').write('model')"
    report = lab.run(script, outputs=(REFERENCE,), arguments=OUT)
    assert committed(report).read_text() == "model"
    assert [each.path for each in report.outputs["out"].manifest.files] == [""]


@pytest.mark.parametrize("make", ["open(out, 'w').close()", "os.symlink(sys.executable, out)"])
def test_a_file_in_place_of_an_outputs_folder_is_refused(lab: Lab, make: str) -> None:
    """Whoever reads the output opens a folder; the step that took it away is told, and no other."""
    job = lab.job(
        f"import os, sys; out = sys.argv[1]; os.rmdir(out); {make}", outputs=("out",), arguments=OUT
    )
    report = lab.run(job)
    assert (report.outcome, report.fatal) == ("error", True)
    assert (
        "output 'out' could not be committed: it is a folder, and the script put a file"
        in report.message
    )
    assert "Write the file into the folder" in report.message
    assert not os.path.exists(job.outputs[0].destination)
    assert lab.leftovers() == []


def test_output_left_empty_is_a_warning(lab: Lab) -> None:
    """An output that nothing was written to is an empty folder, and the author is told."""
    for output in ("out", REFERENCE):
        report = lab.run("print(1)", outputs=(output,), arguments=OUT)
        assert names(committed(report)) == []
        assert committed(report).is_dir()
        assert len(report.warnings) == 1
        assert "nothing to the output 'out'" in report.warnings[0]


def test_empty_folders_are_not_kept(lab: Lab) -> None:
    """What no store can hold and no digest counts reaches no step; the author is told."""
    script = (
        "import os, sys; os.chdir(sys.argv[1]); "
        "[os.makedirs(name) for name in ('full', 'bare/deep', 'class_b')]; open('full/x', 'w')"
    )
    report = lab.run(script, outputs=("out",), arguments=OUT)
    assert os.listdir(committed(report)) == ["full"]
    assert report.warnings == (
        "Empty folders of the output 'out' are not kept: 'bare', 'bare/deep', 'class_b'.",
    )


def test_promised_file_that_was_not_written(lab: Lab) -> None:
    """An output that was declared a file cannot be an empty folder."""
    report = lab.run("", outputs=(replace(REFERENCE, is_directory=False),), arguments=OUT)
    assert (report.outcome, report.fatal) == ("error", True)
    assert "'out'" in report.message


def test_failure_commits_nothing(lab: Lab) -> None:
    """What a failed script wrote is gone, and its destination does not exist."""
    script = "import sys; open(sys.argv[1] + '/x', 'w'); sys.exit(1)"
    job = lab.job(script, outputs=("out",), arguments=OUT)
    assert lab.run(job).outcome == "script_failed"
    assert not os.path.exists(job.outputs[0].destination)
    assert lab.leftovers() == []


def test_leftovers_of_a_former_attempt(lab: Lab) -> None:
    """Whatever a former attempt left in the staging area is gone before the script starts."""
    job = lab.job("import os, sys; print(os.listdir(sys.argv[1]))", outputs=("out",), arguments=OUT)
    os.makedirs(job.outputs[0].staging + "/old")
    lab.run(job)
    assert lab.lines == ["[]"]


def test_outputs_folder_is_kept(lab: Lab) -> None:
    """What a script leaves in ./outputs is kept, also when it fails, and so is no input's link."""
    script = (
        "import os, sys\n"
        "os.makedirs('outputs/m'); open('outputs/m/x.pkl', 'w').write('1')\n"
        "sys.exit(int(open('code').read()))\n"
    )
    for code, outcome in (("0", "finished"), ("5", "script_failed")):
        job = lab.job(script, files={"code": code})
        assert lab.run(job).outcome == outcome
        assert names(Path(job.record, "files/outputs")) == ["m", "m/x.pkl"]
        assert lab.run(job).outcome == outcome
        assert names(Path(job.record, "files/outputs")) == ["m", "m/x.pkl"]
    job = lab.job("")
    lab.run(job)
    assert not os.path.exists(job.record)


def test_links_become_content(lab: Lab, tmp_path: Path) -> None:
    """A committed output never leads elsewhere: links in it are replaced by what they lead to."""
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "cache" / "deep" / "w.bin").write_text("weights")
    script = (
        "import os, sys\n"
        "out = sys.argv[1]\n"
        f"os.symlink({str(tmp_path / 'cache')!r}, out + '/cache')\n"
        f"os.symlink({str(tmp_path / 'cache/deep/w.bin')!r}, out + '/w.bin')\n"
        "open(out + '/own', 'w').write('own'); os.symlink('own', out + '/latest')\n"
        f"os.link({str(tmp_path / 'cache/deep/w.bin')!r}, out + '/hard')\n"
    )
    place = committed(lab.run(script, outputs=("out",), arguments=OUT))
    assert not [path for path in place.rglob("*") if path.is_symlink()]
    assert (place / "cache" / "deep" / "w.bin").read_text() == "weights"
    assert (place / "latest").read_text() == "own"
    (tmp_path / "cache" / "deep" / "w.bin").write_text("changed")
    assert {(place / name).read_text() for name in ("w.bin", "hard")} == {"weights"}


def test_output_that_is_itself_a_link(lab: Lab, tmp_path: Path) -> None:
    """A reference output made as a link to a folder holds that folder's files."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("1")
    script = f"import os, sys; os.symlink({str(tmp_path / 'elsewhere')!r}, sys.argv[1])"
    place = committed(lab.run(script, outputs=(REFERENCE,), arguments=OUT))
    assert not place.is_symlink()
    assert names(place) == ["x"]
    assert os.access(tmp_path / "elsewhere" / "x", os.W_OK)
    assert (tmp_path / "elsewhere" / "x").stat().st_mode & 0o200


def test_reference_that_became_a_pipe(lab: Lab) -> None:
    """A pipe in the place of an output is refused, and nobody waits for it."""
    report = lab.run("import os, sys; os.mkfifo(sys.argv[1])", outputs=(REFERENCE,), arguments=OUT)
    assert (report.outcome, report.fatal) == ("error", True)
    assert "neither a file nor a folder" in report.message


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("os.symlink('nowhere', out + '/odd')", "leads nowhere"),
        ("os.symlink('.', out + '/odd')", "lies in"),
        ("os.symlink('odd', out + '/odd')", "leads nowhere"),
        ("os.mkfifo(out + '/odd')", "neither a file nor a folder"),
        ("open(os.fsencode(out) + b'/odd\\xe9', 'w')", "not UTF-8"),
    ],
)
def test_what_cannot_be_kept_is_named(lab: Lab, script: str, word: str) -> None:
    """A link to nowhere, a pipe, a name that is no text: nothing is committed, all is named."""
    job = lab.job(f"import os, sys; out = sys.argv[1]; {script}", outputs=("out",), arguments=OUT)
    report = lab.run(job)
    assert (report.outcome, report.fatal, report.exit_code) == ("error", True, 0)
    assert all(text in report.message for text in ("'out'", "odd", word))
    assert not os.path.exists(job.outputs[0].destination)
    assert lab.leftovers() == []


def test_source_globs_choose(lab: Lab) -> None:
    """Of an upload output only what its patterns match is kept."""
    script = (
        "import os, sys\n"
        "os.makedirs(sys.argv[1] + '/sub/deep')\n"
        "for name in ('a.csv', 'a.tmp', 'sub/b.csv', 'sub/deep/c.csv', 'sub/deep/c.tmp'):\n"
        "    open(sys.argv[1] + '/' + name, 'w')\n"
    )

    def kept(*globs: str) -> list:
        output = JobOutput("out", "", "", source_globs=globs)
        report = lab.run(script, outputs=(output,), arguments=OUT)
        return [each.path for each in report.outputs["out"].manifest.files]

    assert kept("**/*.csv") == ["a.csv", "sub/b.csv", "sub/deep/c.csv"]
    assert kept("*.csv", "sub/**") == ["a.csv", "sub/b.csv", "sub/deep/c.csv", "sub/deep/c.tmp"]
    assert kept("sub/?.[a-c]sv") == ["sub/b.csv"]
    assert kept("./*.[!c]*") == ["a.tmp"]
    assert kept("*.parquet") == []


def test_path_on_compute(lab: Lab, tmp_path: Path) -> None:
    """A script that writes to a place of its own choice has its output committed all the same."""
    script = "import os, sys\nif not os.path.exists('my/out'): os.makedirs('my/out')\n"
    script += "open('my/out/x', 'w'); assert sys.argv[1].endswith('my/out'), sys.argv"
    for style in ("dataset", "reference"):
        output = JobOutput("out", "", "", style=style, path_on_compute="my/out")
        assert names(committed(lab.run(script, outputs=(output,), arguments=OUT))) == ["x"]
    elsewhere = tmp_path / "else" / "where"
    script = "import sys; open(sys.argv[1] + '/x', 'w')"
    output = JobOutput("out", "", "", path_on_compute=str(elsewhere))
    report = lab.run(script, outputs=(output,), arguments=OUT)
    assert names(committed(report)) == ["x"]
    assert report.command[-1] == str(elsewhere)
    assert not os.path.lexists(elsewhere)


def test_taken_destination(lab: Lab) -> None:
    """The same content again is the same place; other content gets a place beside it."""
    script = "import sys; open(sys.argv[1] + '/x', 'w').write(open('content').read())"

    def place(content: str) -> str:
        job = lab.job(
            script, files={"content": content}, outputs=("out",), arguments=OUT, run_id="run-1"
        )
        return committed(lab.run(job)).name

    answers = [place("1"), place("1"), place("2"), place("1"), place("2"), place("3")]
    assert answers == ["out", "out", "out~2", "out", "out~2", "out~3"]
    assert lab.leftovers() == []


def test_taken_by_another_kind(lab: Lab) -> None:
    """A file where a folder was, and an empty folder where a full one was, do not mix."""
    scripts = [
        "import sys; open(sys.argv[1], 'w').write('1')",
        "",
        "import os, sys; os.mkdir(sys.argv[1]); open(sys.argv[1] + '/x', 'w')",
        "",
        "import sys; open(sys.argv[1], 'w').write('1')",
    ]
    places = []
    for script in scripts:
        job = lab.job(script, outputs=(REFERENCE,), arguments=OUT, run_id="run-1")
        places.append(committed(lab.run(job)).name)
    assert places == ["out", "out~2", "out~3", "out~2", "out"]


def test_racing_attempts_never_mix(lab: Lab) -> None:
    """Attempts that commit to one place at the same moment each get a whole place of their own."""
    script = (
        "import os, sys, time\n"
        "for n in range(20): open(f'{sys.argv[1]}/{n}', 'w').write(open('content').read())\n"
        "open(sys.argv[2], 'w').close()\n"
        "while len(os.listdir(os.path.dirname(sys.argv[2]))) < 6: time.sleep(0.001)\n"
    )
    from airflow_aml.runtime.job import Text

    (lab.folder / "ready").mkdir()
    jobs = [
        lab.job(
            script,
            files={"content": str(n)},
            outputs=("out",),
            run_id="run-1",
            arguments=(*OUT, Text(str(lab.folder / "ready" / str(n)))),
        )
        for n in range(6)
    ]
    reports: list[StepReport] = []
    threads = [
        threading.Thread(target=lambda job=job: reports.append(run_job(job, print))) for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    places = {committed(report) for report in reports}
    assert sorted(place.name for place in places) == ["out", *(f"out~{n}" for n in range(2, 7))]
    contents = [{path.read_text() for path in place.iterdir()} for place in places]
    assert sorted(contents, key=str) == [{str(n)} for n in range(6)]
    assert all(len(list(place.iterdir())) == 20 for place in places)


def test_names_with_spaces_and_any_script(lab: Lab) -> None:
    """An output may be called anything that a folder may be called."""
    name = "öut put %41 #1"
    script = "import sys; open(sys.argv[1] + '/x', 'w')"
    report = lab.run(script, outputs=(name,), arguments=(OutputRef(name),))
    assert names(committed(report, name)) == ["x"]
    assert report.outputs[name].uri.isascii()


def test_destination_that_cannot_be_made(lab: Lab) -> None:
    """A file in the way of a destination is an error that names the output."""
    (lab.folder / "file").write_text("")
    output = JobOutput("out", "", str(lab.folder / "file" / "out"))
    job = lab.job("import sys; open(sys.argv[1] + '/x', 'w')", outputs=(output,), arguments=OUT)
    report = lab.run(job)
    assert (report.outcome, report.fatal) == ("error", False)
    assert "the output 'out' could not be committed" in report.message.lower()
    assert lab.leftovers() == []


def test_one_bad_output_spoils_all(lab: Lab) -> None:
    """Of several outputs all are committed or none."""
    script = (
        "import os, sys\nfor n in sys.argv[1:]: open(n + '/x', 'w')\nos.mkfifo(sys.argv[2] + '/p')"
    )
    outputs = ("a", "b", "c")
    job = lab.job(script, outputs=outputs, arguments=tuple(map(OutputRef, outputs)))
    report = lab.run(job)
    assert (report.outcome, dict(report.outputs)) == ("error", {})
    assert not any(os.path.exists(output.destination) for output in job.outputs)
    assert lab.leftovers() == []


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on a disk that is not the workspace's."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no second disk here (/dev/shm)")
    folder = Path("/dev/shm", f"aml-test-{os.getpid()}-{os.urandom(4).hex()}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_destination_on_another_disk(lab: Lab, other_disk: Path) -> None:
    """A destination on another disk is filled by a copy that appears whole."""
    script = (
        "import os, sys; os.mkdir(sys.argv[1] + '/d'); open(sys.argv[1] + '/d/x', 'w').write('1')"
    )
    output = JobOutput("out", "", str(other_disk / "deep" / "out"))
    report = lab.run(script, outputs=(output,), arguments=OUT)
    assert names(committed(report)) == ["d", "d/x"]
    assert (other_disk / "deep" / "out" / "d" / "x").stat().st_mode & 0o222 == 0
    assert os.listdir(other_disk / "deep") == ["out"]
    assert lab.leftovers() == []


def test_staging_on_another_disk_for_a_file(lab: Lab, other_disk: Path) -> None:
    """So is a single file."""
    output = replace(REFERENCE, staging=str(other_disk / "out"))
    report = lab.run(
        "import sys; open(sys.argv[1], 'w').write('m')", outputs=(output,), arguments=OUT
    )
    assert committed(report).read_text() == "m"
    assert os.listdir(other_disk) == []


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root, where the system allows it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_disk_full_while_committing(lab: Lab, tmp_path: Path) -> None:
    """A full disk while committing leaves no half output, and names the output and the disk."""
    script = (
        "import sys\n"
        "open(sys.argv[1] + '/small', 'w').write('1')\n"
        "open(sys.argv[2] + '/large', 'wb').write(bytes(3_000_000))\n"
    )
    with small_disk(tmp_path / "disk") as disk:
        outputs = (JobOutput("a", "", ""), JobOutput("b", "", str(disk / "deep" / "b")))
        job = lab.job(script, outputs=outputs, arguments=(OutputRef("a"), OutputRef("b")))
        report = lab.run(job)
        assert (report.outcome, report.fatal, report.exit_code) == ("error", False, 0)
        assert "output 'b' could not be committed: no space is left on the disk" in report.message
        assert str(disk) in report.message
        assert "\n" not in report.message
        assert [path for path in disk.rglob("*") if path.name != "deep"] == []
    assert not os.path.exists(job.outputs[0].destination)
    assert lab.leftovers() == []


def test_disk_full_while_filling_a_view(lab: Lab, tmp_path: Path) -> None:
    """A full disk while filling a view leaves the view as it was, and commits nothing."""
    script = (
        "import sys\n"
        "open(sys.argv[1] + '/a', 'w').write('new')\n"
        "open(sys.argv[1] + '/large', 'wb').write(bytes(3_000_000))\n"
    )
    with small_disk(tmp_path / "disk") as disk:
        (disk / "view").mkdir()
        (disk / "view" / "a").write_text("old")
        output = JobOutput("out", "", "", view=str(disk / "view"))
        job = lab.job(script, outputs=(output,), arguments=OUT)
        report = lab.run(job)
        assert report.outcome == "error"
        assert f"no space is left on the disk that holds {disk}/view" in report.message
        assert names(disk) == ["view", "view/a"]
        assert (disk / "view" / "a").read_text() == "old"
    assert not os.path.exists(job.outputs[0].destination)


def test_limit_while_committing(lab: Lab, other_disk: Path) -> None:
    """The same with a quota's cousin, which needs no root: files may only be so large."""
    script = (
        "import os, resource, sys\n"
        "open(sys.argv[1] + '/large', 'wb').write(bytes(3_000_000))\n"
        "resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
    )
    output = JobOutput("out", "", str(other_disk / "out"))
    report = lab.run(script, outputs=(output,), arguments=OUT)
    assert (report.outcome, report.fatal) == ("error", False)
    assert "output 'out' could not be committed: File too large" in report.message
    assert os.listdir(other_disk) == []
    assert lab.leftovers() == []


def test_runtime_and_caller_agree_about_the_interpreter(lab: Lab) -> None:
    """The script runs in the interpreter that the job names."""
    lab.run("import sys; print(sys.executable)")
    assert lab.lines == [sys.executable]

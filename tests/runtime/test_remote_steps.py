"""Steps in object stores: what is committed is whole, and what is not committed is nowhere."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_laboratory import RemoteLab, reading

from airflow_aml.runtime.job import InputRef, JobInput, OutputRef, RemoteFile, StepReport, Text
from airflow_aml.workspace.committed import Committed
from airflow_aml.workspace.stores.remote import FsspecStore
from scripts import test_servers
from scripts.test_servers import NotInstalledError, Server, make_container
from scripts.wire import Wire

OUT = (OutputRef("out"),)
WRITE = """
import os, sys
for name, text in {"a": "1", "sub dir/ü": sys.argv[2]}.items():
    path = os.path.join(sys.argv[1], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
"""
MANY = """
import os, sys
for n in range(120):
    open(os.path.join(sys.argv[1], f"{n:03}"), "wb").write(bytes([n]) * 20_000)
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    running: dict[str, Server] = {}
    yield running
    for server in running.values():
        server.__exit__()


@pytest.fixture(params=["abfs", "s3"])
def lab(request, servers, tmp_path: Path) -> Iterator[RemoteLab]:
    scheme = request.param
    if scheme not in servers:
        try:
            server = test_servers.azurite() if scheme == "abfs" else test_servers.s3()
        except NotInstalledError as reason:
            pytest.skip(str(reason))
        servers[scheme] = server
        make_container(server, "steps")
    with Wire(servers[scheme].port) as wire:
        yield RemoteLab(tmp_path, servers[scheme], f"{scheme}://steps/{uuid.uuid4().hex}", wire)


on_azure = pytest.mark.parametrize("lab", ["abfs"], indirect=True)


def finished(lab: RemoteLab, report: StepReport) -> Committed:
    assert report.outcome == "finished", (report, lab.lines)
    found = lab.committed(report.outputs["out"].uri)
    assert found is not None
    return found


def write(lab: RemoteLab, text: str, **members) -> StepReport:
    return lab.run(WRITE, arguments=(*OUT, Text(text)), **members)


def test_an_output_is_its_manifest(lab: RemoteLab) -> None:
    """Path, size, digest and the store's own version of each file; nothing else is left."""
    report = write(lab, "22")
    found = finished(lab, report)

    assert found.uri == report.outputs["out"].uri
    assert found.digest == report.outputs["out"].manifest.digest
    assert [each[:2] for each in found.files] == [("a", 1), ("sub dir/ü", 2)]
    base = found.uri[len(lab.home.url) + 1 :]
    assert lab.paths() == [f"{base}.manifest.json", f"{base}/a", f"{base}/sub dir/ü"]
    there = {each.path: each.version for each in lab.store.find(f"{base}/")}
    assert [each.version for each in found.files] == list(there.values())
    assert any("is uploaded to abfs://" in x or "is uploaded to s3://" in x for x in lab.lines)


def test_the_next_step_reads_by_the_manifest(lab: RemoteLab) -> None:
    """Not by a listing: what lies beside the committed files is not the output's."""
    first = finished(lab, write(lab, "22"))
    base = first.uri[len(lab.home.url) + 1 :]
    lab.store.write(f"{base}/intruder", b"x")
    script = "import os, sys; print(sorted(os.listdir(sys.argv[1])), os.stat(sys.argv[1] + '/a'))"

    report = lab.run(
        script,
        inputs=(reading(first.uri, f"{first.uri}.manifest.json"),),
        arguments=(InputRef("in"),),
    )

    assert report.outcome == "finished", report
    assert "['a', 'sub dir']" in lab.lines[1]
    assert "st_mode=33060" in lab.lines[1]  # read-only
    assert "st_nlink=3" in lab.lines[1]  # the very file of the first step, and the cache's entry
    assert lab.lines[0].startswith("airflow_aml: input 'in' is at /")
    assert lab.lines[0].endswith(f"staged from {first.uri} (2 files, 3 B)")


def test_a_single_file_is_a_file_or_a_folder(lab: RemoteLab) -> None:
    """A PipelineData that is a file arrives as one, unless a folder is asked for."""
    script = "import sys; open(sys.argv[1], 'w').write('model')"
    first = finished(lab, lab.run(script, style="reference", arguments=OUT))
    assert first.is_file
    script = "import os, sys; print(os.path.isdir(sys.argv[1]), os.path.basename(sys.argv[1]))"

    for folder, answer in ((False, "False out"), (True, "True in")):
        port = reading(first.uri, f"{first.uri}.manifest.json", folder=folder)
        lab.run(script, inputs=(port,), arguments=(InputRef("in"),))
        assert lab.lines[1] == answer


def test_a_changed_file_is_not_taken(lab: RemoteLab) -> None:
    """A committed file that somebody has overwritten is an error that names it."""
    first = finished(lab, write(lab, "22"))
    base = first.uri[len(lab.home.url) + 1 :]
    lab.store.write(f"{base}/a", b"9")
    port = reading(first.uri, f"{first.uri}.manifest.json")
    job = lab.job("", inputs=(port,), arguments=(InputRef("in"),))
    assert lab.run(job).outcome == "finished"  # the cache still has what was committed

    (lab.folder / "cache").rename(lab.folder / "old cache")
    report = lab.run("", inputs=(port,), arguments=(InputRef("in"),))

    assert (report.outcome, report.fatal) == ("error", False)
    assert f"{first.uri}/a" in report.message
    assert "not what it was" in report.message


def test_no_manifest_no_input(lab: RemoteLab) -> None:
    """Files without their manifest are no output; the error says what to do."""
    first = finished(lab, write(lab, "22"))
    base = first.uri[len(lab.home.url) + 1 :]
    lab.store.delete([f"{base}.manifest.json"])

    report = lab.run("", inputs=(reading(first.uri, f"{first.uri}.manifest.json"),))

    assert (report.outcome, report.fatal) == ("error", True)
    assert "never committed" in report.message


def test_files_of_a_dataset(lab: RemoteLab, tmp_path: Path) -> None:
    """Files of stores, of this machine and of several folders make one folder."""
    for path in ("raw/a b.csv", "raw/deep/c.csv", "other/c.csv"):
        lab.store.write(path, path.encode())
    (tmp_path / "local.csv").write_text("here")
    listed = {each.path: each for each in lab.store.find()}

    def remote(path: str, relative: str) -> RemoteFile:
        found = listed[path]
        return RemoteFile(lab.store.uri(path), relative, found.size, found.version)

    port = JobInput(
        "in",
        (),
        folder=True,
        files=(
            remote("raw/a b.csv", "a b.csv"),
            remote("raw/deep/c.csv", "deep/c.csv"),
            remote("other/c.csv", "store/other/c.csv"),
            RemoteFile(str(tmp_path / "local.csv"), "local.csv"),
        ),
    )
    script = (
        "import os, sys\n"
        "for folder, _, names in os.walk(sys.argv[1]):\n"
        "    for name in names: print(open(os.path.join(folder, name)).read())\n"
    )

    report = lab.run(script, inputs=(port,), arguments=(InputRef("in"),))

    assert report.outcome == "finished", report
    assert sorted(lab.lines[1:-1]) == ["here", "other/c.csv", "raw/a b.csv", "raw/deep/c.csv"]


def test_taken_destination(lab: RemoteLab) -> None:
    """The same content again is the same place; other content gets a place beside it."""
    run_id = str(uuid.uuid4())

    def place(text: str) -> str:
        return finished(lab, write(lab, text, run_id=run_id)).uri.rpartition("/")[2]

    assert [place(each) for each in "1121323"] == [
        "out", "out", "out~2", "out", "out~3", "out~2", "out~3",
    ]  # fmt: skip


def test_racing_attempts_never_mix(lab: RemoteLab) -> None:
    """Attempts that commit to one place at once each get a whole place of their own."""
    run_id = str(uuid.uuid4())
    jobs = [lab.job(WRITE, run_id=run_id, arguments=(*OUT, Text(str(n)))) for n in range(4)]
    reports: list[StepReport] = []
    threads = [
        threading.Thread(target=lambda job=job: reports.append(lab.run(job))) for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    places = {report.outputs["out"].uri for report in reports if report.outcome == "finished"}
    assert len(places) == 4, reports
    for report in reports:
        found = finished(lab, report)
        assert found.digest == report.outputs["out"].manifest.digest


def test_what_is_left_in_outputs_is_kept(lab: RemoteLab) -> None:
    """Also when the script fails."""
    script = "import os, sys; os.makedirs('outputs/m'); open('outputs/m/x', 'w'); sys.exit(2)"
    job = lab.job(script)

    assert lab.run(job).outcome == "script_failed"

    assert lab.paths("record/") == [f"record/{job.attempt}/files/outputs/m/x"]
    assert lab.paths() == []


def test_a_view_is_filled_beside_the_commit(lab: RemoteLab) -> None:
    """Files are replaced by name and others kept; the lease is gone; overwrite=False refuses."""
    lab.store.write("views/latest/a", b"old")
    lab.store.write("views/latest/mine", b"mine")

    refused = write(lab, "22", view="views/latest", overwrite=False)
    report = write(lab, "22", view="views/latest")

    assert (refused.outcome, refused.fatal) == ("error", True)
    assert "views/latest/a" in refused.message
    found = {each.path: lab.store.read(each.path) for each in lab.store.find("views/")}
    assert finished(lab, report).uri.endswith("/out")
    assert found == {
        "views/latest/a": b"1",
        "views/latest/mine": b"mine",
        "views/latest/sub dir/ü": b"22",
    }


def test_a_view_of_two_steps_is_filled_by_one_at_a_time(lab: RemoteLab) -> None:
    """A lease that a dead process left is nobody's; one of a live process is waited for."""
    stale = {"attempt": "dead", "host": os.uname().nodename, "pid": 2**22 + 1, "time": 9e9}
    lab.store.write("views/.v.lease", json.dumps(stale).encode())

    jobs = [lab.job(WRITE, view="views/v", arguments=(*OUT, Text(text))) for text in ("11", "22")]
    reports: list[StepReport] = []
    threads = [
        threading.Thread(target=lambda job=job: reports.append(lab.run(job))) for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each.outcome for each in reports] == ["finished", "finished"], reports
    assert lab.paths("views/") == ["views/v/a", "views/v/sub dir/ü"]


def store_dies(lab: RemoteLab, monkeypatch, times: int) -> None:
    """Cuts the wire somewhere in a commit, so many times, and tries each step again."""
    monkeypatch.setattr(FsspecStore, "delays", (0.01,))
    chance = random.Random(7)
    for _ in range(times):
        run_id = str(uuid.uuid4())
        job = lab.job(MANY, run_id=run_id, arguments=OUT)
        # Listing the files of all runs before would take longer than the commit of this one.
        cutter = lab.when(chance.randint(1, 80), lab.wire.cut, f"data/{run_id}/")  # of 120
        report = lab.run_here(job)
        cutter.join()

        uri = job.outputs[0].destination
        assert (report.outcome, report.fatal) == ("error", False), report
        assert "'out'" in report.message
        assert lab.committed(uri) is None
        assert not [path for path in lab.paths(f"data/{run_id}/") if path.endswith("manifest.json")]

        lab.wire.mend()
        again = lab.run_here(lab.job(MANY, run_id=run_id, try_number=2, arguments=OUT))
        found = finished(lab, again)
        assert found.uri == uri
        assert len(found.files) == 120
        assert len(lab.paths(f"data/{run_id}/")) == 121


def test_a_store_that_dies_in_mid_commit(lab: RemoteLab, monkeypatch) -> None:
    """Nothing is readable as an output, and the next try completes at the same place."""
    store_dies(lab, monkeypatch, 2)


@pytest.mark.soak
def test_a_store_that_dies_twenty_times(lab: RemoteLab, monkeypatch) -> None:
    """The same, twenty times."""
    store_dies(lab, monkeypatch, 20)


@on_azure
def test_a_process_that_is_killed_in_mid_commit(lab: RemoteLab) -> None:
    """Its claim does not block the next try, and neither do its files get into the output."""
    run_id = str(uuid.uuid4())
    job = lab.job(MANY.replace("20_000", "200_000"), run_id=run_id, arguments=OUT)
    from airflow_aml.runtime.child import child_of, report_of

    child = child_of(job, stores=lab.stores)
    killer = lab.when(20, lambda: os.kill(child._process.pid, signal.SIGKILL))
    report = report_of(job, child.run(lab.lines.append))
    killer.join()
    assert (report.outcome, report.fatal) == ("error", False)
    assert lab.committed(job.outputs[0].destination) is None
    assert f"data/{run_id}/out.claim.json" in lab.paths()

    found = finished(lab, write(lab, "22", run_id=run_id, try_number=2))

    assert found.uri == job.outputs[0].destination
    assert len(lab.paths(f"data/{run_id}/")) == 3


@on_azure
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_four_gigabytes(lab: RemoteLab) -> None:
    """A file beyond what 32 bits count is uploaded, and read by the next step."""
    script = (
        "import sys\n"
        "with open(sys.argv[1] + '/big', 'wb') as f:\n"
        "    f.truncate(2**32 + 5); f.seek(2**32); f.write(b'end')\n"
    )
    first = finished(lab, lab.run(script, arguments=OUT))
    assert first.bytes == 2**32 + 5
    (lab.folder / "cache").rename(lab.folder / "old cache")
    script = (
        "import sys\nwith open(sys.argv[1] + '/big', 'rb') as f: f.seek(2**32); print(f.read())\n"
    )

    port = reading(first.uri, f"{first.uri}.manifest.json")
    lab.run(script, inputs=(port,), arguments=(InputRef("in"),))

    assert any(r"b'end\x00\x00'" in line for line in lab.lines), lab.lines

"""Hashing with helpers: the same digests, and errors rather than waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace import hashing
from airflow_aml.workspace.hashing import measure_all
from airflow_aml.workspace.measure import hasher_of, measure

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor needs no helpers"
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    root = tmp_path_factory.mktemp("many")
    paths = [root / f"é{number}" for number in range(hashing.MANY_FILES + 77)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number * (number % 50))
    return [os.fsencode(path) for path in paths]


def helpers() -> list[psutil.Process]:
    return [
        each for each in psutil.Process().children() if "measure.py" in " ".join(each.cmdline())
    ]


def test_helpers_give_the_same(many: list[bytes], tmp_path: Path) -> None:
    """Many files, and few large ones, have the digests and stats that one process gives."""
    groups = [many[:10], many[10:2000], [], many[2000:]]
    assert measure_all(iter(groups), "sha256") == measure(many, hasher_of("sha256"))
    large = [tmp_path / f"large{number}" for number in range(5)]
    for number, path in enumerate(large):
        path.write_bytes(os.urandom(1 << 20) * 30 + bytes(number))
    paths = [os.fsencode(path) for path in large]
    assert measure_all([paths], "sha256") == measure(paths, hasher_of("sha256"))
    assert helpers() == []


def test_few_files_need_no_helper(many: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the threshold no process is started."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert len(measure_all([many[:100]], "sha256").digests) == 3200
    with pytest.raises(FileNotFoundError):
        measure_all([many], "sha256")


@pytest.mark.parametrize("place", [0, -1])
def test_unreadable_file_is_named(many: list[bytes], place: int) -> None:
    """A file that cannot be read is an error that names it, and no helper stays."""
    broken = list(many)
    broken[place] = b"/nowhere/\xc3\xa9"
    with pytest.raises(FileNotFoundError) as caught:
        measure_all([broken], "sha256")
    assert caught.value.filename == b"/nowhere/\xc3\xa9"
    assert helpers() == []


def test_killed_helper_is_an_error(many: list[bytes]) -> None:
    """A helper that is killed in its work ends the whole with an error, and no wait."""

    def groups() -> object:
        yield many
        while not helpers():
            time.sleep(0.01)
        helpers()[0].kill()
        for _ in range(20):
            time.sleep(0.02)
            yield many

    with pytest.raises(WorkspaceException, match=r"helper process was killed by signal 9.*again"):
        measure_all(groups(), "sha256")  # type: ignore[arg-type]
    assert helpers() == []


def test_listing_that_breaks_off_ends_the_helpers(many: list[bytes]) -> None:
    """When what lists the files fails, its error comes through and no helper stays."""

    def groups() -> object:
        yield many
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_all(groups(), "sha256")  # type: ignore[arg-type]
    assert helpers() == []


def test_helpers_end_with_their_process(many: list[bytes]) -> None:
    """When the process that hashes is killed, its helpers go too."""
    program = (
        "import sys, time\n"
        "from airflow_aml.workspace.hashing import measure_all\n"
        "paths = [line.rstrip(b'\\n') for line in sys.stdin.buffer]\n"
        "def groups():\n"
        "    yield paths\n"
        "    print('started', flush=True)\n"
        "    time.sleep(100)\n"
        "measure_all(groups(), 'sha256')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n".join(many))
    process.stdin.close()
    assert process.stdout.readline() == b"started\n"
    started = psutil.Process(process.pid).children()
    assert started
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def test_daemonic_process_may_hash_in_parallel(many: list[bytes]) -> None:
    """A daemonic process, which may have no children by multiprocessing, hashes with helpers."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def work() -> None:
        theirs.send(measure_all([many], "sha256"))

    process = context.Process(target=work, daemon=True)
    process.start()
    assert mine.poll(60)
    assert mine.recv() == measure(many, hasher_of("sha256"))
    process.join()


def test_threads_may_hash_at_once(many: list[bytes]) -> None:
    """Two threads that hash at the same time do not get in each other's way."""
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(measure_all([many], "sha256")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [measure(many, hasher_of("sha256"))] * 2

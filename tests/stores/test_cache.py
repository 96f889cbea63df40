"""A worker's cache: fetched once, shared, bounded, and not to be corrupted."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Progress, StoredFile
from airflow_aml.workspace.stores.cache import Cache, StagedFile
from airflow_aml.workspace.stores.local import LocalStore

ROOT = Path(__file__).parents[2]


class CountingStore(LocalStore):
    """A local store that says, in a file that processes share, what was downloaded from it."""

    def __init__(self, root: str, log: str) -> None:
        super().__init__(root)
        self._log = log

    def download(
        self,
        pairs: Sequence[tuple[str, str]],
        progress: Progress | None = None,
        *,
        skip_same: bool = True,
    ) -> None:
        with open(self._log, "a") as log:
            log.writelines(f"{path}\n" for path, _ in pairs)
        super().download(pairs, progress, skip_same=skip_same)

    def downloaded(self) -> list[str]:
        if not os.path.exists(self._log):
            return []
        with open(self._log) as log:
            return log.read().split()


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(str(tmp_path / "store"), str(tmp_path / "log"))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"), 10_000)


def test_second_step_downloads_nothing(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """What one step fetched the next one finds in the cache, also under another name."""
    first = _put(store, "in/a/one.txt", b"1" * 100)
    second = _put(store, "in/two with space.txt", b"2" * 100)
    told: list[tuple[int, int]] = []
    cache.stage(store, [first, second], str(tmp_path / "x"), prefix="in/")
    assert (tmp_path / "x/a/one.txt").read_bytes() == b"1" * 100
    assert (tmp_path / "x/two with space.txt").read_bytes() == b"2" * 100
    renamed = ("other/name", first[1], first[2])
    cache.stage(store, [renamed], str(tmp_path / "y"), progress=lambda *news: told.append(news))
    assert (tmp_path / "y/other/name").read_bytes() == b"1" * 100
    assert told == [(1, 100)]
    assert sorted(store.downloaded()) == ["in/a/one.txt", "in/two"[:6], "space.txt", "with"]


def test_equal_files_are_fetched_once(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """Files of one content are one download and one entry, also within one step."""
    files = [_put(store, f"in/{name}", b"same") for name in ("a", "b", "c")]
    cache.stage(store, files, str(tmp_path / "x"))
    assert len(store.downloaded()) == 1
    assert cache.bytes() == 4
    assert all((tmp_path / "x/in" / name).read_bytes() == b"same" for name in ("a", "b", "c"))


def test_staged_files_are_read_only_and_not_links(
    store: CountingStore, cache: Cache, tmp_path: Path
) -> None:
    """A staged file cannot be opened for writing, and needs no path outside its folder."""
    cache.stage(store, [_put(store, "a", b"content")], str(tmp_path / "x"))
    assert os.stat(tmp_path / "x/a").st_mode & 0o777 == 0o444
    assert not (tmp_path / "x/a").is_symlink()


def test_script_that_writes_regardless(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """A script that changes what it was given, as root may, spoils nobody else's copy."""
    file = _put(store, "a", b"content")
    cache.stage(store, [file], str(tmp_path / "x"))
    os.chmod(tmp_path / "x/a", 0o644)
    (tmp_path / "x/a").write_bytes(b"CONTENT")
    cache.stage(store, [file], str(tmp_path / "y"))
    assert (tmp_path / "y/a").read_bytes() == b"content"
    assert len(store.downloaded()) == 2


def test_script_that_removes_its_inputs(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """Deleting or replacing a staged file leaves the cache as it was."""
    file = _put(store, "a", b"content")
    cache.stage(store, [file], str(tmp_path / "x"))
    (tmp_path / "x/a").unlink()
    (tmp_path / "x/a").write_bytes(b"mine")
    cache.stage(store, [file], str(tmp_path / "x"))
    assert (tmp_path / "x/a").read_bytes() == b"content"
    assert len(store.downloaded()) == 1


def test_longest_unused_goes_first(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """The cache stays within its bound by dropping what nobody used for longest."""
    files = {name: _put(store, name, name.encode() * 3000) for name in "abcd"}
    for name in "abc":
        cache.stage(store, [files[name]], str(tmp_path / name))
        time.sleep(0.02)
    cache.stage(store, [files["a"]], str(tmp_path / "again"))
    cache.stage(store, [files["d"]], str(tmp_path / "d"))
    assert cache.bytes() == 9000
    for name in "abcd":
        assert (tmp_path / name / name).read_bytes() == name.encode() * 3000
    cache.stage(store, [files["a"], files["c"], files["d"]], str(tmp_path / "kept"))
    assert store.downloaded() == ["a", "b", "c", "d"]
    cache.stage(store, [files["b"]], str(tmp_path / "gone"))
    assert store.downloaded() == ["a", "b", "c", "d", "b"]


def test_step_that_needs_more_than_the_cache_holds(
    store: CountingStore, cache: Cache, tmp_path: Path
) -> None:
    """A step gets all its inputs, however small the cache is; afterwards it is small again."""
    files = [_put(store, f"{number}", os.urandom(3000)) for number in range(10)]
    cache.stage(store, files, str(tmp_path / "x"))
    assert len(list((tmp_path / "x").iterdir())) == 10
    assert cache.bytes() <= 10_000
    nothing = Cache(str(tmp_path / "none"), 0)
    nothing.stage(store, files, str(tmp_path / "y"))
    assert len(list((tmp_path / "y").iterdir())) == 10
    assert nothing.bytes() == 0


def test_changed_file_is_refused(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """Content that is not what its digest says reaches neither the step nor the cache."""
    file = _put(store, "in/a", b"content")
    for other in (b"CONTENT", b"longer content"):
        store.write("in/a", other)
        with pytest.raises(WorkspaceException, match=r"in/a: the file is not what it was"):
            cache.stage(store, [file], str(tmp_path / "x"))
        assert not (tmp_path / "x/in/a").exists()
        assert cache.bytes() == 0
    store.write("in/a", b"content")
    cache.stage(store, [file], str(tmp_path / "x"))


def test_missing_file_is_named(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """A file that the store does not have fails the staging by its name."""
    there = _put(store, "there", b"1")
    with pytest.raises(FileNotFoundError, match="gone"):
        cache.stage(store, [there, ("gone", "sha256:00", 1)], str(tmp_path / "x"))


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", ""])
def test_files_appear_inside_the_folder_only(
    store: CountingStore, cache: Cache, tmp_path: Path, path: str
) -> None:
    """A manifest from elsewhere cannot make a file appear outside the step's folder."""
    with pytest.raises(WorkspaceException, match="not a path inside"):
        cache.stage(store, [(path, "sha256:00", 0)], str(tmp_path / "x"))


def test_etag_names_content_too(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """A file without a digest is cached by what the store says of it."""
    store.write("a", b"content")
    file = ("a", f"etag:{store.uri('a')}:0x8D", 7)
    cache.stage(store, [file], str(tmp_path / "x"))
    cache.stage(store, [file], str(tmp_path / "y"))
    assert (tmp_path / "y/a").read_bytes() == b"content"
    assert store.downloaded() == ["a"]


def test_two_processes_fetch_each_file_once(store: CountingStore, tmp_path: Path) -> None:
    """Steps that start together share their downloads, and all get every file whole."""
    files = [_put(store, f"{number}", os.urandom(50_000)) for number in range(300)]
    processes = [
        _stage_elsewhere(store, tmp_path, files, tmp_path / f"x{number}") for number in range(4)
    ]
    for process in processes:
        assert process.wait(60) == 0
    assert sorted(store.downloaded()) == sorted(path for path, _, _ in files)
    for number in range(4):
        for path, digest, _ in files:
            assert _digest((tmp_path / f"x{number}" / path).read_bytes()) == digest


def test_killed_in_the_middle(store: CountingStore, tmp_path: Path) -> None:
    """After kill -9 at any moment no entry is half there, and the next step completes."""
    files = [_put(store, f"{number}", os.urandom(50_000)) for number in range(300)]
    cache = Cache(str(tmp_path / "cache"), 10**9)
    for number, pause in enumerate((0.0, 0.005, 0.02, 0.05)):
        process = _stage_elsewhere(store, tmp_path, files, tmp_path / f"killed{number}")
        while not store.downloaded() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
    cache.stage(store, files, str(tmp_path / "x"))
    assert cache.bytes() == 300 * 50_000
    for path, digest, _ in files:
        assert _digest((tmp_path / "x" / path).read_bytes()) == digest


def test_eviction_beside_staging(store: CountingStore, tmp_path: Path) -> None:
    """Processes whose inputs do not fit together evict each other's files and still finish."""
    processes = []
    for number in range(4):
        files = [_put(store, f"{number}/{each}", os.urandom(20_000)) for each in range(60)]
        shared = [_put(store, f"shared/{each}", b"%d" % each * 5000) for each in range(20)]
        target = tmp_path / f"x{number}"
        processes.append(_stage_elsewhere(store, tmp_path, [*files, *shared], target, 500_000))
    for process in processes:
        assert process.wait(60) == 0
    for number in range(4):
        assert len([each for each in (tmp_path / f"x{number}").rglob("*") if each.is_file()]) == 80
    assert Cache(str(tmp_path / "cache"), 0).bytes() <= 500_000


def test_leftovers_are_removed(store: CountingStore, cache: Cache, tmp_path: Path) -> None:
    """What a killed process left of a download goes when another next downloads something."""
    parts = tmp_path / "cache/parts"
    (parts / "abc").mkdir(parents=True)
    (parts / "abc/.file.1-01234567.tmp").write_bytes(b"half")
    (parts / "abc.lock").write_bytes(b"")
    (parts / "def.lock").write_bytes(b"")
    cache.stage(store, [_put(store, "a", b"1")], str(tmp_path / "x"))
    assert list(parts.iterdir()) == []


def test_cache_that_cannot_be_written_is_named(store: CountingStore, tmp_path: Path) -> None:
    """A cache in an impossible place is told by its folder."""
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(str(tmp_path / "file/cache"), 1)
    with pytest.raises(WorkspaceException, match="the cache cannot be used"):
        cache.stage(store, [_put(store, "a", b"1")], str(tmp_path / "x"))


def test_other_disk_gets_copies(store: CountingStore, tmp_path: Path) -> None:
    """Where the cache lies on another file system, files are copied, read-only too."""
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = elsewhere / f"aml-test-{os.getpid()}"
    try:
        Cache(str(folder), 100).stage(store, [_put(store, "a", b"1")], str(tmp_path / "x"))
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert (tmp_path / "x/a").read_bytes() == b"1"
    assert os.stat(tmp_path / "x/a").st_mode & 0o777 == 0o444


def test_from_an_object_store(azurite, tmp_path: Path) -> None:
    """The digests that Azure lists serve as names of content, checked after the download."""
    store = open_store("abfs://tests/cached", azurite.options)
    for number in range(20):
        store.write(f"in/{number}", os.urandom(1000))
    found: list[StoredFile] = list(store.find("in/"))
    files = [(each.path, f"md5:{each.md5}", each.size) for each in found]
    cache = Cache(str(tmp_path / "cache"), 10**6)
    cache.stage(store, files, str(tmp_path / "x"), prefix="in/")
    for each in found:
        assert (tmp_path / "x" / each.path[3:]).read_bytes() == store.read(each.path)


def _put(store: LocalStore, path: str, content: bytes) -> StagedFile:
    store.write(path, content)
    return path, _digest(content), len(content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _stage_elsewhere(
    store: CountingStore,
    tmp_path: Path,
    files: Sequence[StagedFile],
    target: Path,
    max_bytes: int = 10**9,
) -> subprocess.Popen[bytes]:
    program = (
        "from airflow_aml.workspace.stores.cache import Cache\n"
        "from tests.stores.test_cache import CountingStore\n"
        f"store = CountingStore({store.local_root!r}, {str(tmp_path / 'log')!r})\n"
        f"cache = Cache({str(tmp_path / 'cache')!r}, {max_bytes})\n"
        f"cache.stage(store, {list(files)!r}, {str(target)!r})\n"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)

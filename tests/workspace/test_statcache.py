"""The worker's stat cache: whatever happens to it costs time only."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_aml.workspace import snapshots
from airflow_aml.workspace.caches import CACHE_VARIABLE
from airflow_aml.workspace.content import digest_file, digest_tree, manifest_of
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.manifests import Manifest, build
from airflow_aml.workspace.statcache import KEPT_DAYS, StatCache, worker_cache
from tests.workspace.settling import settle


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for number in range(20):
        (root / f"d{number % 3}").mkdir(parents=True, exist_ok=True)
        (root / f"d{number % 3}" / f"f{number}").write_bytes(b"%d" % number)
    settle(root)
    return root


def entries(cache: StatCache) -> list[Path]:
    return sorted(
        path
        for path in Path(str(cache.folder)).rglob("*")
        if path.is_file() and path.name != "swept"
    )


def learn(tree: Path, cache: StatCache) -> Manifest:
    digest_tree(tree, cache=cache)
    digest_file(tree / "d0" / "f0", cache)
    return build(tree)


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_ignored(tree: Path, cache: StatCache, seed: int) -> None:
    """A truncated, emptied, scrambled or foreign entry is read past, and mended."""
    plain = learn(tree, cache)
    single = digest_file(tree / "d0" / "f0", StatCache(None))
    chance = random.Random(seed)
    for path in entries(cache):
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data))
        kinds = (data[:at], b"", data[at:], bytes(len(data)), data + b"x", chance.randbytes(at))
        if seed < len(kinds):
            path.write_bytes(kinds[seed])
        else:
            data[at] ^= chance.randrange(1, 256)
            path.write_bytes(data)
    assert manifest_of(tree, cache) == plain
    assert digest_file(tree / "d0" / "f0", cache) == single
    (tree / "d0" / "new").write_bytes(b"new")
    assert manifest_of(tree, cache) == build(tree)


def test_entries_of_other_folders_and_kinds_do_not_mix(tree: Path, cache: StatCache) -> None:
    """An entry that is copied over that of another folder changes no answer."""
    other = tree.with_name("other")
    tree.joinpath("d1").rename(other)
    learn(tree, cache)
    (first,) = [path for path in entries(cache) if path.parent.parent.name == "trees"]
    data = first.read_bytes()
    digest_tree(other, cache=cache)
    for path in entries(cache):
        if path != first and path.parent.parent.name == "trees":
            path.write_bytes(data)
    assert manifest_of(other, cache) == build(other)


def test_folder_that_cannot_be_written(tree: Path, tmp_path: Path) -> None:
    """Where the cache cannot be, everything works without it."""
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", Path("/proc/nowhere"), Path("/dev/full/x")):
        cache = StatCache(str(place))
        assert learn(tree, cache).digest == digest_tree(tree, cache=cache).digest


def test_many_processes_at_once(tree: Path, cache: StatCache) -> None:
    """Processes that look at a changing folder at once all see it, and leave no litter."""
    program = (
        "import os, sys\n"
        "from airflow_aml.workspace.content import digest_tree\n"
        "from airflow_aml.workspace.manifests import build\n"
        "from airflow_aml.workspace.statcache import StatCache\n"
        "root, cache, number = sys.argv[1], StatCache(sys.argv[2]), sys.argv[3]\n"
        "mine = os.path.join(root, 'own' + number)\n"
        "os.mkdir(mine)\n"
        "for n in range(40):\n"
        "    open(os.path.join(mine, 'x'), 'w').write(str(n))\n"
        "    assert digest_tree(mine, cache=cache).digest == build(mine).digest\n"
        "    digest_tree(root, cache=cache)\n"
    )
    command = [sys.executable, "-c", program, str(tree), str(cache.folder)]
    started = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert manifest_of(tree, cache) == build(tree)
    assert not [path for path in entries(cache) if path.name.endswith(".tmp")]


def test_what_was_not_used_for_long_goes(tree: Path, cache: StatCache) -> None:
    """Once a day entries that were not used for thirty go, and those in use stay."""
    learn(tree, cache)
    old = time.time() - (KEPT_DAYS + 1) * 86400
    used, unused = entries(cache)
    litter = used.with_name(".x.1-00000000.tmp")
    litter.write_bytes(b"")
    for path in (used, unused, litter, Path(str(cache.folder), "swept")):
        os.utime(path, (old, old))
    if used.parent.parent.name == "trees":
        digest_tree(tree, cache=cache)
    else:
        digest_file(tree / "d0" / "f0", cache)
    digest_file(tree / "d0" / "f3", cache)
    assert used.exists()
    assert not unused.exists()
    assert not litter.exists()


def test_clock_that_jumps_back(tree: Path, cache: StatCache) -> None:
    """Files from the future are not trusted, and read each time."""
    future = time.time() + 3600
    os.utime(tree / "d0" / "f0", (future, future))
    for text in (b"1", b"2", b"3"):
        (tree / "d0" / "f0").write_bytes(text)
        os.utime(tree / "d0" / "f0", (future, future))
        assert manifest_of(tree, cache) == build(tree)


def test_environment_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's cache is below the folder of its caches."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "there"))
    assert worker_cache() == StatCache(str(tmp_path / "there" / "stat"))


def test_snapshot_of_unchanged_sources(
    tree: Path, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Known sources give the same snapshot, and digest_of the same rows, as unknown ones."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    first = snapshots.take(tree, home)
    settle(home.root)
    assert [snapshots.take(tree, home) for _ in range(3)] == [first] * 3
    digest, rows = snapshots.digest_of(tree, home)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other cache"))
    assert snapshots.digest_of(tree, home) == (digest, rows)
    assert (digest, len(rows)) == (first.digest, first.files)
    first.path.unlink()
    assert snapshots.take(tree, home) == first
    assert first.path.exists()


def test_known_snapshot_is_mended(
    tree: Path, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stored snapshot that was damaged after it was known is written anew."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    first = snapshots.take(tree, home)
    settle(home.root)
    snapshots.take(tree, home)
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[:-5])
    assert snapshots.take(tree, home) == first
    assert first.path.read_bytes() == whole


def test_digest_of_stores_nothing(tree: Path, home: Home) -> None:
    """Asking for the digest of sources leaves the workspace as it was."""
    before = sorted(home.root.rglob("*"))
    snapshots.digest_of(tree, home)
    assert sorted(home.root.rglob("*")) == before

"""Content digests: what is unchanged is not read, and what is new is read by several processes.

Each pair is measured interleaved: ours, and the least that somebody would have to do by hand. Wall
seconds in this process, after its imports. ``AIRFLOW_AML_BENCH_GIB`` sets how large the large file
is (4 for the figures that are published elsewhere).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

from airflow_aml.workspace import content, snapshots
from airflow_aml.workspace.home import open_home
from airflow_aml.workspace.measure import facts, packed
from airflow_aml.workspace.statcache import StatCache, settles_at
from benchmarks.report import Claim, Report

PAIRS = 5
FILES = 100_000
SOURCES = 2_000
SIZE_VARIABLE = "AIRFLOW_AML_BENCH_GIB"


@dataclass(frozen=True)
class Pair:
    """Seconds of our part and of the bare one, in turns."""

    name: str
    ours: list[float]
    bare: list[float]

    @property
    def ratio(self) -> float:
        """The median of the pairs' own ratios."""
        return median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))

    def row(self) -> tuple[str, str, str, str]:
        """What the page shows."""
        return self.name, shown(self.ours), shown(self.bare), f"**{self.ratio:.2f}**"


def run() -> Report:
    """Measures all of it, in a folder of the disk that temporary files are on."""
    gib = float(os.environ.get(SIZE_VARIABLE, "1"))
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as name:
        folder = Path(name)
        os.environ["AIRFLOW_AML_CACHE"] = str(folder / "cache")
        many, sources, large = folder / "many", folder / "sources", folder / "large"
        make_many(many)
        make_sources(sources)
        make_large(large, gib)
        os.sync()
        settle(many / "099", sources, large)
        first, warm, rows = first_look(many, folder), unchanged(many), manifest(many)
        source = source_folder(sources, folder)
        known, touched, again = large_file(large)
    return Report(
        ("content", "ours, s", "bare, s", "ratio"),
        [
            *(pair.row() for pair in (warm, rows, first)),
            (f"sources, {SOURCES:,} files, unchanged", shown(source), "", ""),
            (f"a file of {gib:g} GiB, unchanged", shown(known), "", ""),
            (f"a file of {gib:g} GiB, touched", shown([touched]), "", ""),
            (f"a file of {gib:g} GiB, once more", shown([again]), "", ""),
        ],
        [
            Claim("unchanged, to a walk with stat", 1.3, warm.ratio),
            Claim("list and manifest, unchanged, to a walk with stat", 2, rows.ratio),
            Claim("first look, to the bare hash in two processes", 1.3, first.ratio),
            Claim("an unchanged source folder", 15, median(source) * 1e3, " ms"),
            Claim("an unchanged large file", 1, median(known) * 1e3, " ms"),
            Claim("a touched large file, the second time", 1, again * 1e3, " ms"),
        ],
    )


def unchanged(folder: Path) -> Pair:
    """Deciding that nothing changed, and a walk that takes every file's stat."""
    content.digest_tree(folder)
    return pair(
        f"{FILES:,} files unchanged: digest; a walk with stat",
        lambda: content.digest_tree(folder),
        lambda: walk(folder),
    )


def manifest(folder: Path) -> Pair:
    """The manifest with all its rows, and the same walk."""
    return pair(
        f"{FILES:,} files unchanged: manifest; a walk with stat",
        lambda: content.manifest_of(folder),
        lambda: walk(folder),
    )


def first_look(folder: Path, scratch: Path) -> Pair:
    """The digest where nothing is known, and listing and hashing in two processes."""
    caches = (StatCache(str(scratch / f"cache {number}")) for number in range(PAIRS + 1))
    return pair(
        f"{FILES:,} files of 1 KB, first time: digest; the bare hash in two processes",
        lambda: content.digest_tree(folder, cache=next(caches)),
        lambda: hash_in_two(folder),
    )


def source_folder(folder: Path, scratch: Path) -> list[float]:
    """Seconds of taking the snapshot of sources that are stored."""
    home = open_home(str(scratch / "workspace"))
    settle(snapshots.take(folder, home).path)
    snapshots.take(folder, home)
    snapshots.take(folder, home)
    return [clocked(lambda: snapshots.take(folder, home)) for _ in range(4 * PAIRS)]


def large_file(path: Path) -> tuple[list[float], float, float]:
    """Seconds: unchanged; after a touch; and once more."""
    content.digest_tree(path)
    known = [clocked(lambda: content.digest_tree(path)) for _ in range(4 * PAIRS)]
    os.utime(path)
    touched = clocked(lambda: content.digest_tree(path))
    return known, touched, clocked(lambda: content.digest_tree(path))


def pair(name: str, ours: Callable[[], object], bare: Callable[[], object]) -> Pair:
    """Both in turns, after a warm-up."""
    turns = [(clocked(ours), clocked(bare)) for _ in range(PAIRS + 1)][1:]
    return Pair(name, [turn[0] for turn in turns], [turn[1] for turn in turns])


def clocked(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def walk(folder: Path) -> int:
    """A bare walk: os.scandir, and the stat of every file."""
    files, pending = 0, [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    entry.stat()
                    files += 1
    return files


def hash_in_two(folder: Path) -> None:
    """Lists the files and hashes them in two forked processes, into one reused buffer each."""
    files, pending = [], [os.fsencode(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    files.append(entry.path)
    children = []
    for half in (files[::2], files[1::2]):
        child = os.fork()
        if child == 0:
            hash_all(half)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


def hash_all(paths: list[bytes]) -> None:
    """SHA-256 of every file, as a program that does nothing else would do it."""
    buffer = memoryview(bytearray(1 << 20))
    for path in paths:
        hasher = sha256()
        with open(path, "rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                hasher.update(buffer[:count])
        hasher.digest()


def make_many(folder: Path) -> None:
    """100 folders of 1,000 files of 1 KB."""
    for number in range(FILES):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03}").mkdir(parents=True)
        path = folder / f"{number // 1000:03}" / f"file {number:06}.csv"
        path.write_bytes(b"%08d" % number * 128)


def make_sources(folder: Path) -> None:
    """A source folder with an ignore file of the usual kind."""
    for number in range(SOURCES):
        package = folder / f"package{number // 100}"
        package.mkdir(parents=True, exist_ok=True)
        (package / f"module{number}.py").write_text(f"print({number})\n" * 50)
    (folder / ".gitignore").write_text("*.log\n/build/\ndist/\n.venv/\n*.egg-info\n.cache\n")


def make_large(path: Path, gib: float) -> None:
    """A file of random bytes, written again and again."""
    block = os.urandom(1 << 24)
    with open(path, "wb") as stream:
        for _ in range(int(gib * 64)):
            stream.write(block)


def settle(*places: Path) -> None:
    """Waits until the files there are old enough to be known once they are read."""
    paths = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    files = [path for path in paths if path.is_file()]
    until = max(settles_at(packed(facts(path.stat()))) for path in files)
    time.sleep(max(0, until - time.time_ns()) / 1e9 + 0.01)


def shown(seconds: list[float]) -> str:
    """The median, in a unit that fits."""
    value = median(seconds)
    return f"{value:.3f}" if value >= 0.05 else f"{value:.5f}"


if __name__ == "__main__":
    print(run().markdown())
    sys.exit()

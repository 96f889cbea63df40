"""Uploading and downloading many small files: ours, a sequential loop, and fsspec's bulk transfer.

Azurite and moto serve on this machine, so that client, server and wire share its cores and nobody
waits for a network. To see what a loop loses by waiting, requests also pass a wire of 30 ms there
and back; object stores themselves take longer than that for an answer.

Each round measures one after the other; the ratio that counts is the median of the rounds'.
``python -m benchmarks.transfers --quick`` uses fewer files and rounds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import fsspec

from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Store
from benchmarks.report import Claim, Report
from scripts import test_servers
from scripts.test_servers import Server, make_container

SIZE = 100_000
ROUND_TRIP = 0.030
BATCHES = (32, 64, 128)
SEQUENTIAL_SHARE = 5
"""The loop does one file in so many; its time is taken times as many."""


@dataclass(frozen=True)
class Figures:
    """Seconds per thousand files of one kind of transfer, in each round.

    Attributes:
        client, server: processor seconds of both sides per thousand files of ours.
    """

    where: str
    what: str
    ours: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    @property
    def against_loop(self) -> float:
        """How many times as long the loop takes."""
        return median(loop / ours for ours, loop in zip(self.ours, self.loop, strict=True))

    @property
    def attainable(self) -> float:
        """How many times as long the loop takes as the server computes: its limit for any client.

        Both servers work on requests in one thread.
        """
        return median(loop / server for loop, server in zip(self.loop, self.server, strict=True))

    @property
    def against_bulk(self) -> float:
        """Our time as a multiple of fsspec's."""
        return median(ours / bulk for ours, bulk in zip(self.ours, self.bulk, strict=True))


def run(files: int = 1000, rounds: int = 5) -> Report:
    """Measures both stores, near and far."""
    figures: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as folder:
        sources = [str(Path(folder, f"source-{number}")) for number in range(files)]
        for source in sources:
            Path(source).write_bytes(os.urandom(SIZE))
        for name, serve in (("Azurite", test_servers.azurite), ("S3 (moto)", test_servers.s3)):
            for far in (False, True):
                with serve() as server, _bench(server, sources, folder, far) as bench:
                    where = f"{name}, {ROUND_TRIP * 1000:.0f} ms away" if far else name
                    figures += [bench.measure(where, what, rounds) for what in ("up", "down")]
    return _report(figures, files)


class Bench:
    """One store, filled with the files, and the three ways to it."""

    def __init__(
        self,
        server: Server,
        store: Store,
        system: Any,
        root: str,
        sources: list[str],
        folder: str,
    ):
        self.server = server
        self.store = store
        self.system = system
        self.root = root
        self.sources = sources
        self.folder = folder
        self.batch: dict[str, int] = {}
        self.store.upload([(source, f"in/{i}") for i, source in enumerate(sources)])

    def measure(self, where: str, what: str, rounds: int) -> Figures:
        """Interleaved rounds; fsspec's batch size is the one that was fastest beforehand."""
        tries = {batch: self._bulk(what, f"try-{batch}", batch) for batch in BATCHES}
        best = min(tries, key=lambda batch: tries[batch])
        found = Figures(where, what)
        for number in range(rounds):
            served, spent = self.server.cpu_seconds(), time.process_time()
            found.ours.append(self._ours(what, f"ours-{number}"))
            files = len(self.sources) / 1000
            found.client.append((time.process_time() - spent) / files)
            found.server.append((self.server.cpu_seconds() - served) / files)
            found.loop.append(self._loop(what, f"loop-{number}"))
            found.bulk.append(self._bulk(what, f"bulk-{number}", best))
            print(f"{where} {what} {number + 1}/{rounds}", file=sys.stderr)
        return found

    def _ours(self, what: str, name: str) -> float:
        if what == "up":
            pairs = [(source, f"{name}/{i}") for i, source in enumerate(self.sources)]
            return self._per_thousand(lambda: self.store.upload(pairs), len(pairs))
        pairs = [(f"in/{i}", target) for i, target in enumerate(self._targets(name))]
        return self._per_thousand(lambda: self.store.download(pairs), len(pairs))

    def _bulk(self, what: str, name: str, batch: int) -> float:
        count = len(self.sources)
        if what == "up":
            remote = [f"{self.root}/{name}/{i}" for i in range(count)]
            return self._per_thousand(
                lambda: self.system.put(self.sources, remote, batch_size=batch), count
            )
        remote = [f"{self.root}/in/{i}" for i in range(count)]
        targets = self._targets(name)
        return self._per_thousand(lambda: self.system.get(remote, targets, batch_size=batch), count)

    def _loop(self, what: str, name: str) -> float:
        count = max(1, len(self.sources) // SEQUENTIAL_SHARE)

        def up() -> None:
            for number, source in enumerate(self.sources[:count]):
                self.system.put_file(source, f"{self.root}/{name}/{number}")

        def down() -> None:
            for number, target in enumerate(self._targets(name)[:count]):
                self.system.get_file(f"{self.root}/in/{number}", target)

        return self._per_thousand(up if what == "up" else down, count)

    def _targets(self, name: str) -> list[str]:
        folder = Path(self.folder, "targets", name)
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        return [str(folder / str(number)) for number in range(len(self.sources))]

    def _per_thousand(self, act: Callable[[], object], count: int) -> float:
        start = time.perf_counter()
        act()
        return (time.perf_counter() - start) / count * 1000


@contextmanager
def _bench(server: Server, sources: list[str], folder: str, far: bool) -> Iterator[Bench]:
    with ExitStack() as stack:
        url = make_container(server, "bench")
        options = server.options
        if far:
            options = server.options_at(stack.enter_context(_wire(server.port)))
        scheme = url.partition(":")[0]
        # fsspec's bulk transfer gets as many connections as ours has.
        pool = {"config_kwargs": {"max_pool_connections": 64}} if scheme == "s3" else {}
        system = fsspec.filesystem(scheme, use_listings_cache=False, **options, **pool)
        yield Bench(server, open_store(url, options), system, "bench", sources, folder)


@contextmanager
def _wire(port: int) -> Iterator[int]:
    command = [sys.executable, "-m", "scripts.wire", str(port), str(ROUND_TRIP / 2)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _report(figures: list[Figures], files: int) -> Report:
    rows = [
        (
            each.where,
            each.what,
            f"{median(each.ours):.1f} s",
            f"{median(each.loop):.1f} s",
            f"{median(each.bulk):.1f} s",
            f"{each.against_loop:.1f}",
            f"{each.against_bulk:.2f}",
            f"{median(each.client):.1f} s, {median(each.server):.1f} s",
            f"{each.attainable:.1f}",
        )
        for each in figures
    ]
    claims = []
    for each in figures:
        title = f"{files:,} files of 100 KB {each.what}, {each.where}"
        claims.append(Claim(f"{title}: ours / fsspec's bulk", 1.3, each.against_bulk))
        claims.append(Claim(f"{title}: ours / sequential loop", 0.2, 1 / each.against_loop))
    header = (
        "store",
        "way",
        "ours",
        "loop",
        "bulk",
        "loop / ours",
        "ours / bulk",
        "CPU of client, server",
        "loop / server's CPU",
    )
    return Report(header, rows, claims)


def main() -> None:
    """Prints the report."""
    quick = "--quick" in sys.argv[1:]
    print((run(100, 3) if quick else run()).markdown())


if __name__ == "__main__":
    main()

"""Looking at a watched folder of 100,000 files, against listing it; and at one that has changed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from airflow_aml.workspace.datastores import open_datastore
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.watching import FolderWatch
from benchmarks.report import Claim, Report

FILES = 100_000
FOLDERS = 100
ROUNDS = 5
NEW = 1000


def run() -> Report:
    """Measures a folder of this machine."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as place:
        home = open_home(str(Path(place, "aml")))
        folder = home.root / "datastores" / "workspaceblobstore" / "landing"
        for number in range(FILES):
            path = folder / str(number % FOLDERS) / f"{number:06}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return measured(home, folder)


def measured(home: Home, folder: Path) -> Report:
    """The table; each round lists, and then looks."""
    watch = FolderWatch(home, "", "landing", 0.0, 300.0, print)
    begun = seconds(lambda: watch.look(0.0))
    listings, looks = [], []
    for number in range(ROUNDS):
        store = open_datastore(home, "")
        listings.append(seconds(lambda store=store: list(store.find("landing/"))))
        looks.append(seconds(lambda number=number: watch.look(1.0 + number)))
    for number in range(NEW):
        (folder / f"new-{number}.csv").write_bytes(b"x")
    changed = seconds(lambda: watch.look(100.0))
    assert watch.journal.known()[0] == 1
    listing, look = median(listings), median(looks)
    return Report(
        ("what is done", "median, s"),
        [
            (f"listing {FILES:,} files", f"{listing:.2f}"),
            ("the first look, which writes the baseline", f"{begun:.2f}"),
            ("a look at which nothing has changed", f"{look:.2f}"),
            (f"a look that finds {NEW:,} new files, and writes them down", f"{changed:.2f}"),
        ],
        [Claim("a look, against the listing", 2, look / listing, " x")],
    )


def seconds(act: Callable[[], object]) -> float:
    """How long that takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started

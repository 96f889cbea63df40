"""Two thousand files, while the triggerer is killed five times: none is missed or doubled."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from scripts.local_airflow import LocalAirflow
from tests.e2e.test_watched_airflow import PATH, declare, journal_of, runs, watching

DAG = "soak_landing"
FILES = 2000
MINUTES = 10.0
KILLS = 5


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_file_is_in_one_run(airflow: LocalAirflow) -> None:
    """Every file is covered by some run, and none by two."""
    declare(airflow, "soak", {PATH.format("watched"): PATH.format("soak")})
    drop = watching(airflow, "soak")
    journal = journal_of(airflow, "soak")
    start, _ = journal.known()
    chance = random.Random(FILES)
    ended = threading.Event()

    def kill() -> None:
        for _ in range(KILLS):
            if ended.wait(chance.uniform(0.5, 1.5) * MINUTES * 60 / (KILLS + 1)):
                return
            airflow.restart("triggerer", timeout=300)

    killer = threading.Thread(target=kill)
    killer.start()
    names = [f"{number % 7}/{number:04}.csv" for number in range(FILES)]
    rest = list(names)
    until = time.monotonic() + MINUTES * 60
    while rest:
        size = min(len(rest), chance.choice([1, 3, 20, 60, 150]))
        for name in rest[:size]:
            drop(name, name)
        rest = rest[size:]
        bursts_left = max(1.0, len(rest) / 47)
        time.sleep(max(0.0, (until - time.monotonic()) / bursts_left) if rest else 0.0)
    killer.join()
    ended.set()

    def all_told() -> bool:
        return sum(len(each.found) for each in journal.after(start)) >= FILES

    airflow.rest.wait_until("every file to be told", all_told, timeout=300)
    entries = list(journal.after(start))
    (watch,) = Path(airflow.home.workspace, "watches").glob("default-soak-*")
    found = Counter(path for each in entries for path in each.found)

    def taken() -> bool:
        (claims,) = watch.glob("claims/*")
        return all((claims / f"{each.number}.json").exists() for each in entries)

    airflow.rest.wait_until("every entry to be taken", taken, timeout=300)
    ended_runs = runs(airflow, DAG, 1)
    states = Counter(str(each["state"]) for each in ended_runs)
    told = {
        each["dag_run_id"]: airflow.rest.xcoms(DAG, each["dag_run_id"], "reuse")["return_value"]
        for each in ended_runs
    }
    sizes = [head["changed"]["files"] for head in told.values()]
    takers = {json.loads(each.read_text())["run"] for each in watch.glob("claims/*/*.json")}

    print(
        f"\n{FILES} files, {len(entries)} changes, {KILLS} kills; runs of {DAG}: {dict(states)},"
        f" {sizes.count(0)} of them with nothing left"
    )
    assert found == Counter(f"soak/{name}" for name in names)
    assert sum(sizes) == FILES
    assert takers == {run_id for run_id, head in told.items() if head["changed"]["files"]}
    assert set(states) == {"success"}

"""Workspaces that answer slowly: a walk asks what it can at once, and decides the same."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from airflow_aml.reuse.fingerprint import complete
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.lookup import decide
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord, now
from airflow_aml.workspace import layout, manifests
from airflow_aml.workspace.digests import digest_bytes
from airflow_aml.workspace.home import Home, open_home
from tests.reuse.conftest import World

DELAY = 0.03
STEPS = 20


class Far:
    """A store at the other end of a slow line; it counts its requests."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.requests = 0
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("read", "children", "find", "exists"):
            return found

        def ask(*arguments: Any) -> Any:
            with self._lock:
                self.requests += 1
            time.sleep(DELAY)
            return found(*arguments)

        return ask


@pytest.fixture
def far() -> tuple[World, Home, Far]:
    """A chain of twenty steps that ran once, in a workspace that is far away."""
    home = open_home(f"memory://{uuid.uuid4().hex}/aml")
    world = World(home)
    for number in range(STEPS):
        world.step(f"s{number}", reads=(f"s{number - 1}",) if number else ())
    known: dict[str, dict[str, str]] = {}
    for step in world.steps:
        record = executed(home, step.id, complete(step.key, known))
        known[step.id] = record.digests
    store = Far(home.store)
    return world, replace(home, _remote=store), store  # type: ignore[arg-type]


def executed(home: Home, task: str, fingerprint: Any) -> StepRecord:
    run_id = layout.pipeline_run_id(home.uuid, "dag", "run-1")
    step_run = layout.step_run_id(run_id, task)
    home.store.write(f"data/{step_run}/out/part.txt", task.encode())
    entry = manifests.FileEntry("part.txt", len(task), digest_bytes(task.encode()))
    uri = home.uri(f"data/{step_run}/out")
    output = OutputRecord(
        uri, manifests.of_files((entry,)).digest, 1, len(task), stamp(uri, Places(home))
    )
    record = StepRecord(
        fingerprint=fingerprint.digest,
        key=fingerprint.record,
        outputs={"out": output},
        pipeline_run_id=run_id,
        step_run_id=step_run,
        dag_id="dag",
        task_id=task,
        run_id="run-1",
        step=task,
        seconds=1.0,
        created=now(),
    )
    Index(home).add(record)
    return record


def test_a_chain_far_away_is_decided_in_a_few_round_trips(far: tuple[World, Home, Far]) -> None:
    """Twenty steps in a row take as long as a handful of questions, not as sixty."""
    world, home, store = far
    started = time.monotonic()
    decisions = decide(home, "dag", world.steps)
    seconds = time.monotonic() - started
    assert {each.decision for each in decisions.values()} == {"reuse"}
    assert store.requests <= 4 * STEPS + 2
    assert seconds < store.requests * DELAY / 3, f"{seconds:.2f} s for {store.requests} requests"
    print(f"{STEPS} steps: {store.requests} requests of {DELAY * 1000:.0f} ms in {seconds:.2f} s")


def test_a_wrong_guess_changes_no_decision(far: tuple[World, Home, Far]) -> None:
    """What is deleted, changed or damaged is seen as it is by who asks step by step."""
    world, home, _ = far
    gone, hurt = world.steps[12], world.steps[5]
    records = {each.id: Index(home).latest("dag", each.id) for each in (gone, hurt)}
    deleted, damaged = records[gone.id], records[hurt.id]
    assert deleted is not None
    assert damaged is not None
    home.store.delete([f"data/{deleted.step_run_id}/out/part.txt"])
    found = decide(home, "dag", world.steps)
    assert found["s12"].reason == "output 'out' of the earlier result was deleted"
    assert found["s13"].reason == "depends on 's12'"
    path = layout_of(damaged)
    home.store.write(path, b"{")
    found = decide(home, "dag", world.steps)
    assert found["s5"].decision == "run"
    assert path in found["s5"].warnings[0]
    assert decide(home, "another", world.steps)["s0"].decision == "reuse"


def layout_of(record: StepRecord) -> str:
    from airflow_aml.reuse import layout as places

    return places.record(record.fingerprint, record.created, record.step_run_id)

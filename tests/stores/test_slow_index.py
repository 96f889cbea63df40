"""Looking for earlier results in a store that is slow, or that goes away in the middle."""

from __future__ import annotations

import time
from dataclasses import replace

from airflow_aml.definition.spec import NodeSpec, OutputSpec
from airflow_aml.reuse.fingerprint import complete, key_template
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.lookup import decide
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord
from airflow_aml.reuse.walk import Decision, WalkStep
from airflow_aml.workspace.home import Home, open_home
from scripts.wire import Wire
from tests.reuse.conftest import FACTS, record_of
from tests.stores.places import Place, remote_only

SECONDS = 0.3
NODES = [NodeSpec(name, name, "x.py", outputs=(OutputSpec("model"),)) for name in ("one", "two")]
STEPS = [WalkStep(each.id, each.name, key_template(each, FACTS)) for each in NODES]


def fill(home: Home) -> None:
    """A result for each step."""
    for step in STEPS:
        home.store.write(f"data/{step.id}/model", b"12345")
        uri = home.uri(f"data/{step.id}/model")
        output = OutputRecord(uri, "sha256:1", 1, 5, stamp(uri, Places(home)))
        record = record_of(home, complete(step.key, {}), {}, task_id=step.id)
        Index(home).add(replace(record, outputs={"model": output}))


def asked(home: Home) -> tuple[dict[str, Decision], float]:
    """What is decided, and how long that took."""
    started = time.monotonic()
    return decide(home, "dag", STEPS), time.monotonic() - started


@remote_only
def test_a_slow_store_only_takes_its_time(place: Place) -> None:
    """Where each answer takes long the same is decided, later."""
    assert place.server is not None
    fill(open_home(place.url, options=place.server.options))
    with Wire(place.server.port, SECONDS) as wire:
        home = open_home(place.url, options=place.server.options_at(wire.port))
        found, seconds = asked(home)
    assert [each.decision for each in found.values()] == ["reuse", "reuse"]
    assert seconds > 4 * SECONDS


@remote_only
def test_a_store_that_goes_away_is_a_reason_to_run(place: Place) -> None:
    """Each step runs with a warning that tells why nothing was found; later all is found again."""
    assert place.server is not None
    with Wire(place.server.port) as wire:
        home = open_home(place.url, options=place.server.options_at(wire.port))
        fill(home)
        home.store.delays = (0.01,)  # type: ignore[attr-defined]
        wire.cut()
        found, _ = asked(home)
        assert [each.decision for each in found.values()] == ["run", "run"]
        for each in found.values():
            said = " ".join([each.reason, *each.warnings])
            assert "does not answer" in said
        wire.mend()
        assert [each.decision for each in asked(home)[0].values()] == ["reuse", "reuse"]

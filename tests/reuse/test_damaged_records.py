"""A record that was damaged: who looks hears of it until gc has removed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_aml.reuse import gc, layout
from airflow_aml.reuse.roots import Keep
from tests.reuse.conftest import World


def test_gc_removes_what_no_release_can_read(world: World) -> None:
    """After a day it goes, whatever is kept otherwise; its step is told of it no more."""
    world.step("prepare")
    record = world.run()["prepare"]
    path = layout.record(record.fingerprint, record.created, record.step_run_id)
    world.home.store.write(path, b"{ half of a rec")
    later = path.replace(record.step_run_id, "of-a-later-release")
    world.home.store.write(later, b'{"version": 99}')
    warned = world.ask()["prepare"].warnings
    assert any(path in each and "'airflow-aml gc' removes it" in each for each in warned)

    def collect(days: float) -> list[str]:
        keep = Keep(30 * 86400.0, at=datetime.now(UTC) + timedelta(days=days))
        freed = gc.collect(world.home, gc.plan(world.home, keep), pause=0)
        return [each.path for each in freed.items if each.kind == "record"]

    assert collect(days=0) == []
    assert collect(days=2) == [path]
    again = world.ask()["prepare"].warnings
    assert [later in each and "gc" not in each for each in again] == [True]

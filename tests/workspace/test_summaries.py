"""Listing runs by what was kept of those that have ended, whatever happens to them afterwards."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.workspace import layout, summaries
from airflow_aml.workspace import listing as listings
from airflow_aml.workspace.endings import mark_failed, unmark_failed, write_report
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.listing import listing
from airflow_aml.workspace.plans import PlannedStep, RunPlan, write_plan, write_reused
from airflow_aml.workspace.runs import read_head, write_head
from airflow_aml.workspace.submitted import Submitted, write_submitted

STEPS = ("prepare", "train", "score")


@pytest.fixture(params=["local", "memory"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "local":
        return open_home(str(tmp_path / "workspace"))
    return open_home(f"memory://{uuid.uuid4().hex}/aml")


def begin(home: Home, number: int = 1, experiment: str = "spring") -> str:
    """A run whose first step is reused."""
    plan = RunPlan(
        dag_id="dag",
        run_id=f"manual__{number}",
        experiment=experiment,
        workspace="default",
        steps={name: PlannedStep(snapshot="sha256:0", name=name) for name in STEPS},
    )
    run = layout.pipeline_run_id(home.uuid, plan.dag_id, plan.run_id)
    time.sleep(0.002)  # so that it is younger than those before
    write_plan(home, run, plan)
    write_head(home, run, plan)
    values = {"status": "Reused", "saved_seconds": 7.0}
    write_reused(home, run, "reuse", {"prepare": {"return_value": values}})
    return run


def end(home: Home, run: str, name: str, seconds: float = 1.0) -> None:
    """A step of it has finished."""
    values = {"return_value": {"status": "Finished", "seconds": seconds}}
    write_report(home, run, layout.step_run_id(run, name), name, values)


def test_runs_are_listed_as_they_were_submitted(home: Home) -> None:
    """Whichever of them comes to its plan first."""
    for number, second in ((1, 10), (2, 20)):
        run_id = f"manual__{number}"
        created = f"2026-01-01T00:00:{second}.000+00:00"
        submitted = Submitted("dag", run_id, "spring", created=created)
        write_submitted(home, layout.pipeline_run_id(home.uuid, "dag", run_id), submitted)

    later, earlier = begin(home, 2), begin(home, 1)

    assert [each.id for each in listing(home)] == [later, earlier]
    head = read_head(home, earlier)
    assert head is not None
    assert head.begun > head.created


def finish(home: Home, number: int = 1, experiment: str = "spring") -> str:
    run = begin(home, number, experiment)
    end(home, run, "train")
    end(home, run, "score")
    return run


def kept(home: Home, run: str) -> bool:
    return home.store.exists(layout.summary(run))


def looked_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that a listing has to look at step by step, as they come."""
    looks: list[str] = []
    really = listings.summarise

    def summarise(home: Home, head: Any, keep: bool) -> Any:
        looks.append(head.id)
        return really(home, head, keep)

    monkeypatch.setattr(listings, "summarise", summarise)
    return looks


def test_what_has_ended_is_looked_at_once(home, monkeypatch):
    """A run in progress is looked at every time; one that has ended, once for all listings."""
    done, going = finish(home, 1), begin(home, 2)
    end(home, going, "train")
    first = listing(home)
    assert [(each.id, each.status) for each in first] == [(going, "Unfinished"), (done, "Finished")]
    assert (first[1].steps, first[1].ran, first[1].reused) == (3, 2, 1)
    assert (first[1].seconds, first[1].saved_seconds) == (2.0, 7.0)
    assert kept(home, done)
    assert not kept(home, going)
    looks = looked_at(home, monkeypatch)
    assert listing(home) == first
    assert looks == [going]


def test_the_last_step_of_a_run_spares_the_listing_its_look(tmp_path, monkeypatch):
    """On this machine's disk; steps may end in any order."""
    home = open_home(str(tmp_path / "workspace"))
    run = begin(home)
    end(home, run, "score")
    assert not kept(home, run)
    end(home, run, "train")
    assert kept(home, run)
    looks = looked_at(home, monkeypatch)
    assert [each.status for each in listing(home)] == ["Finished"]
    assert looks == []


def test_a_cleared_step_that_ends_again_shows_as_it_ended_last(home):
    """Finished, failed, tried again: each listing tells the latest."""
    run = finish(home)
    assert listing(home)[0].seconds == 2.0
    end(home, run, "train", seconds=5.0)
    assert listing(home)[0].seconds == 6.0
    failing = begin(home, 2)
    end(home, failing, "train")
    mark_failed(home, failing, "score", "out of memory", 2.5)
    assert listing(home)[0].status == "Failed"
    assert kept(home, failing)
    unmark_failed(home, failing, "score")
    assert listing(home)[0].status == "Unfinished"
    end(home, failing, "score")
    assert listing(home)[0].status == "Finished"


def test_a_run_planned_again_shows_what_is_reused_now(home):
    """All of a run is cleared: its first task finds other results."""
    run = finish(home)
    assert listing(home)[0].saved_seconds == 7.0
    values = {"status": "Reused", "saved_seconds": 9.0}
    write_reused(home, run, "reuse", {"prepare": {"return_value": values}})
    assert listing(home)[0].saved_seconds == 9.0


def test_a_step_that_ends_while_its_run_is_being_listed(home, monkeypatch):
    """What the listing has seen is then old, and is not kept."""
    run = finish(home)
    home.store.delete([layout.summary(run)])
    really = listings.write_summary

    def late(home: Home, summary: Any) -> None:
        monkeypatch.setattr(listings, "write_summary", really)
        end(home, run, "train", seconds=5.0)
        really(home, summary)

    monkeypatch.setattr(listings, "write_summary", late)
    assert listing(home)[0].seconds == 2.0
    assert listing(home)[0].seconds == 6.0


def test_a_run_that_is_removed_while_it_is_listed_stays_away(home, monkeypatch):
    """No summary is left of it."""
    run = finish(home)
    home.store.delete([layout.summary(run)])
    really = listings.write_summary

    def removed(home: Home, summary: Any) -> None:
        home.store.delete([each.path for each in home.store.find(f"{layout.run(run)}/")])
        really(home, summary)

    monkeypatch.setattr(listings, "write_summary", removed)
    assert [each.id for each in listing(home)] == [run]
    assert not home.store.exists(f"{layout.run(run)}/")
    assert listing(home) == []


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"id": "x"}', b'{"version": 99}', b"\xff"])
def test_a_damaged_summary_costs_a_longer_look(home, text):
    """It says nothing, and is replaced."""
    run = finish(home)
    there = listing(home)
    home.store.write(layout.summary(run), text)
    assert listing(home) == there
    assert summaries.read_summary(home, run) == there[0]


def test_a_summary_in_the_wrong_folder_is_none(home):
    """Somebody copied a run's folder."""
    run, other = finish(home, 1), finish(home, 2)
    listing(home)
    home.store.write(layout.summary(other), home.store.read(layout.summary(run)))
    assert sorted(each.run_id for each in listing(home)) == ["manual__1", "manual__2"]


def test_two_listings_at_once_and_a_step_that_ends_again(home):
    """Whoever comes last, the next listing tells how the step has ended last."""
    run = finish(home)
    for seconds in range(2, 12):
        home.store.delete([layout.summary(run)])
        at_once = [threading.Thread(target=listing, args=(home,)) for _ in range(3)]
        at_once.append(threading.Thread(target=end, args=(home, run, "train", float(seconds))))
        for each in at_once:
            each.start()
        for each in at_once:
            each.join()
        assert listing(home)[0].seconds == seconds + 1.0


def test_the_newest_alone(home, monkeypatch):
    """Of one experiment; the others are not looked at."""
    finished = [finish(home, number, f"e{number % 2}") for number in range(6)]
    for run in finished:
        home.store.delete([layout.summary(run)])
    looks = looked_at(home, monkeypatch)
    newest = listing(home, "e1", last=2)
    assert [each.run_id for each in newest] == ["manual__5", "manual__3"]
    assert sorted(looks) == sorted([finished[5], finished[3]])


def test_where_no_summary_can_be_kept_runs_are_listed_nevertheless(tmp_path):
    """A folder of that name is in the way; it could as well be a disk that may only be read."""
    home = open_home(str(tmp_path / "workspace"))
    run = finish(home)
    home.path(layout.summary(run)).unlink()
    home.path(layout.summary(run)).mkdir()
    for _ in range(2):
        assert [(each.id, each.status) for each in listing(home)] == [(run, "Finished")]

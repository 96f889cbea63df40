from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.reuse import gc, layout, lease
from airflow_aml.reuse.gc import collect, plan
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord
from airflow_aml.reuse.roots import Keep
from airflow_aml.reuse.verify import Verifier
from airflow_aml.workspace import datasets
from airflow_aml.workspace import layout as places
from airflow_aml.workspace.datastores import DatastoreRecord, save_datastore
from airflow_aml.workspace.endings import write_report
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.plans import PlannedStep, RunPlan
from airflow_aml.workspace.registry import Registry
from airflow_aml.workspace.runs import RunHead, read_head, write_head
from airflow_aml.workspace.snapshots import take
from airflow_aml.workspace.snapshotstore import TAKEN
from tests.reuse.conftest import a_key

DAY = 86400.0
NOW = datetime.now(UTC)
_NOBODY = 65534


@dataclass
class Past:
    """A workspace with a history: ``run`` adds a run of some age with one step and its result."""

    home: Home
    count: int = 0
    paused: list[float] = field(default_factory=list)

    def run(
        self, days: float, dag: str = "dag", text: str = "12345", good: bool = True, **record: Any
    ) -> StepRecord:
        self.count += 1
        created = NOW - timedelta(days=days)
        run = f"run-{self.count}"
        run_id = places.pipeline_run_id(self.home.uuid, dag, run)
        step = places.step_run_id(run_id, "train")
        snapshot = f"sha256:{self.count:064x}"
        key = a_key(snapshot=snapshot, environment=f"sha256:{self.count + 1000:064x}")
        self.write(places.snapshot(snapshot), "zip", days)
        self.write(layout.environment(key.record["environment"]), "{}", days)
        self.write(places.data(step, "model/weights.bin"), text, days)
        self.write(places.manifest(step, "model"), "{}", days)
        head = RunHead(run_id, dag, run, dag, created.isoformat(), {"train": "train"})
        self.write(f"runs/{run_id}/run.json", json.dumps(vars(head)), days)
        uri = self.home.uri(places.data(step, "model"))
        if good:
            values = {"model": {"uri": uri}, "return_value": {"status": "Finished"}}
            write_report(self.home, run_id, step, "train", values)
        output = OutputRecord(uri, "sha256:1", 1, len(text), stamp(uri, Places(self.home)))
        values = {
            "fingerprint": key.digest,
            "key": key.record,
            "outputs": {"model": output},
            "pipeline_run_id": run_id,
            "step_run_id": step,
            "dag_id": dag,
            "task_id": "train",
            "run_id": run,
            "step": "train",
            "seconds": 1.0,
            "created": created.isoformat(timespec="microseconds"),
        }
        result = StepRecord(**{**values, **record})
        Index(self.home).add(result)
        return result

    def write(self, path: str, text: str, days: float = 0) -> None:
        self.home.store.write(path, text.encode())
        if self.home.is_local:
            at = (NOW - timedelta(days=days)).timestamp()
            place = self.home.path(path)
            os.utime(place, (at, at))
            while place.parent.name not in ("data", "runs", "staging", "workspace"):
                place = place.parent
            os.utime(place, (at, at))

    def collect(self, days: float = 30, keep_last: int = 1, **more: Any) -> gc.Freed:
        return collect(self.home, self.plan(days, keep_last, **more), 3.0, sleep=self.paused.append)

    def plan(self, days: float = 30, keep_last: int = 1, **more: Any) -> gc.Garbage:
        return plan(self.home, Keep(days * DAY, keep_last, at=NOW, **more))

    def has(self, record: StepRecord) -> bool:
        """Whether its result can still be used; that record and data agree is asserted."""
        found = record in list(Index(self.home).find(record.fingerprint))
        assert (Verifier(self.home).wrong_with(record) is None) == found
        return found

    def has_run(self, record: StepRecord) -> bool:
        return self.home.store.exists(f"runs/{record.pipeline_run_id}/")


@pytest.fixture(params=["local", "memory"])
def past(request: pytest.FixtureRequest, tmp_path: Path) -> Past:
    if request.param == "local":
        return Past(open_home(str(tmp_path / "workspace")))
    return Past(open_home(f"memory://{uuid.uuid4().hex}/aml"))


@pytest.fixture
def local(tmp_path: Path) -> Past:
    return Past(open_home(str(tmp_path / "workspace")))


def test_old_runs_go_with_their_results_and_data(past: Past) -> None:
    """What is old and not the newest goes: run, record and data; the rest stays and is usable."""
    old, middle, new = past.run(90), past.run(60), past.run(1)
    freed = past.collect()
    assert [past.has(each) for each in (old, middle, new)] == [False, False, True]
    assert [past.has_run(each) for each in (old, middle, new)] == [False, False, True]
    assert freed.bytes > 10
    assert freed.failed == freed.spared == ()
    assert past.paused == [3.0]
    assert past.home.store.exists("workspace.json")


def test_a_look_changes_nothing(past: Past) -> None:
    """A dry run tells the same bytes and removes none."""
    old = past.run(90)
    past.run(1)
    before = [(each.path, each.version) for each in past.home.store.find("")]
    garbage = past.plan()
    assert [(each.path, each.version) for each in past.home.store.find("")] == before
    assert garbage.bytes == sum(each.bytes for each in garbage.items) > 0
    assert past.has(old)


def test_the_newest_result_and_run_stay_however_old(past: Past) -> None:
    """A pipeline that runs twice a year finds last time's results."""
    only = past.run(400)
    assert past.collect().items == ()
    assert past.has(only)
    assert past.has_run(only)


def test_keep_last_keeps_so_many(past: Past) -> None:
    """--keep-last counts runs of each DAG and results of each step."""
    runs = [past.run(100 - number) for number in range(5)]
    past.collect(keep_last=3)
    assert [past.has(each) for each in runs] == [False, False, True, True, True]
    assert [past.has_run(each) for each in runs] == [False, False, True, True, True]


def test_the_last_good_run_stays_below_failed_ones(past: Past) -> None:
    """Of a pipeline that has been failing for months the last good results are still there."""
    good = past.run(100)
    for days in (90, 80):
        past.run(days, good=False)
    past.collect()
    assert past.has(good)
    assert past.has_run(good)


def test_a_run_that_has_not_finished_stays_for_a_week(past: Past) -> None:
    """What a run is still writing, and what it will read, is not taken from it."""
    past.run(9)
    running, lost = past.run(5, good=False), past.run(8, good=False)
    last = past.run(1)
    past.collect(days=2)
    assert [past.has_run(each) for each in (running, lost, last)] == [True, False, True]
    assert [past.has(each) for each in (running, lost, last)] == [True, False, True]


def test_a_run_that_airflow_knows_to_be_running_stays(past: Past) -> None:
    """A run that was cleared after months is as alive as a new one."""
    cleared = past.run(90)
    past.run(1)
    past.collect(alive={cleared.pipeline_run_id})
    assert past.has_run(cleared)
    assert past.has(cleared)


def test_what_a_kept_run_has_reused_stays(past: Past) -> None:
    """The data of an old run that a new one stands on is the new one's too; so are its metrics."""
    old, new = past.run(90), past.run(1)
    third = past.run(80)
    reused = {"steps": {"prepare": {"out": {"uri": old.outputs["model"].uri}}}}
    past.write(f"runs/{new.pipeline_run_id}/reused/reuse.json", json.dumps(reused))
    past.collect()
    assert [past.has(each) for each in (old, new, third)] == [True, True, False]
    assert [past.has_run(each) for each in (old, new, third)] == [True, True, False]


def test_registered_datasets_keep_their_data(past: Past) -> None:
    """Every version of a registered dataset can be read for as long as it is registered."""
    old, new = past.run(90), past.run(1)
    path = places.data(old.step_run_id, "model")
    definition = {"kind": "files", "paths": [{"kind": "workspace_path", "path": path}]}
    datasets.register(past.home, "model", datasets.DatasetVersion("id-1", definition))
    past.collect()
    assert past.has(old)
    assert past.has(new)
    datasets.remove_all(past.home, "model")
    past.collect()
    assert not past.has(old)


def test_what_any_registered_thing_names_stays(past: Past) -> None:
    """A published pipeline keeps its snapshots, and a model the run folder that it lies in."""
    old, new = past.run(90), past.run(1)
    registry = Registry(past.home.store)
    registry.create("published", "p", {"nodes": [{"snapshot": old.snapshot}]})
    registry.create("model", "m", {"path": f"runs/{old.pipeline_run_id}/steps/x/outputs/m.pkl"})
    past.collect()
    assert past.home.store.exists(places.snapshot(old.snapshot))
    assert past.has_run(old)
    assert past.has(new)


def test_no_pair_of_runs_takes_anothers_snapshot(past: Past) -> None:
    """Snapshots and environments go with the last result that was made from them."""
    old, new = past.run(90), past.run(1)
    past.collect()
    if not past.home.is_local:  # where no times are told they go a day after they were noticed
        noticed = past.plan()
        assert places.snapshot(old.snapshot) in noticed.waiting
        later = Keep(30 * DAY, at=NOW + timedelta(days=2))
        collect(past.home, plan(past.home, later), sleep=past.paused.append)
    assert not past.home.store.exists(places.snapshot(old.snapshot))
    assert not past.home.store.exists(layout.environment(old.environment))
    assert past.home.store.exists(places.snapshot(new.snapshot))
    assert past.home.store.exists(layout.environment(new.environment))


def test_what_nobody_mentions_goes_after_a_day(local: Past) -> None:
    """Staging of lost workers and data without a record are removed, what is fresh is not."""
    for days, number in ((3, 1), (0.1, 2)):
        run = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
        local.write(f"staging/{run}-1-0a1b2c3d/model/part", "half", days)
        local.write(f"data/{run}/model/weights.bin", "whole", days)
        local.write(f"snapshots/ab/sha256-{number:064x}.zip", "zip", days)
        local.write(layout.input_files(f"sha256:{number:064x}"), "{}", days)
    local.collect()
    store = local.home.store
    for folder in ("staging/", "data/", "snapshots/ab/", layout.INPUTS):
        assert len(store.children(folder)) == 1, folder


def test_the_staging_of_a_step_that_computes_for_days_stays(local: Past) -> None:
    """A run that goes on keeps what its step has begun."""
    running = local.run(3, good=False)
    local.write(f"staging/{running.step_run_id}-1-0a1b2c3d/model/part", "half", 3)
    local.collect()
    assert local.home.store.exists("staging/")


def test_runs_of_hand_written_dags_go_when_they_are_old(local: Past) -> None:
    """Runs that nobody planned keep their data until their documents are old themselves."""
    old, new = (str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in ("old", "new"))
    for run, days in ((old, 90), (new, 3)):
        step = places.step_run_id(run, "train")
        local.write(f"data/{step}/model", "weights", days)
        local.write(f"runs/{run}/steps/{step}/report.json", "{}", days)
    local.collect()
    assert local.home.store.children("runs/") == [f"{new}/"]
    local.collect()
    assert local.home.store.children("data/") == [f"{places.step_run_id(new, 'train')}/"]


def test_closed_folders_of_outputs_and_empty_outputs_go_too(local: Past) -> None:
    """Committed outputs are read-only, folders and all; some have no file in them."""
    old = local.run(90)
    local.run(1)
    place = local.home.path(places.data(old.step_run_id, "model"))
    (place.parent / "empty").mkdir()
    for folder in (place.parent / "empty", place, place.parent):
        os.utime(folder, (0, 0))
        folder.chmod(0o555)
    local.collect()
    assert not place.parent.exists()


@pytest.fixture
def nobody() -> Iterator[Past]:
    """A workspace of a user whom rights bind, as which the test runs."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, -1)
            os.seteuid(_NOBODY)
        try:
            yield Past(open_home(f"{folder}/workspace"))
        finally:
            os.seteuid(os.getuid())


def test_a_record_that_cannot_be_removed_keeps_its_data(nobody: Past) -> None:
    """No record ever points to removed data: where the one has to stay, so has the other."""
    stuck, old, new = nobody.run(90), nobody.run(80), nobody.run(1)
    folder = nobody.home.path(layout.records(stuck.fingerprint).rstrip("/"))
    folder.chmod(0o555)
    freed = nobody.collect()
    folder.chmod(0o755)
    assert len(freed.failed) == 1
    assert "could not be removed" in freed.failed[0]
    assert [nobody.has(each) for each in (stuck, old, new)] == [True, False, True]


def test_what_a_run_begins_to_need_between_the_phases_is_spared(past: Past) -> None:
    """A run that looked a result up just before its record went still finds the data."""
    old, new = past.run(90), past.run(1)
    garbage = past.plan()

    def meanwhile(seconds: float) -> None:
        reused = {"steps": {"train": {"out": {"uri": old.outputs["model"].uri}}}}
        past.write(f"runs/{new.pipeline_run_id}/reused/reuse.json", json.dumps(reused))

    freed = collect(past.home, garbage, sleep=meanwhile)
    assert "data" in {each.kind for each in freed.spared}
    assert Verifier(past.home).wrong_with(old) is None


def test_a_forgotten_snapshot_that_a_new_run_takes_is_spared(past: Past, tmp_path: Path) -> None:
    """Sources that go back to what they were long ago: gc has just found their snapshot unused when
    a run takes it, which no document tells yet."""
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "train.py").write_text("as it was last year")
    place = places.snapshot(take(folder, past.home).digest)
    forgotten = time.time() - 3 * DAY
    if past.home.is_local:
        os.utime(past.home.path(place), (forgotten, forgotten))
    else:
        note = json.loads(past.home.store.read(place + TAKEN))
        past.home.store.write(place + TAKEN, json.dumps({**note, "taken": forgotten}).encode())
        noticed = Keep(30 * DAY, at=NOW - timedelta(days=2))
        collect(past.home, plan(past.home, noticed), sleep=past.paused.append)
    garbage = plan(past.home, Keep(30 * DAY))
    assert place in [each.path for each in garbage.items]

    take(folder, past.home)
    freed = collect(past.home, garbage, sleep=past.paused.append)

    assert place in [each.path for each in freed.spared]
    assert past.home.store.exists(place)
    assert place not in [each.path for each in plan(past.home, Keep(30 * DAY)).items]
    later = Keep(30 * DAY, at=datetime.now(UTC) + timedelta(days=3))
    for _ in range(2):  # where no times are told, once more to notice it
        collect(past.home, plan(past.home, later), sleep=past.paused.append)
        later = Keep(30 * DAY, at=later.at + timedelta(days=3))
    assert not past.home.store.exists(place)
    assert not past.home.store.exists(place + TAKEN)


def test_a_run_that_is_planned_again_is_as_alive_as_a_new_one(past: Past) -> None:
    """Clearing an old run in Airflow lets it run again, whatever age its first plan has."""
    old, new = past.run(90), past.run(1)
    garbage = past.plan()
    again = RunPlan("dag", "run-1", "dag", "aml", steps={"train": PlannedStep("sha256:1")})
    write_head(past.home, old.pipeline_run_id, again)
    freed = collect(past.home, garbage, sleep=past.paused.append)
    assert {each.kind for each in freed.spared} >= {"run", "data"}
    assert past.has_run(old)
    assert Verifier(past.home).wrong_with(old) is None
    assert past.has(new)
    assert (
        read_head(past.home, old.pipeline_run_id).created == (NOW - timedelta(days=90)).isoformat()
    )


def test_a_run_with_a_failed_step_may_still_be_running(past: Past) -> None:
    """Beside a step that has failed others go on, and their data is not taken from them."""
    past.run(9)
    running, last = past.run(3, good=False), past.run(1)
    head = RunHead(
        running.pipeline_run_id, "dag", running.run_id, "dag", running.created,
        {"train": "train", "other": "other"},
    )  # fmt: skip
    past.write(f"runs/{running.pipeline_run_id}/run.json", json.dumps(vars(head)), 3)
    past.write(f"{places.failed(running.pipeline_run_id)}other", "it failed", 3)
    past.collect(days=2)
    assert past.has_run(running)
    assert past.has(last)


def test_the_copy_of_a_newer_record_is_not_removed(past: Past) -> None:
    """A step that finishes while gc is at it keeps its latest record where it is looked for."""
    past.run(90)
    garbage = past.plan(keep_last=0)
    new = past.run(0, text="other")
    collect(past.home, garbage, sleep=past.paused.append)
    assert Index(past.home).latest("dag", "train") == new
    assert past.has(new)


def test_a_record_of_a_later_release_stays_with_all_that_it_names(past: Past) -> None:
    """What this release cannot read, another one still uses."""
    strange = past.run(90, version=2)
    past.run(1)
    garbage = past.plan()
    assert any("later release" in each for each in garbage.warnings)
    past.collect()
    assert Verifier(past.home).wrong_with(strange) is None


def test_the_copy_of_a_steps_latest_record_goes_with_it(past: Past) -> None:
    """With --keep-last 0 nothing that is old stays, and no reason is told from what went."""
    past.run(90, good=False)
    past.collect(keep_last=0)
    assert Index(past.home).latest("dag", "train") is None
    assert not past.home.store.exists("data/")
    assert not past.home.store.exists("runs/")


def test_leases_that_are_over_go(past: Past) -> None:
    """Who was at work once is of no interest; who is at work now is."""
    at = NOW.timestamp()
    for number, seconds in ((1, -2 * DAY), (2, 60)):
        lease.take(past.home, f"sha256:{number:064x}", lease.Owner("d", "r", "t"), at=at + seconds)
    past.collect()
    assert len(past.home.store.children(layout.LEASES)) == 1


def test_results_in_a_datastore_with_keep_days_go_when_it_says(past: Past) -> None:
    """Intermediate data that its owner removes after a week is not offered after a week."""
    record = DatastoreRecord("short", "S3", "s3://bucket/short", keep_days=7)
    save_datastore(past.home, record, {})
    output = OutputRecord("s3://bucket/short/x", "sha256:1", 1, 1, "sha256:s")
    old = past.run(8, outputs={"model": output})
    new = past.run(6, dag="other", outputs={"model": output})
    past.run(1)
    (item,) = [each for each in past.plan(days=2, keep_last=5).items if each.kind == "record"]
    assert old.step_run_id in item.path
    assert new.step_run_id not in item.path


def test_nothing_outside_the_workspaces_own_folders_is_ever_named(past: Past) -> None:
    """Datastores, the registry and a user's own files in the workspace are not garbage."""
    past.run(90)
    past.run(1)
    for path in ("datastores/workspaceblobstore/old.csv", "notes/mine.txt", "reuse/v1/mine.txt"):
        past.write(path, "x", 400)
    own = ("data/", "runs/", "snapshots/", "staging/", "reuse/v1/", "environments/")
    garbage = past.plan(days=0, keep_last=0)
    assert garbage.items
    for item in garbage.items:
        assert item.path.startswith(own)
        assert all(path.startswith(own) for path in item.files)
    past.collect(days=0, keep_last=0)
    assert past.home.store.exists("datastores/workspaceblobstore/old.csv")
    assert past.home.store.exists("notes/mine.txt")
    assert past.home.store.exists("reuse/v1/mine.txt")


def test_twice_in_a_row_finds_nothing_the_second_time(past: Past) -> None:
    """What was collected is gone, and nothing else has become garbage by it at once."""
    past.run(90)
    past.run(1)
    past.collect()
    assert past.collect().items == ()

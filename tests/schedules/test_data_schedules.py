"""Schedules that run when data changes: what files may say, and what Airflow makes of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization
from structlog.testing import capture_logs

from airflow_aml import Schedule, Workspace
from airflow_aml.airflow import datachange, scheduling
from airflow_aml.airflow.datachange import Change
from airflow_aml.airflow.listener import on_dag_run_running
from airflow_aml.airflow.triggers import DatastoreTrigger
from airflow_aml.cli import main
from airflow_aml.definition.schedule_spec import DataChange, ScheduleSpec
from airflow_aml.definition.spec import ParameterSpec
from airflow_aml.workspace.datastores import DatastoreRecord, save_datastore
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.watches import Entry, Journal, watch_id

FILE = """\
    # Airflow lists this file's pipeline as a DAG.
    from airflow_aml import *

    path = PipelineParameter("path", "none yet")
    count = PipelineParameter("count", 1)
    step = PythonScriptStep(
        "sum.py", name="sum", source_directory="steps", arguments=["--path", path, "--n", count]
    )
    workspace = Workspace()
    pipeline = Pipeline(workspace, [step])
    store = Datastore(workspace, "lake")
    more = dict(pipeline_id=pipeline, experiment_name="sales", datastore=store)
"""


@pytest.fixture
def declare(write, parse):
    """What Airflow makes of a file that goes on with these lines."""

    def parsed(*lines):
        write("steps/sum.py", "import sys; print(sys.argv[1:])")
        write("sales.py", FILE + "".join(f"    {line}\n" for line in lines))
        return parse()

    return parsed


def watched(dag: Any) -> Any:
    """The one Asset that starts the DAG, as Airflow stores it."""
    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    ((_, asset),) = list(stored.timetable.asset_condition.iter_assets())
    return asset


def test_a_declared_schedule_is_an_asset_that_is_watched(declare, parse) -> None:
    """Schedule.create(datastore=) gives the DAG an Asset whose watcher looks at the folder."""
    line = (
        'schedule = Schedule.create(workspace, "landed", path_on_datastore="in/new data",'
        ' polling_interval=1, data_path_parameter_name="path", **more)'
    )
    parsed = declare(line)
    (dag,) = parsed.dags.values()
    (again,) = parse().dags.values()
    asset = watched(dag)
    (watcher,) = asset.watchers

    assert parsed.errors == {}
    assert asset.uri == "aml://default/datastores/lake/in/new%20data?every=60.0&quiet=2.0"
    assert watcher.trigger["classpath"] == "airflow_aml.airflow.triggers.DatastoreTrigger"
    assert watcher.trigger["kwargs"] == {
        "workspace": "default",
        "datastore": "lake",
        "path": "in/new data",
        "interval": 60.0,
        "quiet": 2.0,
    }
    assert DagSerialization.to_dict(again) == DagSerialization.to_dict(dag)


def test_schedules_that_look_alike_look_once(declare) -> None:
    """Several pipelines on one folder have the same Asset and trigger; other intervals others."""
    parsed = declare(
        'Schedule.create(workspace, "one", path_on_datastore="in", **more)',
        'Schedule.create(workspace, "two", path_on_datastore="/in/", per_file=True, **more)',
        'Schedule.create(workspace, "three", path_on_datastore="in", polling_interval=1, **more)',
    )
    assets = {name: watched(dag) for name, dag in parsed.dags.items()}

    assert assets["sales.one"].uri == assets["sales.two"].uri
    assert assets["sales.one"].watchers == assets["sales.two"].watchers
    assert assets["sales.one"].uri != assets["sales.three"].uri


def test_the_default_datastore_and_all_of_it(declare) -> None:
    """Without a path all of a datastore is watched; the workspace's default one has no name."""
    parsed = declare(
        'more["datastore"] = workspace.get_default_datastore()',
        'schedule = Schedule.create(workspace, "landed", **more)',
        "assert schedule.datastore_name == '' and schedule.path_on_datastore is None",
        "assert schedule.polling_interval == 5 and schedule.recurrence is None",
        "assert schedule.data_path_parameter_name is None",
    )

    assert parsed.errors == {}
    assert watched(next(iter(parsed.dags.values()))).uri == "aml://default/datastores/default"


def test_a_data_schedule_that_is_changed_below(declare) -> None:
    """update changes what is watched, and disable takes it away; its kind stays."""
    parsed = declare(
        'schedule = Schedule.create(workspace, "landed", path_on_datastore="in", **more)',
        'schedule.update(polling_interval=10, path_on_datastore="other",'
        ' data_path_parameter_name="path")',
        "assert schedule.path_on_datastore == 'other' and schedule.datastore_name == 'lake'",
    )
    off = declare('Schedule.create(workspace, "landed", **more).disable()')
    (wrong,) = declare(
        'Schedule.create(workspace, "n", **more).update(recurrence=ScheduleRecurrence("Day", 1))'
    ).errors.values()

    assert "every=600.0" in watched(next(iter(parsed.dags.values()))).uri
    assert next(iter(off.dags.values())).timetable.can_be_scheduled is False
    assert "Can not specify a Recurrence for a Datastore schedule" in wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("polling_interval=0", "polling_interval is a number of minutes from 0.017 to"),
        ("polling_interval=-1", "not -1"),
        ("polling_interval='5'", "not '5'"),
        ("polling_interval=True", "not True"),
        ("polling_interval=float('nan')", "not nan"),
        ("polling_interval=1e9", "not 1000000000.0"),
        ("quiet_seconds=-1", "quiet_seconds is a number of seconds from 0 to 86400, not -1"),
        ("per_file='yes'", "per_file is True or False, not 'yes'"),
        ("path_on_datastore='../up'", "climbs out of its datastore"),
        ("path_on_datastore=5", "must be a string, not 5"),
        ("path_on_datastore='a\\ud800'", "schedule 'n'"),
        ("data_path_parameter_name='p'", "Pipeline parameter with name p does not exist"),
        ("data_path_parameter_name='count'", "count is of type integer and takes no path"),
        ("recurrence=ScheduleRecurrence('Day', 1)", "both a Recurrence and a Datastore"),
    ],
)
def test_what_a_data_schedule_cannot_say(declare, arguments, message) -> None:
    """What is wrong is the file's import error, in one sentence."""
    (error,) = declare(f'Schedule.create(workspace, "n", **more, {arguments})').errors.values()

    assert message in error


@pytest.mark.parametrize("store", ["5", "'no store!'", "['lake']"])
def test_what_is_no_datastore(declare, store) -> None:
    """A datastore is an object or the name of one."""
    (error,) = declare(
        f'more["datastore"] = {store}', 'Schedule.create(workspace, "n", **more)'
    ).errors.values()

    assert "datastore= is a Datastore" in error or "cannot be a datastore's name" in error


def test_the_terminal_tells_of_it(write, capsys) -> None:
    """`schedule show` says what is watched; there are no times to come."""
    write("steps/sum.py", "print('sum')")
    path = write("sales.py", FILE + '    Schedule.create(workspace, "landed", **more)\n')

    assert main(["schedule", "show", str(path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["schedules"]
    assert row["recurrence"] == "When files change in datastore 'lake', looked at every 5 minutes"
    assert row["next"] == []


@pytest.mark.parametrize("also", [False, True])
def test_a_new_version_of_a_dataset_starts_a_run(declare, also) -> None:
    """to_dag takes the datasets whose new versions start runs, and times beside them."""
    times = ', recurrence=ScheduleRecurrence("Day", 1, time_of_day="06:30")' if also else ""
    parsed = declare(f'dag = pipeline.to_dag(schedule=OnNewVersion("sales", "shops"{times}))')
    stored = DagSerialization.from_dict(DagSerialization.to_dict(parsed.dags["sales"]))
    uris = [asset.uri for _, asset in stored.timetable.asset_condition.iter_assets()]

    assert parsed.errors == {}
    assert uris == ["aml://default/datasets/sales", "aml://default/datasets/shops"]
    if also:
        assert stored.timetable.timetable.description == "Every day at 06:30 (UTC)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("OnNewVersion()", "a dataset's name is required"),
        ("OnNewVersion(5)", "a dataset's name is a text, not 5"),
        ("OnNewVersion('')", "a dataset's name is a text, not ''"),
        ("OnNewVersion('sales', recurrence='daily')", "is a ScheduleRecurrence, not 'daily'"),
        (
            "OnNewVersion('sales', recurrence=ScheduleRecurrence('Day', 0))",
            "Interval must be an integer greater than 0",
        ),
    ],
)
def test_what_is_no_dataset(declare, call, message) -> None:
    """Names that are none, and recurrences that are none, are the file's error."""
    (error,) = declare(f"dag = pipeline.to_dag(schedule={call})").errors.values()

    assert message in error


# -- the trigger ----------------------------------------------------------------------------------


class Kept:
    """What Airflow's asset state store keeps, in a dict."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = value


def trigger(kept: Kept, datastore: str = "") -> DatastoreTrigger:
    """The trigger of a folder of a datastore, as a triggerer makes it."""
    made = DatastoreTrigger("default", datastore, "in", 0.05, 0.0)
    made.asset_state_store = kept
    return made


async def told(made: DatastoreTrigger, until: Callable[[list[Any]], bool]) -> list[Any]:
    """What it tells until that is so; a slow machine has half a minute."""
    events: list[Any] = []

    async def listen() -> None:
        async with aclosing(made.run()) as stream:
            async for event in stream:
                events.append(event.payload)  # noqa: PERF401 - what came before the end counts

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(30):
        while not until(events):
            await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.wait([listening])
    return events


def begun(kept: Kept) -> Callable[[list[Any]], bool]:
    """Until the watch has begun."""
    return lambda _: "told" in kept.values


def after(seconds: float) -> Callable[[list[Any]], bool]:
    """Until so much time has passed."""
    end = time.monotonic() + seconds
    return lambda _: time.monotonic() >= end


def drop(home: Home, name: str) -> None:
    place = home.root / "datastores" / "workspaceblobstore" / "in" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x")


def test_what_was_not_told_for_certain_is_told_again(workspace: Home) -> None:
    """A triggerer that is killed between seeing and telling costs nothing: the next one tells."""
    kept = Kept()

    async def story() -> list[list[Any]]:
        first = await told(trigger(kept), begun(kept))
        drop(workspace, "a")
        return [first, await told(trigger(kept), bool), await told(trigger(kept), bool)]

    first, killed, again = asyncio.run(story())

    assert first == []
    assert [(each["after"], each["entry"], each["paths"]) for each in killed] == [(0, 1, ["in/a"])]
    assert again == killed
    assert kept.values["told"]["entry"] == 0


def test_what_was_told_for_certain_is_not_told_again(workspace: Home, monkeypatch) -> None:
    """After some seconds an event is in Airflow's database; who begins later knows it."""
    monkeypatch.setattr("airflow_aml.airflow.triggers.CERTAIN_SECONDS", 0.3)
    kept = Kept()

    async def story() -> list[list[Any]]:
        await told(trigger(kept), begun(kept))
        drop(workspace, "a")
        first = await told(trigger(kept), lambda _: kept.values["told"]["entry"] == 1)
        return [first, await told(trigger(kept), after(0.5))]

    first, second = asyncio.run(story())

    assert (len(first), second) == (1, [])
    assert len(json.dumps(kept.values)) < 200  # Airflow keeps 65,535 bytes


def test_a_store_that_is_away_is_one_warning(
    workspace: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a store cannot be used there is one line, and afterwards nothing was missed."""
    monkeypatch.setattr("airflow_aml.airflow.triggers._RETRY_SECONDS", 0.05)
    kept, share = Kept(), tmp_path / "share"
    (share / "in").mkdir(parents=True)
    save_datastore(workspace, DatastoreRecord("share", "Local", share.as_uri()), {})

    async def story() -> list[Any]:
        await told(trigger(kept, "share"), begun(kept))
        (share / "in" / "a").write_text("x")
        share.rename(tmp_path / "away")
        going_on = asyncio.create_task(told(trigger(kept, "share"), bool))
        await asyncio.sleep(0.8)
        (tmp_path / "away").rename(share)
        return await going_on

    with capture_logs() as lines:
        events = asyncio.run(story())

    assert [each["paths"] for each in events] == [["in/a"]]
    assert sum("cannot be looked at" in line["event"] for line in lines) == 1
    assert sum("can be looked at again" in line["event"] for line in lines) == 1


def test_a_workspace_that_was_made_anew_is_told_from_its_beginning(workspace: Home) -> None:
    """What Airflow knows of a journal that is gone does not count for the new one."""
    kept = Kept()
    kept.values["told"] = {"baseline": "sha256:other", "entry": 57}

    async def story() -> list[Any]:
        await told(trigger(kept), lambda _: kept.values["told"]["entry"] == 0)
        drop(workspace, "a")
        return await told(trigger(kept), bool)

    assert [each["entry"] for each in asyncio.run(story())] == [1]


# -- a run ----------------------------------------------------------------------------------------

PATH = ParameterSpec("path", "string", "none")
DATA = ParameterSpec("data", "datapath", "lake/x")


def test_the_path_of_a_change() -> None:
    """One file is its path; several are the folder that has all of them."""
    one = Change("lake", {"in/a.csv": "1"})
    several = Change("lake", {"in/x/a.csv": "1", "in/x/y/b.csv": "1", "in/x/c.csv": "1"})
    apart = Change("lake", {"in/a.csv": "1", "b.csv": "1"})

    assert [each.path for each in (one, several, apart)] == ["in/a.csv", "in/x", ""]
    assert datachange.changed_value(PATH, one) == "in/a.csv"
    assert datachange.changed_value(DATA, one) == "lake/in/a.csv"
    assert one.digest != Change("lake", {"in/a.csv": "2"}).digest


def test_a_changed_file_under_its_old_name_is_no_old_result() -> None:
    """What is looked up for a text has the file's version; data is looked at anyway."""
    watched_ = DataChange("lake", parameter="path")
    first, second = (Change("lake", {"in/a.csv": version}) for version in "12")

    marks = [datachange.marked(watched_, [PATH], each)["path"] for each in (first, second, first)]
    assert marks[0] == marks[2] != marks[1]
    assert marks[0].startswith("in/a.csv (")
    assert datachange.marked(DataChange("lake", parameter="data"), [DATA], first) == {}


def context(run_id: str, *payloads: dict[str, Any], conf: Any = None, kind: str = "asset") -> Any:
    """What Airflow gives a run's first task."""
    events = [SimpleNamespace(extra={"payload": each, "from_trigger": True}) for each in payloads]
    run = SimpleNamespace(run_id=run_id, conf=conf or {}, run_type=f"{kind}_triggered")
    run.logical_date = run.start_date = run.triggering_user_name = None
    from datetime import UTC, datetime

    run.run_after = datetime(2026, 11, 22, tzinfo=UTC)
    return {
        "dag_run": run,
        "triggering_asset_events": {"asset": events},
        "ti": SimpleNamespace(try_number=1),
        "params": {"path": "none", "count": 1},
    }


def schedule(**changes: Any) -> ScheduleSpec:
    data = DataChange("", "in", parameter="path", **changes)
    return ScheduleSpec("id-1", "landed", "sales", data=data)


def test_runs_share_out_what_has_changed(workspace: Home) -> None:
    """The first run has the files, its second try too; one that was told the same has none."""
    journal = Journal(workspace.store, watch_id("", "in"))
    journal.begin("", "in", {}, "now")
    journal.append(Entry(1, {"in/a": "1", "in/b": "1"}))
    payload = {"after": 0, "entry": 1, "paths": [], "files": 2, "datastore": "d"}

    def begun(run_id: str) -> tuple[dict[str, Any], Change | None]:
        return scheduling.begun(schedule(), workspace, "dag", [PATH], context(run_id, payload))

    first, again, late = begun("one"), begun("one"), begun("two")
    by_hand = scheduling.begun(
        schedule(), workspace, "dag", [PATH], context("three", kind="operator")
    )

    assert first[0]["path"] == "in"
    assert first == again
    assert first[1] == Change("workspaceblobstore", {"in/a": "1", "in/b": "1"})
    assert (late[0]["path"], late[1]) == ("none", Change("workspaceblobstore"))
    assert late[1].told == {"datastore": "workspaceblobstore", "path": "", "files": 0, "paths": []}
    assert (by_hand[0]["path"], by_hand[1]) == ("none", None)


def test_the_note_of_a_run() -> None:
    """A run's note counts the files and names some; a run of something else gets none."""
    payload = {
        "after": 0,
        "entry": 1,
        "paths": ["in/a", "in/b"],
        "files": 2,
        "datastore": "lake",
    }
    run = SimpleNamespace(
        run_type="asset_triggered",
        note=None,
        consumed_asset_events=[SimpleNamespace(extra={"payload": payload})],
    )
    on_dag_run_running(run, "")
    other = SimpleNamespace(
        run_type="asset_triggered", note=None, consumed_asset_events=[SimpleNamespace(extra={})]
    )
    on_dag_run_running(other, "")

    assert run.note == "2 files changed in lake: in/a, in/b"
    assert other.note is None
    assert len(datachange.note(["x" * 500] * 20, 5000, "lake")) < 1000
    assert datachange.note(["a"], 3, "lake") == "3 files changed in lake: a, ..."


def test_the_workspace_knows_what_it_starts(workspace: Home) -> None:
    """A schedule that is kept in the workspace is read as it was declared."""
    scheduling.remember(schedule(per_file=True), workspace, "dag")
    (known,) = Schedule.list(Workspace())

    assert (known.datastore_name, known.path_on_datastore) == ("", "in")
    assert known.words.startswith("When files change in in of the default datastore")
    assert known.get_pipeline_runs() == []
    assert Path(workspace.root / "registry" / "schedule").is_dir()

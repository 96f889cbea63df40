from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_aml.errors import WorkspaceException
from airflow_aml.reuse import layout
from airflow_aml.reuse.fingerprint import Fingerprint
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.records import OutputRecord, StepRecord
from airflow_aml.workspace.home import Home, open_home
from tests.reuse.conftest import a_key

KEY = a_key()


def record(number: int = 1, key: Fingerprint = KEY, **more: object) -> StepRecord:
    values: dict[str, object] = {
        "fingerprint": key.digest,
        "key": key.record,
        "outputs": {"model": OutputRecord("file:///x/model", "sha256:1", 1, 5, "sha256:s")},
        "pipeline_run_id": f"p-{number}",
        "step_run_id": f"s-{number}",
        "dag_id": "dag",
        "task_id": "train",
        "run_id": f"manual__{number}",
        "step": "train",
        "seconds": 2.5,
        "created": f"2026-01-0{number}T00:00:00.000000+00:00",
        "hidden_reads": ({"asked": {"name": "d"}, "resolved": None},),
    }
    return StepRecord(**{**values, **more})  # type: ignore[arg-type]


@pytest.fixture(params=["local", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "local":
        return open_home(str(tmp_path / "workspace"))
    return open_home(f"memory://{uuid.uuid4().hex}/aml")


def test_a_record_is_found_as_it_was_added(anywhere: Home) -> None:
    """What a step recorded is what the next run reads, in a folder and in an object store."""
    Index(anywhere).add(record())
    assert list(Index(anywhere).find(KEY.digest)) == [record()]


def test_the_newest_record_comes_first(anywhere: Home) -> None:
    """Records of one key are all kept, and the latest result is preferred."""
    index = Index(anywhere)
    for number in (2, 3, 1):
        index.add(record(number))
    assert [each.step_run_id for each in index.find(KEY.digest)] == ["s-3", "s-2", "s-1"]


def test_a_key_without_a_record_is_no_surprise(anywhere: Home) -> None:
    """An empty workspace answers with nothing, and without a warning."""
    said: list[str] = []
    assert list(Index(anywhere).find(KEY.digest, said.append)) == []
    assert Index(anywhere).latest("dag", "train", warn=said.append) is None
    assert said == []


def test_a_step_finds_its_latest_record_whatever_the_key_was(anywhere: Home) -> None:
    """The record to compare with when something changed is the same task's latest."""
    index = Index(anywhere)
    other = a_key(snapshot="sha256:52")
    index.add(record(1))
    index.add(record(2, other))
    index.add(record(3, other, task_id="other/task", map_index=4))
    assert index.latest("dag", "train") == record(2, other)
    assert index.latest("dag", "other/task", 4) == record(
        3, other, task_id="other/task", map_index=4
    )
    assert index.latest("dag", "other/task") is None


def test_very_long_names_are_kept_apart(home: Home) -> None:
    """DAG ids of 250 characters, which no file name could hold, have latest records too."""
    index = Index(home)
    for number, end in ((1, "a"), (2, "b")):
        index.add(record(number, dag_id="ö" * 249 + end))
    assert index.latest("ö" * 249 + "a", "train").step_run_id == "s-1"  # type: ignore[union-attr]


DAMAGE = {
    "empty": b"",
    "truncated": record().to_bytes()[:200],
    "garbage": b"\x00\xff\x00 garbage",
    "a list": b"[1, 2]",
    "a text": b'"hello"',
    "another document": b'{"version": 1, "uuid": "x"}',
    "without outputs": json.dumps(
        {**json.loads(record().to_bytes()), "outputs": {"model": {}}}
    ).encode(),
    "without a time zone": replace(record(), created="2026-01-01T00:00:00").to_bytes(),
    "a later release": replace(record(), version=2).to_bytes(),
    "no number": json.dumps({**json.loads(record().to_bytes()), "seconds": "fast"}).encode(),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_passed_over_and_named(home: Home, damage: str) -> None:
    """A truncated, foreign or later document is named in a warning; an older one is used."""
    index, said = Index(home), list[str]()
    index.add(record(1))
    path = layout.record(KEY.digest, "2026-01-02T00:00:00.000000+00:00", "s-2")
    home.store.write(path, DAMAGE[damage])
    home.store.write(layout.latest("dag", "train"), DAMAGE[damage])
    assert list(index.find(KEY.digest, said.append)) == [record(1)]
    assert index.latest("dag", "train", warn=said.append) is None
    assert len(said) == 2
    assert path in said[0]
    if damage == "a later release":
        assert "later release" in said[0]


def test_a_record_with_more_than_this_release_knows_is_read(home: Home) -> None:
    """A field that a later release of the same version added is left out, not refused."""
    path = layout.record(KEY.digest, record().created, "s-1")
    document = {**json.loads(record().to_bytes()), "news": 1}
    home.store.write(path, json.dumps(document).encode())
    assert list(Index(home).find(KEY.digest)) == [record()]


def test_a_record_in_another_keys_folder_is_not_that_keys(home: Home) -> None:
    """A document that was moved by hand is never a hit for another key."""
    said: list[str] = []
    other = record(2, a_key(snapshot="sha256:52"))
    home.store.write(layout.record(KEY.digest, other.created, "s-2"), other.to_bytes())
    assert list(Index(home).find(KEY.digest, said.append)) == []
    assert "not about what its name says" in said[0]


def test_a_store_that_cannot_be_listed_is_a_miss(home: Home) -> None:
    """A file where the index's folder must be makes look-ups fail; they say so and do not raise."""
    said: list[str] = []
    home.store.write("reuse/v1", b"in the way")
    assert list(Index(home).find(KEY.digest, said.append)) == []
    with pytest.raises(WorkspaceException):
        Index(home).add(record())


def test_files_that_are_no_records_are_left_alone(home: Home) -> None:
    """A half-written file beside the records is not read."""
    index, said = Index(home), list[str]()
    index.add(record())
    folder = home.path(layout.records(KEY.digest).rstrip("/"))
    (folder / ".x.json.123-0a1b2c3d.tmp").write_bytes(b"{")
    (folder / "notes.txt").write_text("mine")
    assert list(index.find(KEY.digest, said.append)) == [record()]
    assert said == []

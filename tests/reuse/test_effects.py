from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_aml.codec import encode
from airflow_aml.definition.data.model import Reading, Registration
from airflow_aml.definition.registered import register_outputs
from airflow_aml.definition.spec import NodeSpec, OutputSpec
from airflow_aml.reuse.effects import still_in_place, view_stamp
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.uris import uri_of_path
from tests.reuse.conftest import a_key, record_of


@pytest.fixture
def view(home: Home) -> Path:
    return home.path("datastores/workspaceblobstore/models")


def published(home: Home, view: Path, number: int, files: dict[str, str]) -> StepRecord:
    """An execution that committed files and copied them to the fixed destination."""
    place = home.path(f"data/s-{number}/model")
    for folder in (place, view):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    record = record_of(home, a_key(), {"model": place}, step_run_id=f"s-{number}")
    output = record.outputs["model"]
    mark = view_stamp(output.uri, uri_of_path(view), Places(home))
    output = replace(output, view=uri_of_path(view), view_stamp=mark)
    return replace(record, outputs={"model": output})


def test_a_view_that_nobody_touched_is_still_in_place(home: Home, view: Path) -> None:
    """The author's destination shows this result, so there is nothing to publish."""
    record = published(home, view, 1, {"a.txt": "A", "sub/b.txt": "B"})
    assert still_in_place(record, home) is None


def test_files_of_others_in_the_destination_do_not_count(home: Home, view: Path) -> None:
    """v1 users collect files of many steps in one folder."""
    record = published(home, view, 1, {"a.txt": "A"})
    (view / "others.txt").write_text("mine")
    assert still_in_place(record, home) is None


def test_a_b_a_leaves_as_data_visible(home: Home, view: Path) -> None:
    """After another result was published there, reusing the first one publishes it again."""
    first = published(home, view, 1, {"a.txt": "first"})
    second = published(home, view, 2, {"a.txt": "other"})
    said = "the destination of output 'model' holds other files"
    assert still_in_place(first, home) == said
    assert still_in_place(second, home) is None


@pytest.mark.parametrize("act", ["file", "folder"])
def test_a_view_that_was_deleted_is_filled_again(home: Home, view: Path, act: str) -> None:
    """A destination that lacks files of the result is a reason, not an error."""
    record = published(home, view, 1, {"a.txt": "A", "b.txt": "B"})
    if act == "file":
        (view / "b.txt").unlink()
    else:
        shutil.rmtree(view)
    said = str(still_in_place(record, home))
    assert said.startswith("the destination of output 'model' lacks its '")
    assert act == "folder" or said.endswith("'b.txt'")


def test_a_destination_that_is_one_file(home: Home) -> None:
    """An output that is a file has a file as its view."""
    place, view = home.path("data/s-1/model"), home.path("datastores/d/model.bin")
    for path in (place, view):
        path.parent.mkdir(parents=True)
        path.write_text("weights")
    record = record_of(home, a_key(), {"model": place})
    output = record.outputs["model"]
    mark = view_stamp(output.uri, uri_of_path(view), Places(home))
    output = replace(output, view=uri_of_path(view), view_stamp=mark)
    record = replace(record, outputs={"model": output})
    assert still_in_place(record, home) is None
    view.write_text("other weights")
    assert "holds other files" in (still_in_place(record, home) or "")


def test_a_view_in_an_object_store_is_judged_by_the_stores_versions() -> None:
    """The same where there are no folders."""
    home = open_home(f"memory://{uuid.uuid4().hex}/aml")
    for name in ("a", "b"):
        home.store.write(f"data/s-1/model/{name}", name.encode())
        home.store.write(f"datastores/x/models/{name}", name.encode())
    uri, view, places = home.uri("data/s-1/model"), home.uri("datastores/x/models"), Places(home)
    mark = view_stamp(uri, view, places)
    output = OutputRecord(uri, "sha256:1", 2, 2, stamp(uri, places), view, mark)
    record = replace(record_of(home, a_key(), {}), outputs={"model": output})
    assert still_in_place(record, home) is None
    home.store.write("datastores/x/models/a", b"other")
    assert "holds other files" in (still_in_place(record, home) or "")
    home.store.delete(["datastores/x/models/b"])
    assert "lacks its 'b'" in (still_in_place(record, home) or "")


def committed(home: Home, number: int) -> StepRecord:
    """An execution that committed an output and registered nothing."""
    place = home.path(f"data/s-{number}/model")
    place.mkdir(parents=True)
    (place / "a.txt").write_text("A")
    return record_of(home, a_key(), {"model": place}, step_run_id=f"s-{number}")


def wanted(*registrations: Registration) -> NodeSpec:
    """The step as its author has it now: its output is registered like that."""
    outputs = (OutputSpec("model", registrations=registrations),)
    return NodeSpec("train", "train", "train.py", outputs=outputs)


def registered(home: Home, record: StepRecord, node: NodeSpec) -> StepRecord:
    """The record after its output was registered."""
    references = {name: each.reference for name, each in record.outputs.items()}
    done = register_outputs(node, references, home)
    return replace(
        record, registered=tuple({"name": each.name, "version": each.version} for each in done)
    )


def said_of(home: Home, record: StepRecord, node: NodeSpec) -> str | None:
    registers = {each.name: encode(each) for each in node.outputs if each.registrations}
    return still_in_place(record, home, None, registers)


def test_latest_of_a_dataset_must_be_what_this_result_registered(home: Home) -> None:
    """After another run registered a newer version, a hit registers its own again."""
    node = wanted(Registration("prepared data"))
    first = registered(home, committed(home, 1), node)
    assert said_of(home, first, node) is None
    registered(home, committed(home, 2), node)
    wrong = "the latest version of dataset 'prepared data' is 2, not its own 1"
    assert said_of(home, first, node) == wrong


def test_a_registration_that_was_added_later_is_still_to_be_made(home: Home) -> None:
    """What counts is what the author wants now, not what the result was registered as."""
    record = registered(home, committed(home, 1), wanted(Registration("old name")))
    node = wanted(Registration("old name"), Registration("new name"))
    assert said_of(home, record, node) == "it is not registered as 'new name'"
    registered(home, record, node)
    assert said_of(home, record, node) is None


def test_a_registration_that_is_read_in_another_way_is_another_one(home: Home) -> None:
    """A table and the files that it is read from are two datasets."""
    record = registered(home, committed(home, 1), wanted(Registration("made")))
    node = wanted(Registration("made", reading=Reading("delimited")))
    assert said_of(home, record, node) == "version 1 of dataset 'made' is read in another way"


def test_another_description_is_no_reason_to_publish(home: Home) -> None:
    """Words about a dataset are no part of what it is."""
    record = registered(home, committed(home, 1), wanted(Registration("made")))
    assert said_of(home, record, wanted(Registration("made", "words", {"by": "hand"}))) is None


def test_a_registration_that_was_removed_wants_nothing(home: Home) -> None:
    """Whose latest version it is does not matter to who registers nothing."""
    node = wanted(Registration("made"))
    record = registered(home, committed(home, 1), node)
    registered(home, committed(home, 2), node)
    assert said_of(home, record, wanted()) is None


def test_a_result_without_effects_is_always_in_place(home: Home) -> None:
    """Most steps only have outputs; nothing is looked at for them."""
    assert still_in_place(record_of(home, a_key(), {}), home) is None

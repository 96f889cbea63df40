from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_aml.reuse import hidden
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord
from airflow_aml.reuse.verify import CONTENT, STAMP, Verifier
from airflow_aml.workspace import manifests
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.registry import Registry
from airflow_aml.workspace.uris import path_of_uri, uri_of_path
from tests.reuse.conftest import a_key, record_of


@pytest.fixture
def model(home: Home) -> Path:
    place = home.path("data/s-1/model")
    (place / "sub").mkdir(parents=True)
    (place / "weights.bin").write_bytes(b"12345")
    (place / "sub" / "notes.txt").write_text("good")
    return place


@pytest.fixture
def record(home: Home, model: Path) -> StepRecord:
    return record_of(home, a_key(), {"model": model})


def keep_manifest(home: Home, place: Path) -> None:
    """The document that a commit leaves beside an output."""
    manifest = manifests.build(place)
    versions = {each.path: each.version for each in Places(home).files(uri_of_path(place))}
    files = [[each.path, each.size, each.digest, versions[each.path]] for each in manifest.files]
    document = {
        "version": 1,
        "uri": uri_of_path(place),
        "digest": manifest.digest,
        "bytes": manifest.bytes,
        "files": files,
    }
    place.with_name(f"{place.name}.manifest.json").write_text(json.dumps(document))


def test_an_untouched_result_can_be_used(home: Home, record: StepRecord) -> None:
    """Outputs that are as they were committed verify, by stamp and by content."""
    assert Verifier(home).wrong_with(record) is None
    assert Verifier(home, CONTENT).wrong_with(record) is None


def rewrite(place: Path) -> None:
    (place / "weights.bin").write_bytes(b"54321")
    os.utime(place / "weights.bin", ns=(1, 1))


TOUCHED: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (shutil.rmtree, "output 'model' of the earlier result was deleted"),
    "one file deleted": (
        lambda place: (place / "weights.bin").unlink(),
        "file 'weights.bin' of output 'model' of the earlier result was deleted",
    ),
    "truncated": (
        lambda place: os.truncate(place / "weights.bin", 2),
        "file 'weights.bin' of output 'model' of the earlier result changed",
    ),
    "replaced": (rewrite, "file 'weights.bin' of output 'model' of the earlier result changed"),
    "renamed": (
        lambda place: (place / "weights.bin").rename(place / "other.bin"),
        "file 'weights.bin' of output 'model' of the earlier result was deleted",
    ),
    "added": (
        lambda place: (place / "more").write_text(""),
        "file 'more' was added to output 'model' of the earlier result",
    ),
    "a link instead": (
        lambda place: (
            (place / "weights.bin").rename(place.parent / "w"),
            (place / "weights.bin").symlink_to(place.parent / "w"),
        ),
        "file 'weights.bin' of output 'model' of the earlier result changed",
    ),
    "a file instead": (
        lambda place: (shutil.rmtree(place), place.write_text("x")),
        "file 'sub/notes.txt' of output 'model' of the earlier result was deleted",
    ),
    "may not be read": (
        lambda place: (place / "weights.bin").chmod(0),
        "output 'model' of the earlier result cannot be read (weights.bin)",
    ),
}


@pytest.mark.parametrize("touch", TOUCHED)
def test_a_touched_result_is_not_used_and_the_file_is_named(
    home: Home, model: Path, record: StepRecord, touch: str
) -> None:
    """Whatever happened to an output is one sentence that names the file, never an error."""
    keep_manifest(home, model)
    act, says = TOUCHED[touch]
    act(model)
    assert Verifier(home).wrong_with(record) == says


@pytest.mark.parametrize("touch", TOUCHED)
def test_without_the_manifest_a_touched_result_is_not_used_either(
    home: Home, model: Path, record: StepRecord, touch: str
) -> None:
    """The manifest beside an output names files; the decision does not need it."""
    TOUCHED[touch][0](model)
    assert "'model'" in (Verifier(home).wrong_with(record) or "")


def test_a_manifest_that_is_damaged_or_anothers_is_not_believed(
    home: Home, model: Path, record: StepRecord
) -> None:
    """A foreign manifest beside an output changes neither the decision nor crashes it."""
    (model / "weights.bin").unlink()
    for text in (
        "{",
        "[]",
        '{"version": 1, "digest": "sha256:other", "files": []}',
        '{"version":9}',
    ):
        model.with_name("model.manifest.json").write_text(text)
        said = Verifier(home).wrong_with(record)
        assert said == "1 of 2 files of output 'model' of the earlier result were deleted"


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("how", [STAMP, CONTENT])
def test_other_bytes_of_the_same_size_and_time_are_seen(
    home: Home, model: Path, record: StepRecord, with_manifest: bool, how: str
) -> None:
    """Size and mtime cannot tell a forged file; its inode does, and then it is read."""
    if with_manifest:
        keep_manifest(home, model)
    before = (model / "weights.bin").stat()
    (model / "weights.bin").write_bytes(b"54321")
    os.utime(model / "weights.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    name = "the content of file 'weights.bin' of " if with_manifest else ""
    said = f"{name}output 'model' of the earlier result changed"
    assert Verifier(home, how).wrong_with(record) == said


def test_a_record_of_before_tells_by_size_and_time(home: Home, record: StepRecord) -> None:
    """A stamp without the times of inodes stays readable; only the deep check reads more."""
    output = record.outputs["model"]
    before = replace(output, stamp=output.stamp.partition(" ")[0])
    old = StepRecord.from_bytes(replace(record, outputs={"model": before}).to_bytes())
    (Path(path_of_uri(output.uri)) / "weights.bin").chmod(0o400)
    assert Verifier(home).wrong_with(old) is None
    assert Verifier(home, CONTENT).wrong_with(old) is None


def test_another_mode_or_name_is_no_other_content(
    home: Home, model: Path, record: StepRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """chmod and hard links change inodes: the output is read, and from then on it is known."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    (model / "weights.bin").chmod(0o400)
    (home.path("data/backup")).hardlink_to(model / "sub" / "notes.txt")
    time.sleep(3)  # what was changed a moment ago may change again in the same tick
    assert Verifier(home).wrong_with(record) is None
    assert list((tmp_path / "cache" / "stat").rglob("trees/*/*"))


def test_an_output_at_its_authors_place_has_its_manifest_in_the_workspace(home: Home) -> None:
    """A ``{run-id}`` in a datastore's path leads to the document, so the changed file is named."""
    run_id = "0a0a0a0a-0000-5000-8000-000000000001"
    place = home.path(f"datastores/workspaceblobstore/models/{run_id}/model")
    place.mkdir(parents=True)
    (place / "a.bin").write_bytes(b"1")
    (place / "b.bin").write_bytes(b"2")
    record = record_of(home, a_key(), {"model": place})
    keep_manifest(home, place)
    target = home.path(f"data/{run_id}/model.manifest.json")
    target.parent.mkdir(parents=True)
    place.with_name("model.manifest.json").rename(target)
    assert Verifier(home).wrong_with(record) is None
    (place / "b.bin").write_bytes(b"22")
    said = "file 'b.bin' of output 'model' of the earlier result changed"
    assert Verifier(home).wrong_with(record) == said


def test_the_deep_check_reads_in_the_algorithm_of_the_record(home: Home, model: Path) -> None:
    """A digest of an algorithm that is not installed here is a miss that says so."""
    files = tuple(
        manifests.FileEntry(each.path, each.size, each.digest.replace("sha256", "blake9"))
        for each in manifests.build(model).files
    )
    manifest = manifests.of_files(files)
    record = record_of(home, a_key(), {"model": model})
    output = replace(record.outputs["model"], digest=manifest.digest)
    record = replace(record, outputs={"model": output})
    document = {
        "version": 1,
        "digest": manifest.digest,
        "files": [[each.path, each.size, each.digest, ""] for each in files],
    }
    model.with_name("model.manifest.json").write_text(json.dumps(document))
    assert "cannot be checked" in (Verifier(home, CONTENT).wrong_with(record) or "")


def test_a_single_file_is_an_output_too(home: Home) -> None:
    """An output that is one file verifies, and its change is named by the output."""
    place = home.path("data/s-1/model")
    place.parent.mkdir(parents=True)
    place.write_text("weights")
    record = record_of(home, a_key(), {"model": place})
    keep_manifest(home, place)
    assert Verifier(home, CONTENT).wrong_with(record) is None
    place.write_text("other weights")
    said = "output 'model' of the earlier result changed"
    assert Verifier(home).wrong_with(record) == said


def test_an_empty_output_verifies_while_its_folder_is_there(home: Home) -> None:
    """A step that wrote nothing can be reused; a folder that went is a miss all the same."""
    place = home.path("data/s-1/model")
    place.mkdir(parents=True)
    record = record_of(home, a_key(), {"model": place})
    assert Verifier(home).wrong_with(record) is None
    place.rmdir()
    assert "deleted" in (Verifier(home).wrong_with(record) or "")


def test_a_record_without_one_of_the_steps_outputs_is_not_used(
    home: Home, record: StepRecord
) -> None:
    """An output that the key names must be in the record."""
    said = Verifier(home).wrong_with(replace(record, outputs={}))
    assert said == "the earlier result has no output 'model'"


def test_a_place_that_nobody_can_open_is_a_reason(home: Home, record: StepRecord) -> None:
    """An output in a store that is not registered any more makes the step run."""
    output = replace(record.outputs["model"], uri="s3://elsewhere/model")
    said = Verifier(home).wrong_with(replace(record, outputs={"model": output}))
    assert "cannot be checked" in (said or "")


def test_results_in_an_object_store_are_checked_by_its_own_versions() -> None:
    """The same rules hold where the workspace is no folder: untouched, changed, deleted, deep."""
    home = open_home(f"memory://{uuid.uuid4().hex}/aml")
    home.store.write("data/s-1/model/a.txt", b"one")
    home.store.write("data/s-1/model~2/a.txt", b"a neighbour")
    home.store.write("data/s-1/single", b"file")
    home.store.write("data/s-1/single.manifest.json", b"{}")
    places = Places(home)
    outputs = {}
    for name, path in (("model", "a.txt"), ("single", "")):
        uri = home.uri(f"data/s-1/{name}")
        content = home.store.read(f"data/s-1/{name}/{path}".rstrip("/"))
        entry = manifests.FileEntry(path, len(content), manifests_digest(content))
        manifest = manifests.of_files((entry,))
        outputs[name] = OutputRecord(uri, manifest.digest, 1, len(content), stamp(uri, places))
    record = replace(record_of_nothing(), outputs=outputs)
    assert Verifier(home).wrong_with(record) is None
    assert Verifier(home, CONTENT).wrong_with(record) is None
    home.store.write("data/s-1/model/a.txt", b"two")
    assert "changed" in (Verifier(home).wrong_with(record) or "")
    home.store.delete(["data/s-1/model/a.txt"])
    said = "output 'model' of the earlier result was deleted"
    assert Verifier(home).wrong_with(record) == said


def manifests_digest(content: bytes) -> str:
    from airflow_aml.workspace.digests import digest_bytes

    return digest_bytes(content)


def record_of_nothing() -> StepRecord:
    key = a_key()
    return record_of(None, key, {})  # type: ignore[arg-type]


def test_what_a_script_asked_for_is_asked_again(home: Home) -> None:
    """A script that read the latest version of a dataset runs again once there is a newer one."""
    registry = Registry(home.store)
    registry.create("dataset", "raw", {"id": "i-1"})
    asked = {"kind": "dataset", "name": "raw", "version": None}
    pinned = {"kind": "dataset", "name": "raw", "version": 1}
    reads = tuple(
        {"asked": each, "resolved": hidden.answer(home, each)} for each in (asked, pinned)
    )
    record = replace(record_of_nothing(), key={}, hidden_reads=reads)
    assert Verifier(home).wrong_with(record) is None
    registry.create("dataset", "raw", {"id": "i-2"})
    said = "what the script asks for (dataset 'raw') has another answer now: version 2 instead of 1"
    assert Verifier(home).wrong_with(record) == said
    only_pinned = replace(record, hidden_reads=reads[1:])
    assert Verifier(home).wrong_with(only_pinned) is None


def test_a_script_that_found_nothing_is_reused_while_there_is_nothing(home: Home) -> None:
    """The absence of a model is an answer as well, and a model that appears is another one."""
    asked = {"kind": "model", "name": "best", "version": None}
    reads = ({"asked": asked, "resolved": hidden.answer(home, asked)},)
    record = replace(record_of_nothing(), key={}, hidden_reads=reads)
    assert Verifier(home).wrong_with(record) is None
    Registry(home.store).create("model", "best", {"id": "m"})
    assert "'best'" in (Verifier(home).wrong_with(record) or "")

"""Uploading to and downloading from datastores, with what v1 prints."""

from __future__ import annotations

import pytest

from airflow_aml import DataPath, Dataset, Datastore
from airflow_aml.errors import UserErrorException


@pytest.fixture
def place(workspace):
    """The default datastore's folder."""
    return workspace.root / "datastores" / "workspaceblobstore"


def test_a_folder_is_uploaded(store, place, project, capsys):
    """Every file below it, under the target path; what v1 prints; a reference to the target."""
    (project / "data" / "deep").mkdir(parents=True)
    (project / "data" / "a.txt").write_text("a")
    (project / "data" / "deep" / "b ü.txt").write_text("b")

    reference = store.upload("data", "train/x")

    assert (place / "train/x/a.txt").read_text() == "a"
    assert (place / "train/x/deep/b ü.txt").read_text() == "b"
    assert reference.path_on_datastore == "train/x"
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Uploading an estimated of 2 files"
    assert printed[-1] == "Uploaded 2 files"
    assert f"Uploading {project / 'data' / 'a.txt'}" in printed


def test_seed_003_uploads_a_file(store, place, project, capsys):
    """upload_files(["iris.csv"], target_path=, overwrite=) as the guide has it."""
    (project / "iris.csv").write_text("1")

    store.upload_files(["iris.csv"], target_path="train-dataset", overwrite=True)

    assert (place / "train-dataset" / "iris.csv").read_text() == "1"
    assert "Uploaded 1 files" in capsys.readouterr().out


def test_files_that_are_there_are_skipped_unless_overwritten(store, place, project, capsys):
    """v1's default is to skip, and to say so."""
    (project / "a.txt").write_text("new")
    (place / "t").mkdir(parents=True)
    (place / "t" / "a.txt").write_text("old")

    store.upload_files(["a.txt"], target_path="t")
    assert (place / "t/a.txt").read_text() == "old"
    assert "Target already exists. Skipping upload for t/a.txt" in capsys.readouterr().out

    store.upload_files(["a.txt"], target_path="t", overwrite=True, show_progress=False)
    assert (place / "t/a.txt").read_text() == "new"
    assert capsys.readouterr().out == ""


def test_files_keep_their_place_below_the_root(store, place, project):
    """The folders that files have in common are left out, or relative_root is."""
    for name in ("a/b/one.txt", "a/c/two.txt"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text(name)
    files = ["a/b/one.txt", "a/c/two.txt"]

    store.upload_files(files, target_path="common")
    store.upload_files(files, relative_root=".", target_path="root")

    assert (place / "common/b/one.txt").exists()
    assert (place / "root/a/c/two.txt").exists()
    with pytest.raises(UserErrorException, match="not below relative_root"):
        store.upload_files(files, relative_root="a/b")


@pytest.mark.parametrize("target", ["../up", "a/../../b"])
def test_a_target_cannot_climb_out(store, project, target):
    """`..` in a target is refused before anything is copied."""
    (project / "a.txt").write_text("x")

    with pytest.raises(UserErrorException, match="climbs out of its datastore"):
        store.upload_files(["a.txt"], target_path=target)


def test_what_is_not_there_is_named(store, project):
    """A missing folder or file is said before anything is copied."""
    with pytest.raises(UserErrorException, match="no folder"):
        store.upload("nowhere")
    with pytest.raises(UserErrorException, match=r"no file .*gone\.txt"):
        store.upload_files(["gone.txt"])


def test_downloading_counts_and_skips(store, put, tmp_path, capsys):
    """Files land under their whole path; those that are there are skipped."""
    put("train/a.txt", "a")
    put("train-2/b.txt", "b")
    put("other/c.txt", "c")

    count = store.download(str(tmp_path / "d"), prefix="train")

    assert count == 2
    assert (tmp_path / "d/train/a.txt").read_text() == "a"
    assert "Downloaded 2 files" in capsys.readouterr().out
    assert store.download(str(tmp_path / "d"), prefix="train") == 0
    assert "Target already exists" in capsys.readouterr().out
    assert store.download(str(tmp_path / "d"), prefix="train", overwrite=True) == 2


def test_upload_directory_gives_a_dataset(ws, store, project, place, capsys):
    """Dataset.File.upload_directory uploads what matches and returns it."""
    (project / "data" / "sub").mkdir(parents=True)
    for name in ("a.csv", "b.txt", "sub/c.csv"):
        (project / "data" / name).write_text(name)

    made = Dataset.File.upload_directory("data", DataPath(store, "in"), pattern="**/*.csv")

    assert made.to_path() == ["/a.csv", "/sub/c.csv"]
    assert not (place / "in" / "b.txt").exists()
    assert "Validating arguments." in capsys.readouterr().out
    with pytest.raises(UserErrorException, match="matches the pattern"):
        Dataset.File.upload_directory("data", (store, "in"), pattern="*.parquet")


def test_a_local_datastore_is_a_folder(ws, tmp_path, project):
    """register_local: files go where everybody can see them."""
    (tmp_path / "shared").mkdir()
    (project / "a.txt").write_text("x")
    shared = Datastore.register_local(ws, "shared", str(tmp_path / "shared"))

    shared.upload_files(["a.txt"])

    assert (tmp_path / "shared" / "a.txt").read_text() == "x"

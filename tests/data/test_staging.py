"""What a mounted input consists of: original paths, patterns, chosen files, files to fetch."""

from __future__ import annotations

import pytest

from airflow_aml import Dataset, Datastore
from airflow_aml.codec import encode
from airflow_aml.definition.registered import pin
from airflow_aml.definition.staging import input_files
from airflow_aml.errors import UserErrorException


@pytest.fixture
def staged(workspace, project):
    """What a dataset is staged as."""

    def stage(dataset):
        pinned = pin(dataset.source, workspace, str(project))
        return input_files(pinned.definition, workspace, str(project))

    return stage


def test_a_single_path_is_handed_on_itself(store, put, staged):
    """A file as that file, a folder as that folder, without looking into it."""
    file = put("in/a.txt")

    one = staged(Dataset.File.from_files((store, "in/a.txt")))
    whole = staged(Dataset.File.from_files((store, "in/")))

    assert (one.paths, one.exact, one.folder) == ((str(file),), True, False)
    assert (whole.paths, whole.exact, whole.root) == ((str(file.parent),), True, None)


def test_patterns_and_several_paths_keep_the_datasets_names(store, put, staged):
    """What the paths have in common is left out, as to_path() leaves it out."""
    root = put("in/dog/1.jpg").parents[1]
    put("in/cat/2.jpg")

    glob = staged(Dataset.File.from_files((store, "in/**/*.jpg")))
    several = staged(Dataset.File.from_files([(store, "in/dog/1.jpg"), (store, "in/cat")]))

    assert (glob.paths, glob.root, glob.exact) == ((f"{root}/**/*.jpg",), str(root), False)
    assert several.root == str(root)
    assert several.paths == (f"{root}/dog/1.jpg", f"{root}/cat")


def test_transformations_choose_files(store, put, staged):
    """take and filter hold for mounted inputs too; the script gets a folder."""
    root = put("in/a/1.txt").parents[1]
    put("in/b/2.txt")
    made = Dataset.File.from_files((store, "in"))

    taken = staged(made.take(1))

    assert (taken.paths, taken.root) == ((f"{root}/a/1.txt",), str(root))
    assert (taken.exact, taken.folder) == (True, True)
    with pytest.raises(UserErrorException, match="leave no file"):
        staged(made.skip(9))


def test_local_paths_of_the_project(project, staged):
    """Relative to the defining file's folder; signs in a name are that name."""
    (project / "a[1].txt").write_text("x")

    found = staged(Dataset.File.from_files("a[1].txt"))

    assert (found.paths, found.exact) == ((str(project / "a[1].txt"),), True)


def test_files_elsewhere_are_listed_to_be_fetched(ws, staged, monkeypatch):
    """From an object store: each file with its store, name, size and version."""
    from airflow_aml.workspace.stores import open_store

    remote = open_store("memory://staging-test")
    remote.write("in/a/1.txt", b"one")
    remote.write("in/b.txt", b"two")
    Datastore.register_local(ws, "mem", "/nowhere")
    # The one store that a test may have without a server is in this process's memory.
    document = ws_document(ws, "mem")
    document["url"] = "memory://staging-test"
    write_document(ws, "mem", document)
    mem = Datastore(ws, "mem")

    folder = staged(Dataset.File.from_files((mem, "in")))
    file = staged(Dataset.File.from_files((mem, "in/b.txt")))

    assert folder.paths == ()
    assert [(each.relative, each.size) for each in folder.remote] == [("a/1.txt", 3), ("b.txt", 3)]
    assert (folder.folder, file.folder) == (True, False)
    assert file.remote[0].relative == "b.txt"
    assert all(each.version for each in folder.remote)


def ws_document(ws, name):
    return encode(Datastore(ws, name).record)


def write_document(ws, name, document):
    from airflow_aml.definition.homes import home_of
    from airflow_aml.workspace.registry import Registry

    Registry(home_of(ws).store).put("datastore", name, document, overwrite=True)


def test_a_table_has_no_files_to_stage(store, put, staged):
    """It arrives as its id."""
    put("t.csv", "a\n1\n")

    with pytest.raises(UserErrorException, match="arrives as its id"):
        staged(Dataset.Tabular.from_delimited_files((store, "t.csv")))

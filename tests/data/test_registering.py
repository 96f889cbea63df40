"""Registered datasets: names, versions, ids, and what two versions differ in."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airflow_aml import Dataset, Workspace
from airflow_aml.errors import UserErrorException


@pytest.fixture
def files(store, put):
    """A file dataset of one file."""
    put("in/a.txt", "a")
    return Dataset.File.from_files((store, "in"))


def test_a_dataset_is_registered_and_read_again(ws, files):
    """Name, version, description and tags come back; so does its meaning."""
    made = files.register(ws, "my data", "what it is", {"team": "x"})

    again = Dataset.get_by_name(ws, "my data")

    assert (made.name, made.version) == ("my data", 1)
    assert (again.name, again.version, again.description) == ("my data", 1, "what it is")
    assert again.tags == {"team": "x"}
    assert again.id == made.id == files.id
    assert again.to_path() == ["/a.txt"]
    assert list(ws.datasets) == ["my data"]
    assert ws.datasets["my data"].version == 1
    assert Dataset.get_all(ws).keys() == {"my data"}


def test_versions_are_numbered_from_1(ws, store, files, put):
    """create_new_version=True; any version can be asked for, the latest by default."""
    put("other/b.txt", "b")
    files.register(ws, "d")
    second = Dataset.File.from_files((store, "other")).register(ws, "d", create_new_version=True)

    assert second.version == 2
    assert Dataset.get_by_name(ws, "d").to_path() == ["/b.txt"]
    assert Dataset.get_by_name(ws, "d", version="latest").version == 2
    assert Dataset.get_by_name(ws, "d", version=1).to_path() == ["/a.txt"]


def test_a_taken_name_is_refused_in_v1s_words(ws, store, files):
    """Another definition, and the same one."""
    files.register(ws, "d")

    with pytest.raises(UserErrorException, match="There is already a dataset registered under"):
        Dataset.File.from_files((store, "other")).register(ws, "d")
    with pytest.raises(
        UserErrorException, match=r'An identical dataset .*get_by_name\(workspace, name="d", ver'
    ):
        files.register(ws, "d")


def test_the_same_definition_makes_no_new_version(ws, files):
    """A program that registers each time it runs does not fill the registry."""
    files.register(ws, "d")

    again = files.register(ws, "d", "now described", {"a": "b"}, create_new_version=True)

    assert (again.version, again.description, again.tags) == (1, "now described", {"a": "b"})


def test_an_unknown_name_or_version_lists_what_there_is(ws, files):
    """A typing error is answered with names like it, a wrong version with the right ones."""
    files.register(ws, "prepared_data")

    with pytest.raises(UserErrorException, match=r"preparde_data.*prepared_data"):
        Dataset.get_by_name(ws, "preparde_data")
    with pytest.raises(UserErrorException, match=r"no version 7.*1"):
        Dataset.get_by_name(ws, "prepared_data", version=7)
    with pytest.raises(UserErrorException, match="not a version"):
        Dataset.get_by_name(ws, "prepared_data", version="newest")
    with pytest.raises(KeyError):
        ws.datasets["nothing"]
    with pytest.raises(UserErrorException, match="no dataset with the id"):
        Dataset.get_by_id(ws, "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("name", ["with space", "ünïcode ☃", "a/b", "50%", "CON", "x" * 100, ".."])
def test_names_may_be_of_all_signs(ws, files, name):
    """v1 has no rule for dataset names; every name comes back as it was."""
    files.register(ws, name)

    assert Dataset.get_by_name(ws, name).name == name
    assert list(ws.datasets) == [name]


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_an_empty_name_is_refused(ws, files, name):
    """A registration needs a name."""
    with pytest.raises(UserErrorException, match="must not be empty"):
        files.register(ws, name)


def test_ids_are_of_definitions_not_of_content(ws, store, put):
    """The same paths have the same id whatever lies there; another setting has another."""
    before = Dataset.Tabular.from_delimited_files((store, "t.csv")).id
    put("t.csv", "a\n1\n")
    after = Dataset.Tabular.from_delimited_files((store, "t.csv")).id
    other = Dataset.Tabular.from_delimited_files((store, "t.csv"), separator=";").id

    assert before == after
    assert other != after
    assert len(before) == 36


def test_a_dataset_is_found_by_its_id(ws, files):
    """A registered one comes with its name and version."""
    files.register(ws, "d")

    found = Dataset.get_by_id(ws, files.id)

    assert (found.name, found.version, found.to_path()) == ("d", 1, ["/a.txt"])


def test_transformations_are_part_of_what_is_registered(ws, store, put):
    """Columns, filters and splits are recorded and carried out when it is read."""
    put("t.csv", "a,b\n" + "\n".join(f"{n},{n}" for n in range(10)))
    made = Dataset.Tabular.from_delimited_files((store, "t.csv"))
    made.filter(made["a"] > 5).drop_columns("b").register(ws, "large")

    frame = Dataset.get_by_name(ws, "large").to_pandas_dataframe()

    assert frame.to_dict("list") == {"a": [6, 7, 8, 9]}
    more = Dataset.get_by_name(ws, "large").take(1)
    assert (more.name, more.version) == (None, None)
    assert more.to_pandas_dataframe()["a"].tolist() == [6]


def test_a_default_datastore_is_fixed_when_it_is_registered(ws, store, files, tmp_path):
    """A later change of the default does not move registered data."""
    files.register(ws, "d")
    from airflow_aml import Datastore

    Datastore.register_local(ws, "other", str(tmp_path)).set_as_default()

    assert Dataset.get_by_name(ws, "d").to_path() == ["/a.txt"]


def test_local_paths_are_fixed_when_they_are_registered(ws, project):
    """Relative to the file that registered them, wherever they are read."""
    (project / "here.txt").write_text("x")
    Dataset.File.from_files("here.txt").register(ws, "local")

    (path,) = Dataset.get_by_name(ws, "local").download()

    assert Path(path).read_text() == "x"


def test_description_and_tags_can_change(ws, files):
    """update, add_tags, remove_tags: the version stays what it is."""
    made = files.register(ws, "d", "first", {"a": "1", "b": "2"})

    made.update(description="second").add_tags({"c": "3"}).remove_tags(["a"])

    again = Dataset.get_by_name(ws, "d")
    assert (again.version, again.description, again.tags) == (1, "second", {"b": "2", "c": "3"})
    with pytest.raises(UserErrorException, match="not registered"):
        files.update(description="x")


def test_unregistering_leaves_ids(ws, files):
    """The name is gone with all versions; a run's id still leads to the definition."""
    made = files.register(ws, "d")

    made.unregister_all_versions()

    assert "d" not in ws.datasets
    assert Dataset.get_by_id(ws, made.id).to_path() == ["/a.txt"]
    assert files.register(ws, "d").version == 1


def test_many_writers_of_one_name_each_get_a_version(ws, workspace, tmp_path):
    """Two programs that register one name at once: two versions, none lost."""
    program = textwrap.dedent("""
        import sys
        from airflow_aml import Dataset, Workspace
        ws = Workspace()
        path = (ws.get_default_datastore(), sys.argv[1])
        print(Dataset.File.from_files(path).register(ws, "d", create_new_version=True).version)
    """)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"in/{number}"], stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    versions = sorted(int(each.communicate()[0]) for each in running)

    assert versions == [1, 2, 3, 4]
    ids = {Dataset.get_by_name(ws, "d", version=each).id for each in versions}
    assert len(ids) == 4


def test_two_versions_are_compared(ws, store, put):
    """Definition, files, columns, types and rows."""
    put("v1/a.csv", "n,old\n1,x\n2,y\n")
    put("v2/a.csv", "n,new\nx,1\n")
    put("v2/b.csv", "n,new\ny,2\n")
    first = Dataset.Tabular.from_delimited_files((store, "v1/*.csv")).register(ws, "d")
    second = Dataset.Tabular.from_delimited_files((store, "v2/*.csv"))
    second = second.register(ws, "d", create_new_version=True)

    found = first.diff(second)

    assert list(found.definition) == ["paths"]
    assert found.files_added == ("b.csv",)
    assert (found.columns_added, found.columns_removed) == (("new",), ("old",))
    assert found.columns_changed == (("n", "long", "string"),)
    assert found.rows == (2, 2)
    assert found
    assert "+ b.csv" in str(found)
    assert not first.diff(first)
    assert str(first.diff(first)) == "no difference"
    files = Dataset.File.from_files((store, "v1"))
    with pytest.raises(UserErrorException, match="cannot be compared"):
        files.diff(first)


def test_the_registry_can_be_read_with_ls(ws, workspace, files):
    """One JSON document for each version, under its name."""
    files.register(ws, "my data", "what it is")

    path = workspace.root / "registry" / "dataset" / "my data" / "1.json"
    document = json.loads(path.read_text())["document"]

    assert document["description"] == "what it is"
    assert document["definition"]["paths"] == [
        {"kind": "stored_path", "datastore": "workspaceblobstore", "path": "in"}
    ]


def test_another_workspace_has_other_datasets(ws, files, tmp_path, monkeypatch):
    """[aml] workspaces maps names to places, also for programs outside Airflow."""
    files.register(ws, "d")
    mapping = json.dumps({"team": (tmp_path / "team").as_uri()})
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACES", mapping)

    assert list(Workspace(workspace_name="team").datasets) == []
    assert list(ws.datasets) == ["d"]

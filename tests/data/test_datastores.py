"""Datastores: the two that always exist, registering others, credentials."""

from __future__ import annotations

import json
import stat

import pytest

from airflow_aml import Datastore, Workspace
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.workspace.datastores import load_datastore, open_datastore, storage_options

SECRET = "s3cr3t-key-of-the-account=="


def test_two_datastores_always_exist(ws):
    """workspaceblobstore, which is the default one, and workspacefilestore."""
    assert list(ws.datastores) == ["workspaceblobstore", "workspacefilestore"]
    assert ws.get_default_datastore().name == "workspaceblobstore"
    assert Datastore(ws).datastore_type == "AzureBlob"
    assert Datastore.get(ws, "workspacefilestore").datastore_type == "AzureFile"
    assert ws.datastores["workspacefilestore"] == Datastore(ws, "workspacefilestore")
    assert Datastore.get_default(ws).name == "workspaceblobstore"


def test_a_workspace_may_be_given_as_its_name(ws):
    """What takes a workspace takes its name too."""
    Datastore.register_local("default", "mine", "/tmp")

    assert Datastore("default", "mine") == Datastore(ws, "mine")


def test_an_unknown_datastore_lists_names_like_it(ws):
    """A typing error is answered with the name that was meant."""
    Datastore.register_local(ws, "training-data", "/tmp")

    with pytest.raises(UserErrorException, match=r"no datastore 'trainin-data'.*'training-data'"):
        Datastore(ws, "trainin-data")
    Datastore.register_local(ws, "mine", "/tmp")
    with pytest.raises(UserErrorException, match=r"no datastore 'nope'.*There are: 'mine'"):
        Datastore(ws, "nope")
    with pytest.raises(KeyError):
        ws.datastores["nothing"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "a.b", "../x"])
def test_names_are_letters_digits_dashes_and_underscores(ws, name):
    """v1's rule for datastores' names."""
    with pytest.raises(UserErrorException, match="made of letters, digits"):
        Datastore.register_local(ws, name, "/tmp")


def test_a_blob_container_is_registered(ws, workspace):
    """All of v1's fields are there again; the key is in a document of its own, for its owner."""
    Datastore.register_azure_blob_container(
        workspace=ws,
        datastore_name="blobs",
        container_name="box",
        account_name="acc",
        account_key=SECRET,
    )

    blobs = Datastore(ws, "blobs")

    assert (blobs.account_name, blobs.container_name, blobs.protocol) == ("acc", "box", "https")
    assert (blobs.datastore_type, blobs.endpoint) == ("AzureBlob", "core.windows.net")
    assert (blobs.account_key, blobs.sas_token) == (SECRET, None)
    record = load_datastore(workspace, "blobs")
    assert record.url == "abfs://box"
    assert storage_options(workspace, record) == {"account_name": "acc", "account_key": SECRET}
    secret = workspace.root / "registry" / "secrets" / "blobs.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_secret_is_only_in_its_own_document(ws, workspace):
    """Not in the record, not in a repr, not in an error."""
    blobs = Datastore.register_azure_blob_container(
        ws, "blobs", "box", account_name="acc", account_key=SECRET
    )
    with pytest.raises(UserErrorException) as taken:
        Datastore.register_azure_blob_container(
            ws, "blobs", "box", account_name="acc", account_key=SECRET
        )

    texts = [repr(blobs), str(blobs.record), str(taken.value), repr(vars(blobs))]
    documents = [
        path.read_text()
        for path in (workspace.root / "registry").rglob("*.json")
        if "secrets" not in path.parts
    ]
    assert documents
    assert not any(SECRET in text for text in texts + documents)


def test_a_taken_name_is_refused_unless_overwritten(ws):
    """v1's conflict; overwrite=True replaces record and secret."""
    Datastore.register_azure_blob_container(ws, "b", "one", account_name="a", account_key="k")
    with pytest.raises(UserErrorException, match="Another datastore with the same name already"):
        Datastore.register_azure_blob_container(ws, "b", "two", account_name="a", account_key="l")

    Datastore.register_azure_blob_container(
        ws, "b", "two", account_name="a", sas_token="t", overwrite=True
    )

    again = Datastore(ws, "b")
    assert (again.container_name, again.account_key, again.sas_token) == ("two", None, "t")


def test_the_workspaces_own_cannot_be_registered_anew(ws):
    """workspaceblobstore is the workspace's; another default is set, not overwritten."""
    with pytest.raises(UserErrorException, match="belongs to the workspace"):
        Datastore.register_local(ws, "workspaceblobstore", "/tmp", overwrite=True)
    with pytest.raises(UserErrorException, match="belongs to the workspace"):
        Datastore(ws, "workspaceblobstore").unregister()


def test_an_emulator_is_reached_by_its_endpoint(ws, workspace):
    """endpoint='host:port' makes a connection string, as emulators need."""
    Datastore.register_azure_blob_container(
        ws, "az", "box", "acc", account_key=SECRET, protocol="http", endpoint="127.0.0.1:10000"
    )

    options = storage_options(workspace, load_datastore(workspace, "az"))

    assert options == {
        "connection_string": f"DefaultEndpointsProtocol=http;AccountName=acc;AccountKey={SECRET};"
        "BlobEndpoint=http://127.0.0.1:10000/acc"
    }


@pytest.mark.parametrize("form", ["json", "uri"])
def test_a_connection_keeps_the_key_out_of_the_workspace(ws, workspace, monkeypatch, form):
    """connection_id= names an Airflow connection; nothing of it is stored."""
    texts = {
        "json": json.dumps(
            {"conn_type": "aws", "login": "KEY", "password": SECRET, "extra": {"region_name": "r"}}
        ),
        "uri": f"aws://KEY:{SECRET.replace('=', '%3D')}@/?region_name=r",
    }
    monkeypatch.setenv("AIRFLOW_CONN_MY_S3", texts[form])
    Datastore.register_s3(ws, "bucket", "data", path="a/b", connection_id="my_s3")

    record = load_datastore(workspace, "bucket")

    assert record.url == "s3://data/a/b"
    assert storage_options(workspace, record) == {
        "key": "KEY",
        "secret": SECRET,
        "client_kwargs": {"region_name": "r"},
    }
    assert not (workspace.root / "registry" / "secrets").exists()


def test_a_step_is_handed_what_opens_its_stores(ws, workspace, monkeypatch):
    """In a step's process there is no Airflow: it was given the options beforehand."""
    Datastore.register_s3(ws, "bucket", "data", connection_id="my_s3")
    monkeypatch.setenv("AIRFLOW_AML_STORES", json.dumps({"my_s3": {"key": "K", "secret": "S"}}))

    options = storage_options(workspace, load_datastore(workspace, "bucket"))

    assert options == {"key": "K", "secret": "S"}


def test_an_unknown_connection_says_where_it_was_looked_for(ws, workspace, monkeypatch):
    """The error names the variable that would do."""
    monkeypatch.setenv("AIRFLOW_AML_ATTEMPT", "a step's process")
    Datastore.register_s3(ws, "bucket", "data", connection_id="nowhere")

    with pytest.raises(UserErrorException, match="AIRFLOW_CONN_NOWHERE"):
        open_datastore(workspace, "bucket")


def test_a_damaged_connection_does_not_show_its_text(ws, workspace, monkeypatch):
    """The text of a connection holds a password."""
    monkeypatch.setenv("AIRFLOW_CONN_BAD", '{"password": "' + SECRET)
    Datastore.register_s3(ws, "bucket", "data", connection_id="bad")

    with pytest.raises(UserErrorException) as refused:
        open_datastore(workspace, "bucket")

    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_datastore_without_anything_to_open_it_is_refused(ws):
    """No key, no token, no connection: said when it is registered, not when a run needs it."""
    with pytest.raises(UserErrorException, match="nothing to be opened with"):
        Datastore.register_azure_blob_container(ws, "b", "box", account_name="a")
    with pytest.raises(UserErrorException, match="needs an account_name"):
        Datastore.register_azure_data_lake_gen2(ws, "b", "fs", client_secret="x")
    with pytest.raises(UserErrorException, match="user and a password"):
        Datastore.register_azure_postgre_sql(ws, "b", "server", "db")


def test_a_file_share_is_used_where_it_is_mounted(ws, tmp_path):
    """adlfs has no Azure Files: the share is a mounted path, or refused."""
    with pytest.raises(UserErrorException, match="mounted_at="):
        Datastore.register_azure_file_share(ws, "share", "s", account_name="a", account_key="k")
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.txt").write_text("x")

    share = Datastore.register_azure_file_share(
        ws, "share", "s", account_name="a", mounted_at=str(tmp_path / "share")
    )

    assert share.download(str(tmp_path / "here"), show_progress=False) == 1


def test_a_mounted_folder_that_is_not_there_is_said_so(ws, workspace, tmp_path):
    """A worker without the mount must not take it for an empty datastore."""
    Datastore.register_local(ws, "gone", str(tmp_path / "gone"))

    with pytest.raises(UserErrorException, match="is not there"):
        open_datastore(workspace, "gone")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Datastore.register_azure_data_lake, "Gen1 was retired"),
        (Datastore.register_dbfs, "DBFS"),
        (Datastore.register_hdfs, "HDFS"),
    ],
)
def test_what_is_not_served_is_refused_by_name(ws, call, words):
    """Gen1 is retired, DBFS and HDFS are nobody's but their engine's."""
    with pytest.raises(NotServedError, match=words):
        call(ws, "x")


def test_all_kinds_of_databases_are_registered(ws, workspace):
    """SQL, PostgreSQL and MySQL with v1's arguments; their passwords are kept apart."""
    Datastore.register_azure_sql_database(ws, "s", "srv", "db", username="u", password=SECRET)
    Datastore.register_azure_postgre_sql(ws, "p", "srv", "db", "u", SECRET, port_number=5433)
    Datastore.register_azure_my_sql(ws, "m", "srv", "db", "u", SECRET)

    kinds = [Datastore(ws, name).datastore_type for name in "spm"]

    assert kinds == ["AzureSqlDatabase", "AzurePostgreSql", "AzureMySql"]
    assert Datastore(ws, "p").port_number == "5433"
    assert Datastore(ws, "p").password == SECRET
    with pytest.raises(UserErrorException, match="is a database and holds no files"):
        open_datastore(workspace, "p")
    with pytest.raises(UserErrorException, match="server_name is required"):
        Datastore.register_azure_my_sql(ws, "x", "", "db", "u", "p")


def test_another_default_holds_from_then_on(ws, tmp_path):
    """set_as_default and set_default_datastore; what was made with the default follows it."""
    before = ws.get_default_datastore()
    Datastore.register_local(ws, "mine", str(tmp_path)).set_as_default()
    assert ws.get_default_datastore().name == "mine"
    assert before.name == "mine"

    ws.set_default_datastore("workspacefilestore")

    assert Workspace().get_default_datastore().name == "workspacefilestore"
    with pytest.raises(UserErrorException, match=r"no datastore 'nope'"):
        ws.set_default_datastore("nope")


def test_an_unregistered_datastore_is_forgotten_with_its_secret(ws, workspace):
    """Its data stays; its name and key are gone."""
    store = Datastore.register_azure_blob_container(ws, "b", "box", "a", account_key=SECRET)

    store.unregister()

    assert "b" not in ws.datastores
    assert not (workspace.root / "registry" / "secrets" / "b.json").exists()


def test_retention_belongs_to_the_datastore(ws, workspace):
    """keep_days stands in the datastore's document; another number needs overwrite=True."""
    made = Datastore.register_local(ws, "short", "/tmp", keep_days=7)
    Datastore.register_s3(ws, "bucket", "b", connection_id="c", keep_days=30)
    Datastore.register_local(ws, "ever", "/tmp")

    assert made.keep_days == Datastore(ws, "short").keep_days == 7
    assert load_datastore(workspace, "bucket").keep_days == 30
    assert [Datastore(ws, name).keep_days for name in ("ever", "workspaceblobstore")] == [None] * 2
    with pytest.raises(UserErrorException, match="already exists: 'short'"):
        Datastore.register_local(ws, "short", "/tmp", keep_days=8)
    Datastore.register_local(ws, "short", "/tmp", keep_days=8, overwrite=True)
    assert Datastore(ws, "short").keep_days == 8


@pytest.mark.parametrize("days", [0, -1, 1.5, "30", True])
def test_retention_is_a_number_of_days(ws, days):
    """What is no such number is refused, with the way to keep data for ever."""
    with pytest.raises(UserErrorException, match=r"keep_days of the datastore 'd'.*for ever"):
        Datastore.register_local(ws, "d", "/tmp", keep_days=days)

"""What opens a store: connections in URLs, and what of them a step's process is handed."""

from __future__ import annotations

import json
import os

import pytest

from airflow_aml import Workspace
from airflow_aml.airflow import settings
from airflow_aml.airflow.connections import as_text, connection_fields
from airflow_aml.airflow.steps.storage import StepStores
from airflow_aml.definition.homes import home_of
from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.workspace import datastores
from airflow_aml.workspace.credentials import located, split_connection
from airflow_aml.workspace.datastores import DatastoreRecord
from airflow_aml.workspace.home import open_home


@pytest.mark.parametrize(
    ("url", "plain", "connection"),
    [
        ("abfs://my_azure@box/a/b", "abfs://box/a/b", "my_azure"),
        ("s3://my_s3@bucket.with.dots/a", "s3://bucket.with.dots/a", "my_s3"),
        ("s3://bucket/a@b", "s3://bucket/a@b", None),
        ("abfss://box@account.dfs.core.windows.net/a", None, None),
        ("abfss://c@box@acc.dfs.core.windows.net/a", "abfss://box@acc.dfs.core.windows.net/a", "c"),
        ("file:///home/a@b", None, None),
        ("/home/a@b", None, None),
    ],
)  # fmt: skip
def test_a_url_may_name_its_connection(url, plain, connection):
    """As Airflow's own object paths do; Azure's account names are no connections."""
    assert split_connection(url) == (plain or url, connection)


def test_a_connection_that_nobody_knows(monkeypatch, database):
    """One clear error, from whoever opens the workspace."""
    monkeypatch.setenv("AIRFLOW_AML_ATTEMPT", "a step")  # where Airflow is not asked
    with pytest.raises(UserErrorException, match="the connection 'none' is not known here"):
        open_home("abfs://none@box/aml")


def test_a_step_goes_by_what_it_was_handed(monkeypatch):
    """Its workspace's URL is the key, without the connection."""
    handed = {"s3://bucket/aml": {"key": "a", "secret": "bbbb"}}
    monkeypatch.setenv("AIRFLOW_AML_STORES", as_text(handed))

    assert located("s3://other@bucket/aml/") == ("s3://bucket/aml/", handed["s3://bucket/aml"])


def test_a_step_is_handed_its_workspaces_connections(workspace, monkeypatch, database):
    """Stores as fsspec's options, databases as their login; one that is unknown is left out."""
    azure = {"conn_type": "wasb", "login": "account", "password": "a key of it"}
    sql = {"conn_type": "postgres", "login": "me", "password": "hidden", "host": "h", "port": 5433}
    monkeypatch.setenv("AIRFLOW_CONN_CLOUD", json.dumps(azure))
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps({**sql, "schema": "sales"}))
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(azure))
    assert StepStores(workspace).handed() == {}
    for name, kind, url, connection in (
        ("lake", "AzureBlob", "abfs://box/lake", "cloud"),
        ("sales", "AzurePostgreSql", "", "sql"),
        ("lost", "AzureBlob", "abfs://box/lost", "nobody_knows"),
    ):
        record = DatastoreRecord(name, kind, url, {}, connection)
        datastores.save_datastore(workspace, record, {})

    stores = StepStores(workspace)
    assert stores.open("lake").url == "abfs://box/lake"
    handed = stores.handed()

    options = {"account_name": "account", "account_key": "a key of it"}
    login = {key: handed["sql"][key] for key in (*sql, "schema")}
    assert sorted(handed) == ["abfs://box/lake", "cloud", "sql"]
    assert handed["abfs://box/lake"] == handed["cloud"] == options
    assert login == {**sql, "schema": "sales"}
    assert connection_fields("sql")["schema"] == "sales"


def test_a_workspace_in_memory_is_refused(monkeypatch):
    """A step runs in another process, which could not see it."""
    with pytest.raises(NotImplementedError, match="memory"):
        StepStores(open_home("memory://here"))


def test_programs_inside_airflow_go_by_its_configuration(tmp_path, monkeypatch):
    """Also where the setting stands in airflow.cfg and no variable says it."""
    from airflow.sdk import conf

    for name in [name for name in os.environ if name.startswith("AIRFLOW__AML")]:
        monkeypatch.delenv(name)
    if not conf.has_section("aml"):
        conf.add_section("aml")
    before = conf.get("aml", "workspace", fallback="")
    conf.set("aml", "workspace", (tmp_path / "configured").as_uri())
    try:
        assert home_of(Workspace()).root == tmp_path / "configured"
        monkeypatch.setenv("AIRFLOW_AML_ATTEMPT", "a step")
        monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", (tmp_path / "handed").as_uri())
        assert home_of(Workspace()).root == tmp_path / "handed"
    finally:
        conf.set("aml", "workspace", before)


def test_the_caches_size_is_a_number(monkeypatch):
    """Of bytes."""
    assert settings.cache_bytes() == 0
    monkeypatch.setenv("AIRFLOW__AML__CACHE_BYTES", "1000000")
    assert settings.cache_bytes() == 1_000_000
    monkeypatch.setenv("AIRFLOW__AML__CACHE_BYTES", "20 GB")
    with pytest.raises(WorkspaceException, match="cache_bytes must be a number of bytes"):
        settings.cache_bytes()

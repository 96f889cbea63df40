"""Datastores in object stores: the same calls on S3 and on Azure Blob Storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_aml import Dataset, Datastore
from airflow_aml.errors import WorkspaceException
from scripts import test_servers
from scripts.test_servers import NotInstalledError, Server, make_container


def _server(start: Any) -> Iterator[Server]:
    try:
        server = start()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        make_container(server, "data")
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    """An S3 server."""
    yield from _server(test_servers.s3)


@pytest.fixture(scope="module")
def azurite() -> Iterator[Server]:
    """An Azure Blob Storage server."""
    yield from _server(test_servers.azurite)


@pytest.fixture(params=["s3", "azure"])
def remote(request, ws, monkeypatch) -> Datastore:
    """A datastore in an object store, opened with an Airflow connection."""
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        options = server.options
        fields = {"login": options["key"], "password": options["secret"], "conn_type": "aws"}
        extra = {"endpoint_url": options["endpoint_url"]}
        monkeypatch.setenv("AIRFLOW_CONN_REMOTE", json.dumps({**fields, "extra": extra}))
        return Datastore.register_s3(ws, "remote", "data", "a folder", connection_id="remote")
    server = request.getfixturevalue("azurite")
    extra = {"connection_string": server.options["connection_string"]}
    monkeypatch.setenv("AIRFLOW_CONN_REMOTE", json.dumps({"conn_type": "wasb", "extra": extra}))
    return Datastore.register_azure_blob_container(ws, "remote", "data", connection_id="remote")


def test_a_program_runs_on_an_object_store(ws, remote, project: Path, tmp_path, capsys):
    """Upload, datasets, reading, splitting, registering, downloading, mounting."""
    (project / "data").mkdir()
    for number in range(3):
        (project / "data" / f"{number} ü.csv").write_text(f"n\n{number}\n")
    remote.set_as_default()
    store = ws.get_default_datastore()

    store.upload("data", "train", overwrite=True)
    assert "Uploaded 3 files" in capsys.readouterr().out
    store.upload("data", "train")
    assert "Target already exists. Skipping" in capsys.readouterr().out
    table = Dataset.Tabular.from_delimited_files((store, "train/*.csv"), include_path=True)
    table.register(ws, "numbers", create_new_version=True)
    frame = Dataset.get_by_name(ws, "numbers").to_pandas_dataframe()
    files = Dataset.File.from_files((store, "train"))

    assert frame["n"].tolist() == [0, 1, 2]
    assert frame["Path"].tolist()[0] == "/train/0 ü.csv"
    assert files.to_path() == ["/0 ü.csv", "/1 ü.csv", "/2 ü.csv"]
    assert Path(files.download(str(tmp_path / "d"))[1]).read_text() == "n\n1\n"
    with files.mount() as mounted:
        assert len(list(Path(mounted.mount_point).iterdir())) == 3
    assert store.download(str(tmp_path / "e"), prefix="train/", show_progress=False) == 3


def test_wrong_credentials_are_one_clear_error(ws, azurite):
    """Without the secret in it."""
    options = azurite.options["connection_string"]
    account = dict(part.partition("=")[::2] for part in options.split(";") if part)
    wrong = "d3Jvbmcta2V5"
    Datastore.register_azure_blob_container(
        ws,
        "bad",
        "data",
        account["AccountName"],
        account_key=wrong,
        protocol="http",
        endpoint=f"127.0.0.1:{azurite.port}",
    )

    with pytest.raises(WorkspaceException, match="refuses these credentials") as refused:
        Dataset.File.from_files((Datastore(ws, "bad"), "x")).to_path()

    assert wrong not in str(refused.value)

"""Airflow connections as the options that fsspec opens a store with.

A workspace's URL may name its connection as Airflow's own object paths do:
``abfs://my_azure@container/path``. Credentials are looked up when a task needs them and are handed
to a step's process in its environment; they are in no document, XCom, log or fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Connection

from airflow_aml.errors import NotServedError, WorkspaceException
from airflow_aml.workspace.credentials import split_connection
from airflow_aml.workspace.stores.trouble import Secrets

__all__ = ["as_text", "connection_fields", "split_connection", "storage_options"]

_AZURE = ("wasb", "adls", "azure_data_lake", "azure")
_AZURE_EXTRA = (
    "connection_string",
    "account_name",
    "account_key",
    "sas_token",
    "tenant_id",
    "client_id",
    "client_secret",
    "account_host",
)


def storage_options(connection_id: str) -> dict[str, Any]:
    """What fsspec needs to open a store with that Airflow connection.

    Raises:
        WorkspaceException: there is no such connection.
        NotServedError: it is of a type that no store here uses.
    """
    connection = _connection(connection_id)
    extra = connection.extra_dejson
    if connection.conn_type in _AZURE:
        return _azure(connection, extra)
    if connection.conn_type in ("aws", "s3"):
        return _aws(connection, extra)
    if connection.conn_type in ("generic", "fs", "file"):
        return dict(extra.get("storage_options") or {})
    raise NotServedError(
        f"the connection {connection_id!r} is of type {connection.conn_type!r}; stores are opened "
        "with connections of type wasb, adls, aws or generic."
    )


def connection_fields(connection_id: str) -> dict[str, Any]:
    """What a database is logged into with: login, password, host, port, schema.

    Raises:
        WorkspaceException: there is no such connection.
    """
    connection = _connection(connection_id)
    return {
        "conn_type": connection.conn_type,
        "login": connection.login,
        "password": connection.password,
        "host": connection.host,
        "port": connection.port,
        "schema": connection.schema,
        "extra": dict(connection.extra_dejson),
    }


def _connection(connection_id: str) -> Connection:
    try:
        found: Connection = Connection.get(connection_id)
    except Exception as error:  # noqa: BLE001 - secrets backends raise what they like
        raise WorkspaceException(
            f"there is no Airflow connection {connection_id!r} ({type(error).__name__}).",
            hint="Add it in Airflow (Admin, Connections) or as AIRFLOW_CONN_"
            f"{connection_id.upper()}.",
        ) from None
    return found


def _azure(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: extra[key] for key in _AZURE_EXTRA if extra.get(key)}
    if "connection_string" in options:
        return {"connection_string": options["connection_string"]}
    if connection.login:
        options.setdefault("account_name", connection.login)
    if connection.password and not {"sas_token", "client_secret"} & set(options):
        options.setdefault("account_key", connection.password)
    return options


def _aws(connection: Connection, extra: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if connection.login:
        options.update(key=connection.login, secret=connection.password)
    if extra.get("aws_session_token"):
        options["token"] = extra["aws_session_token"]
    if extra.get("endpoint_url"):
        options["endpoint_url"] = extra["endpoint_url"]
    if extra.get("region_name"):
        options["client_kwargs"] = {"region_name": extra["region_name"]}
    return options


def as_text(stores: Mapping[str, Mapping[str, Any]]) -> str:
    """Stores and their options as the one variable that a step's process gets.

    Airflow masks every secret of it in what the task logs from now on.
    """
    from airflow.sdk.log import mask_secret

    for secret in Secrets(stores).values:
        mask_secret(secret)
    return json.dumps(stores, sort_keys=True)

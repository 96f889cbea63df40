"""Datastores: named places where data lives, and how each is opened.

::

    registry/datastore/<name>.json     what it is: type, URL, names; nothing secret
    registry/secrets/<name>.json       its key or password, where it has no connection
    registry/default/datastore.json    which one is the default
    datastores/<name>/...              files of the two that always exist

The two built-in ones are folders of the workspace, wherever that is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.registry import Registry
    from airflow_aml.workspace.stores.base import Store

DEFAULT_DATASTORE = "workspaceblobstore"
BUILT_IN: Mapping[str, str] = {DEFAULT_DATASTORE: "AzureBlob", "workspacefilestore": "AzureFile"}
"""The datastores that always exist, and v1's types of them."""

SQL_TYPES: Mapping[str, str] = {
    "AzureSqlDatabase": "mssql",
    "AzurePostgreSql": "postgresql",
    "AzureMySql": "mysql",
}
"""Datastore types that are databases, and SQLAlchemy's names of them."""

_KIND = "datastore"
_NAME = re.compile(r"^[A-Za-z0-9_-]+$")


@dataclass(frozen=True)
class DatastoreRecord:
    """What a datastore is, without its secret.

    Attributes:
        type: v1's word: ``AzureBlob``, ``AzureFile``, ``AzureDataLakeGen2``, ``AzureSqlDatabase``,
            ``AzurePostgreSql``, ``AzureMySql``; ``S3`` and ``Local`` beside them.
        url: of a store of files: where it is.
        settings: what else v1's object tells: ``account_name``, ``container_name``, ...
        connection_id: the Airflow connection that opens it.
        keep_days: how long intermediate data in it is kept; None: for ever.
    """

    name: str
    type: str
    url: str = ""
    settings: Dict[str, str] = field(default_factory=dict)
    connection_id: Optional[str] = None
    keep_days: Optional[int] = None


def check_name(name: object) -> str:
    """``name`` if a datastore can be called so.

    Raises:
        UserErrorException: it is not made of letters, digits, ``-`` and ``_``.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise UserErrorException(
            f"{name!r} cannot be a datastore's name: it is made of letters, digits, '-' and '_'."
        )
    return name


def load_datastore(home: Home, name: str) -> DatastoreRecord:
    """The record of a datastore; of the default one for an empty name.

    Raises:
        UserErrorException: there is none of that name; the text lists names like it.
    """
    name = name or default_datastore(home)
    if name in BUILT_IN:
        return DatastoreRecord(name, BUILT_IN[name])
    from airflow_aml.codec import decode

    registry = _registry(home)
    try:
        return decode(DatastoreRecord, registry.load(_KIND, check_name(name)))
    except UserErrorException as error:
        if name in registry.names(_KIND):
            raise
        raise UserErrorException(
            f"there is no datastore {name!r} in the workspace {home.name!r}.",
            hint=_near(name, datastore_names(home)),
        ) from error


def save_datastore(
    home: Home, record: DatastoreRecord, secret: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """Registers a datastore.

    Raises:
        UserErrorException: there is one of that name and ``overwrite`` is not set.
    """
    name = check_name(record.name)
    if name in BUILT_IN:
        raise UserErrorException(
            f"the datastore {name!r} belongs to the workspace and cannot be registered anew.",
            hint="Register under another name, and call set_as_default() on it.",
        )
    from airflow_aml.codec import encode
    from airflow_aml.workspace import credentials

    registry = _registry(home)
    if not overwrite and name in registry.names(_KIND):
        raise _taken(name)
    if secret:
        # Before the record: a datastore that is there can be opened.
        credentials.write_secret(home.store, name, secret)
    try:
        registry.put(_KIND, name, encode(record), overwrite=overwrite)
    except UserErrorException:
        raise _taken(name) from None
    if not secret:
        credentials.remove_secret(home.store, name)


def remove_datastore(home: Home, name: str) -> None:
    """Forgets a datastore and its secret; its data stays.

    Raises:
        UserErrorException: it is one of the workspace's own, or there is none of that name.
    """
    if name in BUILT_IN:
        raise UserErrorException(f"the datastore {name!r} belongs to the workspace.")
    from airflow_aml.workspace import credentials

    load_datastore(home, name)
    _registry(home).remove(_KIND, name)
    credentials.remove_secret(home.store, name)


def datastore_names(home: Home) -> List[str]:
    """The names of all datastores, the workspace's own first."""
    return [*BUILT_IN, *_registry(home).names(_KIND)]


def default_datastore(home: Home) -> str:
    """The name of the default datastore."""
    found = _registry(home).try_load("default", _KIND)
    return DEFAULT_DATASTORE if found is None else str(found["name"])


def set_default_datastore(home: Home, name: str) -> None:
    """Makes a datastore the default one.

    Raises:
        UserErrorException: there is none of that name.
    """
    load_datastore(home, name)
    _registry(home).put("default", _KIND, {"name": name}, overwrite=True)


def open_datastore(home: Home, name: str) -> Store:
    """The store of a datastore; of the default one for an empty name.

    Raises:
        UserErrorException: there is none of that name, or it is a database.
    """
    record = load_datastore(home, name)
    if record.name in BUILT_IN:
        from airflow_aml.workspace import layout

        return open_folder(home, layout.datastore(record.name))
    if record.type in SQL_TYPES:
        raise UserErrorException(
            f"the datastore {record.name!r} is a database and holds no files.",
            hint="Dataset.Tabular.from_sql_query reads it.",
        )
    from airflow_aml.workspace.stores import open_store

    options = storage_options(home, record)
    store = open_store(record.url, options)
    if store.local_root is not None:
        import os

        if not os.path.isdir(store.local_root):
            raise UserErrorException(
                f"the folder {store.local_root} of the datastore {record.name!r} is not there.",
                hint="Mount it on this machine, or register the datastore with its right path.",
            )
    return store


def open_folder(home: Home, folder: str) -> Store:
    """A folder of the workspace as a store of its own."""
    from airflow_aml.workspace.stores.folder import FolderStore

    return FolderStore(home.store, folder)


def secret_of(home: Home, record: DatastoreRecord) -> Dict[str, str]:
    """A datastore's secret, where the workspace keeps one."""
    from airflow_aml.workspace import credentials

    return credentials.read_secret(home.store, record.name)


def storage_options(home: Home, record: DatastoreRecord) -> Dict[str, Any]:
    """fsspec's options for a datastore, secrets and all.

    Raises:
        UserErrorException: its connection is not known here.
    """
    if record.type in ("Local", "AzureFile"):
        return {}
    given: Dict[str, Any] = dict(secret_of(home, record))
    if record.connection_id:
        from airflow_aml.workspace import credentials

        given = {**credentials.storage_options(record.connection_id, record.type), **given}
    if record.type == "S3":
        return _s3_options(record, given)
    return _azure_options(record, given)


def _azure_options(record: DatastoreRecord, given: Dict[str, Any]) -> Dict[str, Any]:
    if "connection_string" in given:
        return given
    settings = record.settings
    options: Dict[str, Any] = {
        key: settings[key] for key in ("account_name", "tenant_id", "client_id") if key in settings
    }
    options.update(given)
    endpoint = settings.get("endpoint", "")
    if endpoint and endpoint != "core.windows.net":
        return {"connection_string": _connection_string(settings, options, endpoint)}
    return options


def _connection_string(
    settings: Mapping[str, str], options: Mapping[str, Any], endpoint: str
) -> str:
    """For a service that is not Azure's own: an emulator, another cloud."""
    protocol, account = settings.get("protocol") or "https", options["account_name"]
    parts = [f"DefaultEndpointsProtocol={protocol}", f"AccountName={account}"]
    if options.get("account_key"):
        parts.append(f"AccountKey={options['account_key']}")
    elif options.get("sas_token"):
        parts.append(f"SharedAccessSignature={options['sas_token'].lstrip('?')}")
    else:
        raise NotServedError(
            f"the datastore {settings.get('account_name')!r} at {endpoint} needs a key or token."
        )
    if ":" in endpoint or endpoint == "localhost":
        parts.append(f"BlobEndpoint={protocol}://{endpoint}/{account}")
    else:
        parts.append(f"EndpointSuffix={endpoint}")
    return ";".join(parts)


def _s3_options(record: DatastoreRecord, given: Dict[str, Any]) -> Dict[str, Any]:
    options = dict(given)
    if record.settings.get("endpoint_url"):
        options["endpoint_url"] = record.settings["endpoint_url"]
    if record.settings.get("region_name"):
        options["client_kwargs"] = {"region_name": record.settings["region_name"]}
    return options


def _registry(home: Home) -> Registry:
    from airflow_aml.workspace.registry import Registry

    return Registry(home.store)


def _taken(name: str) -> UserErrorException:
    return UserErrorException(
        f"Another datastore with the same name already exists: {name!r}.",
        hint="Use another name, or replace it with overwrite=True.",
    )


def _near(name: str, known: List[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"Is it {' or '.join(map(repr, close))}?"
    return f"There are: {', '.join(map(repr, sorted(known)[:10]))}."

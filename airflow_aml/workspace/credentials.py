"""What a datastore is opened with: from an Airflow connection, or kept in a document of its own.

A connection is looked for where the caller is: in what the step was handed
(:data:`STORES_VARIABLE`), in ``AIRFLOW_CONN_<ID>``, and in Airflow itself where this is not a
step's process. Secrets are in no definition, text or error; on disk only their owner reads them.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.workspace.documents import parse_json, temporary_name
from airflow_aml.workspace.names import file_name

if TYPE_CHECKING:
    from airflow_aml.workspace.stores.base import Store

STORES_VARIABLE = "AIRFLOW_AML_STORES"
"""A step's variable: a JSON object, workspace URL or connection id -> what opens it."""

_AZURE_SCHEMES = ("abfs", "abfss", "az")
_STEP_VARIABLE = "AIRFLOW_AML_ATTEMPT"
_AIRFLOW = "airflow_aml.airflow.connections"

Fields = Dict[str, Any]
"""A connection: ``conn_type``, ``login``, ``password``, ``host``, ``port``, ``schema``, extra."""


def handed(key: str, environ: Optional[Mapping[str, str]] = None) -> Optional[Dict[str, Any]]:
    """What this step's process was handed for a store's URL or connection id, if anything."""
    return all_handed(environ).get(key)


def all_handed(environ: Optional[Mapping[str, str]] = None) -> Dict[str, Dict[str, Any]]:
    """All that this step's process was handed: URL or connection id -> what opens it."""
    text = (os.environ if environ is None else environ).get(STORES_VARIABLE)
    found: Dict[str, Dict[str, Any]] = json.loads(text) if text else {}
    return found


def split_connection(url: str) -> Tuple[str, Optional[str]]:
    """A URL without its connection, and the connection's id if it names one.

    ``abfss://container@account.dfs.core.windows.net/path`` is Azure's own way to name an account,
    not a connection: no container has a dot in its name, and every such address has.
    """
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    first, at, others = host.partition("@")
    is_account = scheme.lower() in _AZURE_SCHEMES and "." in others and "@" not in others
    if not separator or not at or is_account or scheme.lower() == "file":
        return url, None
    return f"{scheme}://{others}{slash}{path}", first


def located(
    url: str, options: Optional[Mapping[str, Any]] = None
) -> Tuple[str, Optional[Mapping[str, Any]]]:
    """A store's URL without its connection, and what opens it, if anybody here knows.

    Raises:
        UserErrorException: the URL names a connection that nobody here knows.
    """
    plain, connection_id = split_connection(url)
    if options is None:
        options = handed(plain.rstrip("/"))
    if options is None and connection_id is not None:
        is_azure = url.partition("://")[0].lower() in _AZURE_SCHEMES
        options = storage_options(connection_id, "AzureBlob" if is_azure else "S3")
    return plain, options


def storage_options(connection_id: str, type_name: str) -> Dict[str, Any]:
    """fsspec's options for a datastore of that type with that connection.

    Raises:
        UserErrorException: nobody here knows the connection.
    """
    given = handed(connection_id)
    if given is not None:
        return given
    fields = _from_environment(connection_id)
    if fields is not None:
        return _s3_options(fields) if type_name == "S3" else _azure_options(fields)
    options: Dict[str, Any] = _ask_airflow("storage_options", connection_id)
    return options


def login_fields(connection_id: str) -> Fields:
    """Login, password, host, port and schema of a database's connection.

    Raises:
        UserErrorException: nobody here knows the connection.
    """
    found = handed(connection_id) or _from_environment(connection_id)
    return found if found is not None else _ask_airflow("connection_fields", connection_id)


def _ask_airflow(function: str, connection_id: str) -> Dict[str, Any]:
    # A step's process has no business with Airflow's database, even where it could reach it.
    if _STEP_VARIABLE not in os.environ:
        try:
            ask = getattr(import_module(_AIRFLOW), function, None)
        except ImportError:
            ask = None
        if ask is not None:
            found: Dict[str, Any] = ask(connection_id)
            return found
    raise UserErrorException(
        f"the connection {connection_id!r} is not known here.",
        hint=f"Add it in Airflow, or set AIRFLOW_CONN_{connection_id.upper()}.",
    )


def _from_environment(connection_id: str) -> Optional[Fields]:
    text = os.environ.get(f"AIRFLOW_CONN_{connection_id.upper()}")
    if not text:
        return None
    try:
        fields = json.loads(text) if text.lstrip().startswith("{") else _parsed_uri(text)
        extra = fields.get("extra") or {}
        fields["extra"] = json.loads(extra) if isinstance(extra, str) else dict(extra)
    except (ValueError, TypeError, AttributeError):
        # Not chained and not quoted: the text holds a password.
        raise UserErrorException(
            f"AIRFLOW_CONN_{connection_id.upper()} is neither a connection's JSON nor its URI."
        ) from None
    result: Fields = fields
    return result


def _parsed_uri(text: str) -> Fields:
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no scheme")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra = query.pop("__extra__", None)
    return {
        "conn_type": parts.scheme.replace("-", "_"),
        "login": None if parts.username is None else unquote(parts.username),
        "password": None if parts.password is None else unquote(parts.password),
        "host": None if parts.hostname is None else unquote(parts.hostname),
        "port": parts.port,
        "schema": unquote(parts.path.lstrip("/")) or None,
        "extra": json.loads(extra) if extra else query,
    }


_AZURE_EXTRA = (
    "account_name",
    "account_key",
    "sas_token",
    "tenant_id",
    "client_id",
    "client_secret",
    "account_host",
)


def _azure_options(fields: Fields) -> Dict[str, Any]:
    extra = fields["extra"]
    if extra.get("connection_string"):
        return {"connection_string": extra["connection_string"]}
    options = {name: extra[name] for name in _AZURE_EXTRA if extra.get(name)}
    if fields.get("login"):
        options.setdefault("account_name", fields["login"])
    if fields.get("password") and not {"sas_token", "client_secret"} & set(options):
        options.setdefault("account_key", fields["password"])
    return options


def _s3_options(fields: Fields) -> Dict[str, Any]:
    extra = fields["extra"]
    options: Dict[str, Any] = {}
    if fields.get("login"):
        options.update(key=fields["login"], secret=fields.get("password"))
    if extra.get("aws_session_token"):
        options["token"] = extra["aws_session_token"]
    if extra.get("endpoint_url"):
        options["endpoint_url"] = extra["endpoint_url"]
    if extra.get("region_name"):
        options["client_kwargs"] = {"region_name": extra["region_name"]}
    return options


def write_secret(store: Store, name: str, secret: Mapping[str, str]) -> None:
    """Keeps a datastore's secret in the workspace; on a disk only its owner can read the file."""
    data = json.dumps(dict(secret)).encode()
    path = _secret_path(name)
    if store.local_root is None:
        store.write(path, data)
        return
    place = os.path.join(store.local_root, path)
    try:
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        temporary = temporary_name(place)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(temporary, place)
    except OSError as error:
        raise WorkspaceException(
            f"the credentials of datastore {name!r} cannot be kept: {error.strerror or error}.",
            where=store.url,
        ) from error


def read_secret(store: Store, name: str) -> Dict[str, str]:
    """A datastore's secret; empty where it has none.

    Raises:
        WorkspaceException: it is there and cannot be read.
    """
    path = _secret_path(name)
    try:
        secret: Dict[str, str] = parse_json(store.read(path), store.uri(path))
    except FileNotFoundError:
        return {}
    return secret


def remove_secret(store: Store, name: str) -> None:
    """Forgets a datastore's secret."""
    store.delete([_secret_path(name)])


def _secret_path(name: str) -> str:
    return f"registry/secrets/{file_name(name)}.json"

"""Stores: one way to local folders and object stores. :func:`open_store` opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from airflow_aml.errors import NotServedError, WorkspaceException

if TYPE_CHECKING:
    from airflow_aml.workspace.stores.backend import Backend
    from airflow_aml.workspace.stores.base import Store

__all__ = ["SCHEMES", "open_store"]

_AZURE = ("abfs", "abfss", "az")
_S3 = ("s3", "s3a")
SCHEMES = ("file", *_AZURE, *_S3, "memory")
"""What a store's URL may begin with."""


def open_store(url: str, options: Optional[Mapping[str, Any]] = None) -> Store:
    """Opens a store. No request is sent before it is used.

    Args:
        url: an absolute path, ``file:///folder``, ``abfs://container/folder``,
            ``abfss://container@account.dfs.core.windows.net/folder``, ``s3://bucket/folder``, or
            ``memory://folder`` for tests inside one process.
        options: fsspec's storage options for adlfs (``account_name``, ``account_key``,
            ``sas_token``, ``connection_string``, ...) or s3fs (``key``, ``secret``,
            ``endpoint_url``, ...). Without any these libraries look into the environment.

    Raises:
        NotServedError: the URL has a scheme that is not one of :data:`SCHEMES`.
        WorkspaceException: it is no URL, it has credentials in it, or the package for it is not
            installed here.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if url.startswith("/") or scheme == "file" or url.lower().startswith("file:"):
        from airflow_aml.workspace.stores.local import LocalStore
        from airflow_aml.workspace.uris import path_of_uri

        return LocalStore(url if url.startswith("/") else path_of_uri(url))
    if not separator:
        raise WorkspaceException(
            f"{url!r} is neither a URL nor an absolute path.",
            hint="A store is named like /folder, file:///folder, abfs://container or s3://bucket.",
        )
    if scheme not in SCHEMES:
        raise NotServedError(
            f"a store at a {scheme!r} URL cannot be opened.",
            hint=f"URLs of stores begin with one of {', '.join(SCHEMES)}.",
        )
    if scheme == "memory":
        from airflow_aml.workspace.stores.memory import MemoryStore

        return MemoryStore(rest)
    return _remote(scheme, rest, dict(options or {}))


def _remote(scheme: str, rest: str, options: Dict[str, Any]) -> Store:
    from airflow_aml.workspace.stores.paths import checked
    from airflow_aml.workspace.stores.remote import FsspecStore

    host, _, path = rest.partition("/")
    path = path.strip("/")
    container, options = _container(scheme, host, options)
    url = f"{scheme}://{host}/{path}".rstrip("/")
    prefix = f"{checked(path, url)}/" if path else ""

    def connect() -> Backend:
        return _backend(scheme, url, container, options)

    store = FsspecStore(url, prefix, connect, options)
    _require(scheme, url)
    return store


def _container(scheme: str, host: str, options: Dict[str, Any]) -> Tuple[str, Dict[str, Any]]:
    """The container that a URL names; Azure's may name the account too."""
    container, at, account = host.partition("@")
    if not container or ":" in container or (at and scheme not in _AZURE):
        raise WorkspaceException(
            f"the {scheme}:// URL of this store does not begin with a container or bucket alone.",
            hint="Credentials belong into the options or an Airflow connection, never into a URL.",
        )
    if at and "account_name" not in options and "connection_string" not in options:
        options = {**options, "account_name": account.partition(".")[0]}
        service = account.partition(".")[2].replace("dfs.", "blob.", 1)
        if service and service != "blob.core.windows.net":
            options["account_host"] = f"{options['account_name']}.{service}"
    return container, options


def _backend(scheme: str, url: str, container: str, options: Mapping[str, Any]) -> Backend:
    if scheme in _AZURE:
        from airflow_aml.workspace.stores.azure import AzureBackend

        return AzureBackend(container, options)
    from airflow_aml.workspace.stores.s3 import S3Backend

    return S3Backend(container, options)


def _require(scheme: str, url: str) -> None:
    """Raises if the package that speaks to such a store is not installed."""
    from importlib.util import find_spec

    package, extra = ("adlfs", "azure") if scheme in _AZURE else ("s3fs", "s3")
    if find_spec(package) is None:
        raise WorkspaceException(
            f"the package {package}, which speaks to such a store, is not installed.",
            where=url,
            hint=f"pip install 'airflow-provider-aml[{extra}]'",
        )

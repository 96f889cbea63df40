"""Where a workspace is, and opening one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Optional

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.documents import create_json, parse_json, read_json
from airflow_aml.workspace.layout import LAYOUT_VERSION, WORKSPACE_DOCUMENT
from airflow_aml.workspace.uris import path_of_uri, uri_of_path

if TYPE_CHECKING:
    from airflow_aml.workspace.stores.base import Store

__all__ = ["Home", "default_url", "open_home", "path_of_uri", "uri_of_path"]

WORKSPACE_VARIABLE = "AIRFLOW__AML__WORKSPACE"

_NOT_MADE = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Home:
    """An open workspace.

    Attributes:
        url: ``file:///...``, ``abfs://...``, ``s3://...``, without a slash at its end.
        uuid: the workspace's identity, the same for all who open it.
    """

    url: str
    uuid: str
    name: str
    _remote: Optional[Store] = field(default=None, repr=False, compare=False)
    _options: Optional[Mapping[str, Any]] = field(default=None, repr=False, compare=False)

    @property
    def is_made(self) -> bool:
        """Whether the workspace was there when it was opened, or made then."""
        return self.uuid != _NOT_MADE

    @property
    def is_local(self) -> bool:
        """Whether the workspace is a folder of this machine."""
        return self._remote is None

    @property
    def options(self) -> Mapping[str, Any]:
        """What opens the workspace's store, secrets and all; empty for a local one."""
        return self._options or {}

    @property
    def store(self) -> Store:
        """Everything in the workspace, wherever it is."""
        if self._remote is not None:
            return self._remote
        return _local_store(self.url)

    @property
    def root(self) -> Path:
        """The workspace's folder.

        Raises:
            WorkspaceException: the workspace is not a folder of this machine.
        """
        if self._remote is not None:
            raise WorkspaceException(
                "this workspace is not a folder of this machine; its files have no local path.",
                where=self.url,
            )
        return Path(path_of_uri(self.url))

    def path(self, relative: str) -> Path:
        """The local path of a place that :mod:`~airflow_aml.workspace.layout` names.

        Raises:
            WorkspaceException: the place is outside the workspace.
        """
        parts = relative.split("/")
        if relative.startswith("/") or ".." in parts:
            raise WorkspaceException(f"{relative!r} is not inside the workspace.", where=self.url)
        return self.root.joinpath(*parts)

    def uri(self, relative: str) -> str:
        """The URI of such a place."""
        if self._remote is not None:
            return self._remote.uri(relative)
        return uri_of_path(self.path(relative))


@lru_cache(maxsize=8)
def _local_store(url: str) -> Store:
    from airflow_aml.workspace.stores.local import LocalStore

    return LocalStore(path_of_uri(url))


def open_home(
    url: str,
    name: Optional[str] = None,
    options: Optional[Mapping[str, Any]] = None,
    *,
    create: bool = True,
) -> Home:
    """Opens the workspace at that URL or absolute path; its first caller ever creates it.

    Args:
        url: where it is; see :func:`~airflow_aml.workspace.stores.open_store`. One that is not
            local may name an Airflow connection: ``abfs://connection@container/path``.
        name: what it is called; by default like its folder.
        options: credentials and the like for a workspace that is not local; by default what this
            process was handed for it, or its connection says.
        create: False is for who only looks: what is not there is then an empty workspace.

    Raises:
        NotServedError: the URL has a scheme that this release does not serve.
        WorkspaceException: it cannot be created or read, or a later release made it.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme.lower() != "file" and not url.startswith("/"):
        return _open_remote(url, name, options, create)
    root = _root(url)
    document = os.path.join(root, WORKSPACE_DOCUMENT)
    try:
        try:
            content = read_json(document)
        except FileNotFoundError:
            if not create:
                return Home(uri_of_path(root), _NOT_MADE, name or os.path.basename(root) or "aml")
            os.makedirs(root, exist_ok=True)
            create_json(document, {"uuid": _new_uuid(), "layout_version": LAYOUT_VERSION})
            content = read_json(document)
    except OSError as error:
        raise WorkspaceException(
            f"the workspace cannot be opened: {error.strerror or error}.",
            where=url,
            hint=f"Set {WORKSPACE_VARIABLE} to a folder that can be written.",
        ) from error
    uuid = _checked_uuid(content, document)
    return Home(uri_of_path(root), uuid, name or os.path.basename(root) or "aml")


def default_url(environ: Mapping[str, str]) -> str:
    """The URL that the environment names: ``[aml] workspace``, else ``$AIRFLOW_HOME/aml``."""
    configured = environ.get(WORKSPACE_VARIABLE)
    if configured:
        return configured
    airflow_home = environ.get("AIRFLOW_HOME") or "~/airflow"
    return uri_of_path(os.path.join(os.path.abspath(os.path.expanduser(airflow_home)), "aml"))


def _root(url: str) -> str:
    if url.startswith("/"):
        return os.path.abspath(url)
    if not url.lower().startswith("file:"):
        raise WorkspaceException(
            f"{url!r} is neither a URL nor an absolute path.",
            hint="A workspace is named like file:///folder or /folder.",
        )
    return os.path.abspath(path_of_uri(url))


def _open_remote(
    url: str, name: Optional[str], options: Optional[Mapping[str, Any]], create: bool
) -> Home:
    import json

    from airflow_aml.workspace import credentials
    from airflow_aml.workspace.stores import open_store

    plain, options = credentials.located(url, options)
    store = open_store(plain, options)
    called = name or store.url.rpartition("/")[2] or "aml"
    try:
        data = store.read(WORKSPACE_DOCUMENT)
    except FileNotFoundError:
        if not create:
            return Home(store.url, _NOT_MADE, called, store, options)
        document = {"uuid": _new_uuid(), "layout_version": LAYOUT_VERSION}
        store.create(WORKSPACE_DOCUMENT, json.dumps(document).encode())
        data = store.read(WORKSPACE_DOCUMENT)
    where = store.uri(WORKSPACE_DOCUMENT)
    uuid = _checked_uuid(parse_json(data, where), where)
    return Home(store.url, uuid, called, store, options)


def _new_uuid() -> str:
    from uuid import uuid4

    return str(uuid4())


def _checked_uuid(content: Any, where: str) -> str:
    from uuid import UUID

    try:
        version = content["layout_version"]
        uuid = str(UUID(content["uuid"]))
        later = int(version) > LAYOUT_VERSION
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkspaceException(
            "this document does not describe a workspace.",
            where=where,
            hint="Restore it from a backup, or use another folder as the workspace.",
        ) from error
    if later:
        raise WorkspaceException(
            f"this workspace was made by a later release (layout {version}; this release "
            f"knows up to {LAYOUT_VERSION}).",
            where=where,
            hint="Upgrade airflow-provider-aml here.",
        )
    return uuid

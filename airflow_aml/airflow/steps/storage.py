"""The stores that one step reads and writes, and what its process opens them with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from airflow_aml.errors import AirflowAmlError, NotServedError
from airflow_aml.workspace import layout
from airflow_aml.workspace.datastores import (
    BUILT_IN,
    DEFAULT_DATASTORE,
    SQL_TYPES,
    DatastoreRecord,
    datastore_names,
    default_datastore,
    load_datastore,
    open_datastore,
    storage_options,
)
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.stores.base import Store

_IN_PROCESS = "memory:"


class StepStores:
    """The workspace and its datastores, as one step uses them; each is opened once.

    Raises:
        NotServedError: the workspace is in the memory of one process, which no step could see.
    """

    def __init__(self, home: Home) -> None:
        if home.url.startswith(_IN_PROCESS):
            raise NotServedError(
                f"steps cannot see a workspace in one process's memory ({home.url}).",
                hint="memory:// is for tests of a workspace alone.",
            )
        self._home = home
        self._opened: dict[str, Store] = {}

    @property
    def default(self) -> str:
        """The name of the default datastore."""
        return default_datastore(self._home) if self._knows("default") else DEFAULT_DATASTORE

    def open(self, name: str | None) -> Store:
        """The store of a datastore; of the default one for None or an empty name."""
        name = name or self.default
        if name not in self._opened:
            self._opened[name] = open_datastore(self._home, name)
        return self._opened[name]

    def place(self, relative: str) -> str:
        """A place of the workspace's layout as a job has it: a local path, or a URI."""
        home = self._home
        return str(home.path(relative)) if home.is_local else home.uri(relative)

    def handed(self) -> dict[str, Mapping[str, Any]]:
        """What the step's process needs to open stores: URL or connection id -> options.

        Connections of all datastores are in it, as a script may ask for any of them; one that is
        not to be had here is left out, as it may be none of the script's concern.
        """
        home = self._home
        handed: dict[str, Mapping[str, Any]] = {}
        if not home.is_local:
            handed[home.url] = home.options
        for record in self._registered():
            store = self._opened.get(record.name)
            if store is not None and store.local_root is None:
                handed[store.url] = storage_options(home, record)
            if record.connection_id:
                try:
                    handed[record.connection_id] = _connection(record)
                except AirflowAmlError:
                    continue
        return handed

    def _registered(self) -> list[DatastoreRecord]:
        if not self._knows("datastore"):
            return []
        names = [name for name in datastore_names(self._home) if name not in BUILT_IN]
        return [load_datastore(self._home, name) for name in names]

    def _knows(self, kind: str) -> bool:
        # Most local workspaces have no such document; one look is quicker than the registry.
        home = self._home
        return not home.is_local or os.path.isdir(home.path(f"{layout.REGISTRY}/{kind}"))


def _connection(record: DatastoreRecord) -> Mapping[str, Any]:
    from airflow_aml.workspace import credentials

    assert record.connection_id is not None
    if record.type in SQL_TYPES:
        return credentials.login_fields(record.connection_id)
    return credentials.storage_options(record.connection_id, record.type)

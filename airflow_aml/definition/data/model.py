"""What a dataset means, as data: paths, how to read them, and what is done with the records.

All of it is JSON (see :mod:`airflow_aml.codec`), so it stands in specs and in the registry alike. A
definition reads nothing and names no content: its id says what was asked for, not what was found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from airflow_aml.codec import decode, encode
from airflow_aml.errors import UserErrorException

DEFAULT = ""
"""In a :class:`StoredPath`: whatever the workspace's default datastore is when the run starts."""

_NAMESPACE = "8d2f6c0b-52a5-5e0c-9c39-6f3f5a1c7e4d"


@dataclass(frozen=True)
class StoredPath:
    """A place in a datastore; ``path`` is relative to its root and may hold glob signs.

    ``datastore`` is a name, or :data:`DEFAULT`.
    """

    datastore: str
    path: str
    kind: str = "stored_path"


@dataclass(frozen=True)
class LocalPath:
    """A path of this machine, relative to the defining file's folder unless absolute."""

    path: str
    kind: str = "local_path"


@dataclass(frozen=True)
class WebPath:
    """A URL that is no datastore's: ``https://host/file.csv``."""

    url: str
    kind: str = "web_path"

    @property
    def path(self) -> str:
        """The URL, where messages name paths."""
        return self.url


@dataclass(frozen=True)
class WorkspacePath:
    """A committed output: a path relative to the workspace's own root."""

    path: str
    kind: str = "workspace_path"


DataPlace = Union[StoredPath, LocalPath, WebPath, WorkspacePath]


@dataclass(frozen=True)
class Operation:
    """One recorded transformation: ``take``, ``filter``, ``keep_columns``..."""

    name: str
    arguments: Dict[str, Any] = field(default_factory=dict)
    kind: str = "operation"


Operations = Tuple[Operation, ...]


@dataclass(frozen=True)
class Reading:
    """How files become a table.

    Attributes:
        format: ``delimited``, ``parquet`` or ``json_lines``.
        options: what differs from the format's defaults (see ``reading.py``).
    """

    format: str = "delimited"
    options: Dict[str, Any] = field(default_factory=dict)
    kind: str = "reading"


@dataclass(frozen=True)
class Files:
    """A file dataset: the union of its paths, in the author's order."""

    paths: Tuple[DataPlace, ...]
    operations: Tuple[Operation, ...] = ()
    partition_format: Optional[str] = None
    kind: str = "files"


@dataclass(frozen=True)
class Table:
    """A tabular dataset from files."""

    paths: Tuple[DataPlace, ...]
    reading: Reading = Reading()
    operations: Tuple[Operation, ...] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Query:
    """A tabular dataset from a query to a database.

    Attributes:
        timeout: in seconds.
        types: of ``set_column_types``.
    """

    datastore: str
    query: str
    timeout: int = 30
    types: Dict[str, Any] = field(default_factory=dict)
    operations: Tuple[Operation, ...] = ()
    kind: str = "query"


@dataclass(frozen=True)
class Registered:
    """A registered dataset by name; ``version`` None is the latest when the run starts.

    Attributes:
        operations: what is done with its records beyond its own definition.
    """

    name: str
    version: Optional[int] = None
    operations: Tuple[Operation, ...] = ()
    kind: str = "registered"


Definition = Union[Files, Table, Query]
"""What can be read without asking a registry."""

DatasetSource = Union[Files, Table, Query, Registered]


@dataclass(frozen=True)
class Registration:
    """An output that becomes a version of a registered dataset when its step has succeeded.

    Attributes:
        reading: how its files become a table; None registers a file dataset.
        operations: recorded transformations of that dataset.
    """

    name: str
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    reading: Optional[Reading] = None
    operations: Tuple[Operation, ...] = ()
    partition_format: Optional[str] = None


_KINDS: Mapping[str, Any] = {"files": Files, "table": Table, "query": Query}


def definition_of(document: Mapping[str, Any]) -> Definition:
    """The definition that such a document describes.

    Raises:
        UserErrorException: it is of a kind that this release does not know.
    """
    kind = _KINDS.get(str(document.get("kind")))
    if kind is None:
        raise UserErrorException(
            f"a dataset of the kind {document.get('kind')!r} is not known here.",
            hint="It was made by a later release: upgrade airflow-provider-aml.",
        )
    result: Definition = decode(kind, document)
    return result


def definition_id(definition: DatasetSource) -> str:
    """The id of a definition: the same wherever and whenever the same is asked for."""
    from uuid import UUID, uuid5

    text = json.dumps(encode(definition), sort_keys=True, separators=(",", ":"))
    return str(uuid5(UUID(_NAMESPACE), text))


def with_operations(source: Any, operations: Operations) -> Any:
    """The same source with further operations."""
    if not operations:
        return source
    return replace(source, operations=(*source.operations, *operations))

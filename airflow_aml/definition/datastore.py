"""Datastores: named places where data lives. This release has the two built-in, local ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.workspace import Workspace

DEFAULT_DATASTORE = "workspaceblobstore"
BUILT_IN = (DEFAULT_DATASTORE, "workspacefilestore")


class Datastore:
    """A named place for data in a workspace (reference 1.1).

    ``Datastore(workspace)`` is the default one, ``Datastore(workspace, name)`` a named one. Its
    files lie in ``datastores/<name>/`` of the workspace.

    Raises:
        UserErrorException: there is no datastore of that name.
    """

    def __init__(self, workspace: Union[Workspace, str, None], name: Optional[str] = None):
        name = DEFAULT_DATASTORE if name is None else name
        if name not in BUILT_IN:
            raise UserErrorException(
                f"there is no datastore {name!r}: this release has {' and '.join(BUILT_IN)}.",
                hint="Registering datastores comes with the data release.",
            )
        self.workspace = workspace
        self.name = name
        self.datastore_type = "AzureBlob" if name == DEFAULT_DATASTORE else "AzureFile"

    @staticmethod
    def get(workspace: Union[Workspace, str], datastore_name: str) -> Datastore:
        """The datastore of that name."""
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace: Union[Workspace, str]) -> Datastore:
        """The workspace's default datastore, ``workspaceblobstore``."""
        return Datastore(workspace)

    def __getattr__(self, name: str) -> Any:
        if name in _LATER:
            raise NotServedError(f"Datastore.{name} comes with the data release.")
        raise AttributeError(f"'Datastore' object has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Datastore) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Datastore(name={self.name!r})"


_LATER = frozenset(
    [
        "upload",
        "upload_files",
        "download",
        "path",
        "as_mount",
        "as_download",
        "as_upload",
        "set_as_default",
        "unregister",
    ]
)


def datastore_name(value: object, where: Optional[str] = None) -> str:
    """The name of a datastore given as an object or as its name.

    Raises:
        UserErrorException: it is neither.
    """
    if isinstance(value, Datastore):
        return value.name
    if isinstance(value, str):
        return Datastore(None, value).name
    raise UserErrorException(
        f"a datastore is expected, not a {type(value).__name__}: {value!r}.", where=where
    )


def relative_path(path: object, where: Optional[str] = None) -> str:
    """A path inside a datastore, POSIX, without a leading slash.

    Raises:
        UserErrorException: it is not a string, or climbs out of the datastore.
    """
    if not isinstance(path, str):
        raise UserErrorException(
            f"a path inside a datastore must be a string, not {path!r}.", where=where
        )
    parts = path.replace("\\", "/").split("/")
    if ".." in parts:
        raise UserErrorException(
            f"the path {path!r} climbs out of its datastore.",
            where=where,
            hint="Leave the '..' out: paths start at the datastore's root.",
        )
    return "/".join(part for part in parts if part not in ("", "."))

"""Datastores: named places where data lives (reference 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Union

from airflow_aml.definition.datastore_types import DatastoreRegistrations
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.setup import (
    SET_DEFAULT_DATASTORE,
    declare,
    is_loading,
    refuse_while_loading,
)
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.runtime.hidden import DATASTORE, note
from airflow_aml.workspace.datastores import (
    BUILT_IN,
    DEFAULT_DATASTORE,
    SQL_TYPES,
    DatastoreRecord,
    check_name,
    datastore_names,
    default_datastore,
    load_datastore,
    remove_datastore,
    secret_of,
    set_default_datastore,
)

if TYPE_CHECKING:
    from airflow_aml.definition.datareference import DataReference
    from airflow_aml.definition.workspace import Workspace

__all__ = ["BUILT_IN", "DEFAULT_DATASTORE", "Datastore", "datastore_name", "relative_path"]

_SETTINGS = (
    "account_name",
    "container_name",
    "protocol",
    "endpoint",
    "filesystem",
    "tenant_id",
    "client_id",
    "server_name",
    "database_name",
    "port_number",
    "user_id",
    "username",
    "bucket_name",
    "region_name",
    "endpoint_url",
    "root",
)
_SECRETS = ("account_key", "sas_token", "client_secret", "password", "user_password")


class Datastore(DatastoreRegistrations):
    """A named place for data in a workspace.

    ``Datastore(workspace)`` is the default one, ``Datastore(workspace, name)`` a named one;
    ``workspaceblobstore`` and ``workspacefilestore`` always exist and are folders of the workspace.
    While a file is only being loaded a name is taken as it is, and looked up when a run starts.

    Raises:
        UserErrorException: there is no datastore of that name; the text lists names like it.
    """

    def __init__(self, workspace: Union[Workspace, str, None], name: Optional[str] = None):
        self.workspace = workspace
        self.reference = "" if name is None else check_name(name)
        self._record: Optional[DatastoreRecord] = None
        known = not self.reference or self.reference in BUILT_IN or workspace is None
        if not known and not is_loading():
            try:
                self._record = load_datastore(home_of(workspace), self.reference)
            except UserErrorException:  # a script may go on without it
                note(DATASTORE, self.reference, None, None)
                raise

    @staticmethod
    def get(workspace: Union[Workspace, str], datastore_name: str) -> Datastore:
        """The datastore of that name."""
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace: Union[Workspace, str]) -> Datastore:
        """The workspace's default datastore: ``workspaceblobstore`` unless another was set."""
        return Datastore(workspace)

    @property
    def name(self) -> str:
        """The name; of the default datastore, the one that it has now."""
        if self.reference:
            return self.reference
        if is_loading():
            return DEFAULT_DATASTORE
        name = default_datastore(home_of(self.workspace))
        note(DATASTORE, "", None, {"version": None, "id": name})
        return name

    @property
    def record(self) -> DatastoreRecord:
        """What the workspace knows of it, without its secret."""
        if self._record is None:
            refuse_while_loading(f"what datastore {self.name!r} is")
            self._record = load_datastore(home_of(self.workspace), self.reference)
        return self._record

    @property
    def datastore_type(self) -> str:
        """v1's word for what it is: ``AzureBlob``, ``AzureFile``, ``S3``, ..."""
        return BUILT_IN.get(self.reference) or self.record.type

    @property
    def is_database(self) -> bool:
        """Whether it answers queries and holds no files."""
        return self.datastore_type in SQL_TYPES

    @property
    def keep_days(self) -> Optional[int]:
        """For how many days what steps leave in it may be counted on; None: for ever."""
        return self.record.keep_days

    # -- files ----------------------------------------------------------------------------------

    def upload(
        self,
        src_dir: str,
        target_path: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copies a local folder into the datastore.

        Args:
            target_path: a folder of the datastore; its root when None.
            overwrite: replace files that are there; else they are skipped.

        Raises:
            UserErrorException: there is no such folder.
        """
        from airflow_aml.definition.data.transfers import upload_folder

        return upload_folder(self, src_dir, target_path, overwrite, show_progress)

    def upload_files(
        self,
        files: List[str],
        relative_root: Optional[str] = None,
        target_path: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copies local files into the datastore.

        Args:
            relative_root: names in the datastore start below it; what the files' folders have in
                common when None.
            target_path, overwrite: as of :meth:`upload`.

        Raises:
            UserErrorException: a file is not there.
        """
        from airflow_aml.definition.data.transfers import upload_files

        return upload_files(self, files, relative_root, target_path, overwrite, show_progress)

    def download(
        self,
        target_path: str,
        prefix: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Copies what is in the datastore to a local folder and returns how many files.

        Args:
            prefix: only paths that begin so.
            overwrite: replace files that are there; else they are skipped.
        """
        from airflow_aml.definition.data.transfers import download

        refuse_while_loading("Datastore.download")
        return download(self, target_path, prefix, overwrite, show_progress)

    def path(
        self, path: Optional[str] = None, data_reference_name: Optional[str] = None
    ) -> DataReference:
        """A reference to a path of the datastore, as a step's input."""
        from airflow_aml.definition.datareference import DataReference

        return DataReference(self, data_reference_name, path)

    def as_mount(self) -> DataReference:
        """A reference to the whole datastore, mounted."""
        return self.path()

    def as_download(self, path_on_compute: Optional[str] = None) -> DataReference:
        """A reference to the whole datastore, downloaded."""
        return self.path().as_download(path_on_compute)

    def as_upload(self, path_on_compute: Optional[str] = None) -> DataReference:
        """A reference to the whole datastore, to upload into."""
        return self.path().as_upload(path_on_compute)

    # -- registry -------------------------------------------------------------------------------

    def set_as_default(self) -> None:
        """Makes this the workspace's default datastore."""
        if not declare(SET_DEFAULT_DATASTORE, {"name": self.name}):
            set_default_datastore(home_of(self.workspace), self.name)

    def unregister(self) -> None:
        """Forgets the datastore; its data stays."""
        refuse_while_loading("Datastore.unregister")
        remove_datastore(home_of(self.workspace), self.name)

    def __getattr__(self, name: str) -> Any:
        if name in _SETTINGS:
            return self.record.settings.get(name)
        if name in _SECRETS:
            return secret_of(home_of(self.workspace), self.record).get(name)
        if name in ("blob_service", "file_service"):
            raise NotServedError(f"Datastore.{name} is not served: there is no Azure client here.")
        raise AttributeError(f"'Datastore' object has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Datastore) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    def __repr__(self) -> str:
        return f"Datastore(name={self.reference or DEFAULT_DATASTORE!r})"


class Datastores(Mapping[str, Datastore]):
    """``ws.datastores``: all datastores of a workspace by name, looked up when asked."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace

    def __getitem__(self, name: str) -> Datastore:
        if name not in BUILT_IN and not is_loading() and name not in self._names():
            raise KeyError(name)
        return Datastore(self._workspace, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _names(self) -> List[str]:
        if is_loading():
            return list(BUILT_IN)
        return datastore_names(home_of(self._workspace))

    def __repr__(self) -> str:
        return f"Datastores({', '.join(self._names())})"


def datastore_name(value: object, where: Optional[str] = None) -> str:
    """The name of a datastore given as an object or as its name; empty for the default one.

    Raises:
        UserErrorException: it is neither.
    """
    if isinstance(value, Datastore):
        return value.reference
    if isinstance(value, str):
        return Datastore(None, value).reference
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

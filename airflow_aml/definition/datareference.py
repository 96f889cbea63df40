"""Places in datastores as values: DataPath and DataReference (reference 1.2)."""

from __future__ import annotations

import copy
from typing import Any, Optional

from airflow_aml.definition.data.model import Files, StoredPath
from airflow_aml.definition.datastore import Datastore, datastore_name, relative_path
from airflow_aml.definition.names import check_port_name
from airflow_aml.errors import NotServedError, UserErrorException


class DataPath:
    """A path in a datastore as a value.

    Raises:
        ValueError: no datastore (v1's text).
    """

    def __init__(
        self,
        datastore: Optional[Datastore] = None,
        path_on_datastore: Optional[str] = None,
        name: Optional[str] = None,
    ):
        if datastore is None:
            raise ValueError("datastore parameter is required.")
        self.reference = datastore_name(datastore)
        self.datastore = datastore if isinstance(datastore, Datastore) else None
        self.path_on_datastore = relative_path(path_on_datastore or "")
        self.name = name

    @property
    def datastore_name(self) -> str:
        """The name of the datastore."""
        return self.datastore.name if self.datastore is not None else self.reference

    def create_data_reference(
        self,
        data_reference_name: Optional[str] = None,
        datapath_compute_binding: Optional[DataPathComputeBinding] = None,
    ) -> DataReference:
        """The path as a step's input."""
        binding = datapath_compute_binding or DataPathComputeBinding()
        return DataReference(
            self.datastore or Datastore(None, self.reference),
            data_reference_name,
            self.path_on_datastore,
            binding.mode,
            binding.path_on_compute,
            binding.overwrite,
        )

    @staticmethod
    def create_from_data_reference(data_reference: DataReference) -> DataPath:
        """The path that a reference names."""
        return DataPath(
            data_reference.datastore,
            data_reference.path_on_datastore,
            data_reference.data_reference_name,
        )

    def __repr__(self) -> str:
        return f"DataPath({self.reference or 'default'}, {self.path_on_datastore!r})"


class DataPathComputeBinding:
    """How a ``DataPath`` shows on the compute: ``mount`` or ``download``.

    Raises:
        UserErrorException: another mode.
    """

    def __init__(
        self,
        mode: str = "mount",
        path_on_compute: Optional[str] = None,
        overwrite: Optional[bool] = False,
    ):
        _check_mode(mode)
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite


class DataReference:
    """A place in a datastore as a step's input, v1's older way.

    The script finds its local path in the arguments and as ``AZUREML_DATAREFERENCE_<name>``.

    Raises:
        UserErrorException: a mode or name that cannot be used.
    """

    def __init__(
        self,
        datastore: Any,
        data_reference_name: Optional[str] = None,
        path_on_datastore: Optional[str] = None,
        mode: str = "mount",
        path_on_compute: Optional[str] = None,
        overwrite: Optional[bool] = False,
    ):
        _check_mode(mode)
        self.datastore: Datastore = (
            datastore if isinstance(datastore, Datastore) else Datastore(None, datastore)
        )
        self.path_on_datastore = relative_path(path_on_datastore or "")
        self._name = data_reference_name and check_port_name(data_reference_name, "input")
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

    @property
    def data_reference_name(self) -> str:
        """The input's name; the datastore's by default."""
        import re

        return self._name or re.sub(r"\W|^(?=\d)", "_", self.datastore.name)

    @property
    def source(self) -> Files:
        """What it reads."""
        return Files((StoredPath(self.datastore.reference, self.path_on_datastore),))

    def as_mount(self) -> DataReference:
        """A copy that the script sees as a path."""
        return self._with(mode="mount", path_on_compute=None)

    def as_download(
        self, path_on_compute: Optional[str] = None, overwrite: Optional[bool] = False
    ) -> DataReference:
        """A copy that the script sees as a local path."""
        return self._with(mode="download", path_on_compute=path_on_compute, overwrite=overwrite)

    def as_upload(
        self, path_on_compute: Optional[str] = None, overwrite: Optional[bool] = False
    ) -> DataReference:
        """A copy to upload into."""
        return self._with(mode="upload", path_on_compute=path_on_compute, overwrite=overwrite)

    def path(
        self, path: Optional[str] = None, data_reference_name: Optional[str] = None
    ) -> DataReference:
        """A reference to a place below this one."""
        parts = (self.path_on_datastore, relative_path(path or ""))
        below = "/".join(part for part in parts if part)
        name = data_reference_name and check_port_name(data_reference_name, "input")
        return self._with(path_on_datastore=below, _name=name or self._name)

    def to_config(self) -> Any:
        """Not served: a v1 run configuration's form of it.

        Raises:
            NotServedError: always.
        """
        raise NotServedError("DataReference.to_config is not served: pass it to a step's inputs.")

    def _with(self, **changes: Any) -> DataReference:
        other = copy.copy(self)
        other.__dict__.update(changes)
        return other

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.data_reference_name}"

    def __repr__(self) -> str:
        return f"DataReference({self.datastore!r}, {self.path_on_datastore!r}, mode={self.mode!r})"


def _check_mode(mode: str) -> None:
    if mode not in ("mount", "download", "upload"):
        raise UserErrorException(
            f"Invalid mode {mode!r}. Mode can only be mount, download, or upload."
        )

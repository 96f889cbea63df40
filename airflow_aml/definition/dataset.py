"""File datasets and how a step takes them in (reference 1.1 Dataset, 1.2 Inputs)."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, Union

from airflow_aml.definition.datastore import Datastore, datastore_name, relative_path
from airflow_aml.definition.names import check_port_name
from airflow_aml.definition.spec import Files, LocalPath, StoredPath
from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.outputs import OutputFileDatasetConfig

MODES = ("mount", "download", "direct")


class DataPath:
    """A path in a datastore as a value (reference 1.2).

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
        self.datastore_name = datastore_name(datastore)
        self.path_on_datastore = relative_path(path_on_datastore or "")
        self.name = name


DatasetPath = Union[str, "os.PathLike[str]", Tuple[Datastore, str], DataPath]


class FileDataset:
    """A set of files, named by paths; nothing is read until a step needs it.

    Made by ``Dataset.File.from_files``.
    """

    def __init__(self, source: Files, name: Optional[str] = None):
        self.source = source
        self.name = name

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """The dataset as an input of that name; direct mode unless ``as_mount`` or so follows."""
        return DatasetConsumptionConfig(name, self)

    def as_mount(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """The dataset as an input that the script sees as a path."""
        return DatasetConsumptionConfig(None, self, "mount", path_on_compute)

    def as_download(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """The dataset as an input that the script sees as a local path."""
        return DatasetConsumptionConfig(None, self, "download", path_on_compute)

    def __repr__(self) -> str:
        return f"FileDataset({', '.join(path.path for path in self.source.paths)})"


class DatasetConsumptionConfig:
    """A dataset, or another step's output, as an input port of a step.

    ``as_mount`` and ``as_download`` return copies. A port without a name gets a stable one from
    its position when the step is built (v1 made a random one, which defeated reuse).

    Raises:
        UserErrorException: a mode that does not exist.
    """

    def __init__(
        self,
        name: Optional[str],
        dataset: Union[FileDataset, OutputFileDatasetConfig],
        mode: str = "direct",
        path_on_compute: Optional[str] = None,
    ):
        if mode not in MODES:
            raise UserErrorException(
                f"Invalid mode {mode!r}. Mode can only be mount, download, or direct."
            )
        self.name = None if name is None else check_port_name(name, "input")
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    def as_mount(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """A copy that the script sees as a path."""
        return self._with_mode("mount", path_on_compute)

    def as_download(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """A copy that the script sees as a local path."""
        return self._with_mode("download", path_on_compute)

    def _with_mode(self, mode: str, path_on_compute: Optional[str]) -> DatasetConsumptionConfig:
        other = copy.copy(self)
        other.mode = mode
        other.path_on_compute = path_on_compute
        return other

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig(name={self.name!r}, mode={self.mode!r})"


class FileDatasetFactory:
    """``Dataset.File``."""

    @staticmethod
    def from_files(
        path: Union[DatasetPath, Sequence[DatasetPath]],
        validate: bool = True,
        partition_format: Optional[str] = None,
        is_file: bool = False,
    ) -> FileDataset:
        """A file dataset from paths of datastores or of this machine.

        Args:
            path: ``(datastore, 'relative/glob/**')``, a ``DataPath``, a local path (relative to
                the defining file's folder) or a list of these.
            validate: checked when the data is read, since a definition reads nothing.
            partition_format: comes with the data release.
            is_file: accepted; a dataset of one file arrives as that file's path anyway.

        Raises:
            UserErrorException: no path, or one of another kind.
        """
        if partition_format is not None:
            raise NotServedError("partition_format comes with the data release.")
        paths = _as_list(path)
        if not paths:
            raise UserErrorException("Dataset.File.from_files needs at least one path.")
        return FileDataset(Files(tuple(_source_path(item) for item in paths)))

    @staticmethod
    def upload_directory(*_: Any, **__: Any) -> FileDataset:
        """Comes with the data release."""
        raise NotServedError("Dataset.File.upload_directory comes with the data release.")


class _TabularFactory:
    def __getattr__(self, name: str) -> Any:
        raise NotServedError(f"Dataset.Tabular.{name} comes with the data release.")


class Dataset:
    """Entry point to datasets: ``Dataset.File.from_files(...)``."""

    File = FileDatasetFactory
    Tabular = _TabularFactory()

    @staticmethod
    def get_by_name(workspace: Any, name: str, version: Union[int, str] = "latest") -> FileDataset:
        """Comes with the data release."""
        raise NotServedError("Dataset.get_by_name comes with the data release.")

    @staticmethod
    def get_by_id(workspace: Any, id: str) -> FileDataset:  # noqa: A002 - v1's name
        """Comes with the data release."""
        raise NotServedError("Dataset.get_by_id comes with the data release.")


def _as_list(path: Any) -> List[Any]:
    if isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], Datastore):
        return [path]
    if isinstance(path, (list, tuple)):
        return list(path)
    return [path]


def _source_path(item: Any) -> Union[StoredPath, LocalPath]:
    if isinstance(item, tuple) and len(item) == 2:
        return StoredPath(datastore_name(item[0]), relative_path(item[1]))
    if isinstance(item, DataPath):
        return StoredPath(item.datastore_name, item.path_on_datastore)
    if isinstance(item, (str, os.PathLike)):
        text = os.fspath(item)
        scheme, separator, rest = text.partition("://")
        if separator and scheme == "file":
            from urllib.parse import unquote

            return LocalPath(unquote(rest))
        if separator:
            raise NotServedError(f"{scheme}:// paths come with the data release: {text}")
        if not text:
            raise UserErrorException("an empty path is not a path.")
        return LocalPath(text)
    raise UserErrorException(
        f"a path must be a string, a (datastore, path) tuple or a DataPath, not {item!r}."
    )

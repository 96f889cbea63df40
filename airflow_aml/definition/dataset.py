"""``Dataset``: the entry point to datasets, and getting registered ones (reference 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Union

from airflow_aml.definition.abstract import AbstractDataset
from airflow_aml.definition.consumption import MODES, DatasetConsumptionConfig
from airflow_aml.definition.data.model import Files, Registered, definition_of
from airflow_aml.definition.datareference import DataPath
from airflow_aml.definition.engine import declaring_engine
from airflow_aml.definition.factories import FileDatasetFactory, TabularDatasetFactory
from airflow_aml.definition.filedataset import FileDataset
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.setup import REGISTER_DATASET, is_loading, refuse_while_loading
from airflow_aml.definition.tabular import TabularDataset
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.runtime.hidden import note

if TYPE_CHECKING:
    from airflow_aml.workspace import datasets

__all__ = [
    "MODES",
    "AbstractDataset",
    "DataPath",
    "Dataset",
    "DatasetConsumptionConfig",
    "FileDataset",
    "TabularDataset",
]

ReadableDataset = Union[FileDataset, TabularDataset]


class RegisteredDataset(FileDataset, TabularDataset):  # type: ignore[misc]
    """A registered dataset that is only looked up when a run starts.

    What ``Dataset.get_by_name`` gives while a file is only being loaded: it may turn out to be of
    files or of records.
    """

    is_tabular = False

    def __repr__(self) -> str:
        assert isinstance(self.source, Registered)
        return f"RegisteredDataset({self.source.name!r}, version={self.source.version or 'latest'})"


class Dataset:
    """Entry point to datasets: ``Dataset.File.from_files(...)``, ``Dataset.get_by_name(...)``."""

    File = FileDatasetFactory
    Tabular = TabularDatasetFactory

    @staticmethod
    def get_by_name(
        workspace: Any, name: str, version: Union[int, str, None] = "latest"
    ) -> ReadableDataset:
        """A registered dataset; while a file is only being loaded, one that a run looks up.

        Raises:
            UserErrorException: there is no such name or version; the text lists what there is.
        """
        from airflow_aml.workspace import datasets

        number = _number(version)
        if is_loading():
            return RegisteredDataset(Registered(name, number), name, workspace=workspace)
        home = home_of(workspace)
        try:
            found = datasets.get(home, name, number)
        except UserErrorException:
            note("dataset", name, number, None)
            raise
        note("dataset", name, number, {"version": found.number, "id": found.version.id})
        return _opened(found, workspace)

    @staticmethod
    def get_by_id(workspace: Any, id: str) -> ReadableDataset:  # noqa: A002 - v1's name
        """The dataset with that id, registered or not; a script's direct input arrives so.

        Raises:
            UserErrorException: there is none.
        """
        from airflow_aml.definition.runs.ports import direct_inputs
        from airflow_aml.workspace import datasets

        refuse_while_loading("Dataset.get_by_id")
        home = home_of(workspace)
        is_input = id in direct_inputs()
        try:
            found = datasets.named_by_id(home, id)
        except UserErrorException:
            made: ReadableDataset = dataset_of(datasets.by_id(home, id).definition, workspace)
        else:
            if not is_input:
                note("dataset", found.name, found.number, {"version": found.number, "id": id})
            made = _opened(found, workspace)
        return made.as_input() if is_input else made

    @staticmethod
    def get_all(workspace: Any) -> Datasets:
        """All registered datasets by name, each looked up when asked."""
        return Datasets(workspace)

    @staticmethod
    def get(workspace: Any, name: Optional[str] = None, id: Optional[str] = None) -> Any:  # noqa: A002
        """v1's oldest form of ``get_by_name`` and ``get_by_id``."""
        if name is not None:
            return Dataset.get_by_name(workspace, name)
        if id is not None:
            return Dataset.get_by_id(workspace, id)
        raise UserErrorException("Dataset.get needs a name or an id.")

    @staticmethod
    def auto_read_files(*_: Any, **__: Any) -> Any:
        """Not served: gone from v1 itself."""
        raise NotServedError("Dataset.auto_read_files left SDK v1.", hint="Use Dataset.Tabular.")


class Datasets(Mapping[str, ReadableDataset]):
    """``ws.datasets``: the latest versions of all registered datasets by name."""

    def __init__(self, workspace: Any):
        self._workspace = workspace

    def __getitem__(self, name: str) -> ReadableDataset:
        if not is_loading() and name not in self._names():
            raise KeyError(name)
        return Dataset.get_by_name(self._workspace, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())

    def __len__(self) -> int:
        return len(self._listed())

    def __contains__(self, name: object) -> bool:
        return name in self._listed()

    def keys(self) -> Any:
        """The names."""
        return dict.fromkeys(self._listed()).keys()

    def _listed(self) -> List[str]:
        from airflow_aml.workspace import datasets

        names = self._names()
        note(datasets.ALL, "*", None, {"version": None, "id": datasets.listing(names)})
        return names

    def _names(self) -> List[str]:
        from airflow_aml.workspace import datasets

        if is_loading():
            # What this file registers: so `if name not in ws.datasets: register` declares it.
            actions = getattr(declaring_engine(), "setup", ())
            return [a.arguments["name"] for a in actions if a.action == REGISTER_DATASET]
        return datasets.names(home_of(self._workspace))

    def __repr__(self) -> str:
        return f"Datasets({', '.join(self._names())})"


def dataset_of(document: Mapping[str, Any], workspace: Any, name: Optional[str] = None) -> Any:
    """The dataset that a definition's document describes.

    Raises:
        UserErrorException: the document is of a kind that this release does not know.
    """
    definition = definition_of(document)
    kind = FileDataset if isinstance(definition, Files) else TabularDataset
    return kind(definition, name, workspace=workspace)


def _opened(found: datasets.NamedVersion, workspace: Any) -> ReadableDataset:
    made: ReadableDataset = dataset_of(found.version.definition, workspace, found.name)
    registered: ReadableDataset = made.as_registered(found, made.definition, workspace)
    return registered


def _number(version: Union[int, str, None]) -> Optional[int]:
    if version is None or version == "latest":
        return None
    try:
        return int(version)
    except (TypeError, ValueError):
        raise UserErrorException(
            f"{version!r} is not a version: it must be a number or 'latest'."
        ) from None

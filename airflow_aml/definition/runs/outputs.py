"""The outputs of a step's run, as other programs see them (reference 1.3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from airflow_aml.definition.consumption import DatasetConsumptionConfig
    from airflow_aml.definition.datastore import Datastore
    from airflow_aml.definition.filedataset import FileDataset
    from airflow_aml.definition.runs.steprun import StepRun


class StepRunOutput:
    """One output of a step's run."""

    def __init__(self, step_run: StepRun, name: str, uri: str):
        self.name = name
        self.uri = uri
        self._step_run = step_run

    def get_port_data_reference(self) -> PortDataReference:
        """Where its data is."""
        return PortDataReference(self._step_run.experiment.workspace, self.name, self.uri)

    def __repr__(self) -> str:
        return f"StepRunOutput({self.name!r}, {self.uri})"


class PortDataReference:
    """The data of an output.

    Attributes:
        uri: where it is.
        path_on_datastore: the path of it in its store; :meth:`download` keeps it.
    """

    def __init__(self, workspace: Any, name: str, uri: str):
        from airflow_aml.definition.homes import home_of
        from airflow_aml.definition.registered import place_of_uri

        self.name = name
        self.uri = uri
        self._workspace = workspace
        self._place = place_of_uri(uri, home_of(workspace))
        self.datastore_name: str = getattr(self._place, "datastore", "")
        """Empty for the workspace's own place, where outputs without a destination are."""

        self.path_on_datastore: str = str(getattr(self._place, "path", "")).strip("/")

    def download(
        self,
        local_path: str,
        overwrite: Optional[bool] = None,
        show_progress: Optional[bool] = None,
    ) -> int:
        """Copies the data to ``<local_path>/<path_on_datastore>`` and returns how many files.

        Raises:
            UserErrorException: there is no data, or a file is there and ``overwrite`` is not set.
        """
        from airflow_aml.definition.data.files import NoSuchFiles

        target = os.path.join(local_path, *self.path_on_datastore.split("/"))
        try:
            return len(self._dataset.download(target, overwrite=bool(overwrite)))
        except NoSuchFiles:
            if not self._is_empty():
                raise
        os.makedirs(target, exist_ok=True)
        return 0

    def _is_empty(self) -> bool:
        """Whether the step has committed it without a file; none may be there for other reasons."""
        from airflow_aml.definition.homes import home_of
        from airflow_aml.workspace.committed import find_document, parsed

        home = home_of(self._workspace)
        document = find_document(home, self.uri)
        return document is not None and not parsed(home.store.read(document), document).files

    @property
    def datastore(self) -> Optional[Datastore]:
        """The datastore; None for the workspace's own place."""
        from airflow_aml.definition.datastore import Datastore

        return Datastore(self._workspace, self.datastore_name) if self.datastore_name else None

    def as_input(self, name: Optional[str] = None) -> DatasetConsumptionConfig:
        """The data as an input of a step of another pipeline, called as the output by default."""
        return self._dataset.as_named_input(name or self.name)

    def as_mount(self) -> DatasetConsumptionConfig:
        """The same in mount mode."""
        return self.as_input().as_mount()

    def as_download(self) -> DatasetConsumptionConfig:
        """The same in download mode."""
        return self.as_input().as_download()

    @property
    def _dataset(self) -> FileDataset:
        from airflow_aml.definition.filedataset import FileDataset
        from airflow_aml.definition.spec import Files

        return FileDataset(Files((self._place,)), workspace=self._workspace)

    def __repr__(self) -> str:
        return f"PortDataReference({self.name!r}, {self.uri})"

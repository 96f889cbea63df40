"""The outputs of a step's run, as other programs see them (reference 1.3)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, List, Optional, Union

from airflow_aml.errors import NotServedError

if TYPE_CHECKING:
    from airflow_aml.definition.consumption import DatasetConsumptionConfig
    from airflow_aml.definition.data.files import SourceFile
    from airflow_aml.definition.data.model import DataPlace
    from airflow_aml.definition.datastore import Datastore
    from airflow_aml.definition.filedataset import FileDataset
    from airflow_aml.definition.runs.steprun import StepRun

OWN_PLACE = "workspaceoutputs"
"""What a datastore's name is where an output lies in the workspace's own place."""


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
        datastore_name: ``workspaceoutputs`` for the workspace's own place, where outputs without a
            destination are.
        path_on_datastore: the path of it in its store; :meth:`download` keeps it.
    """

    def __init__(self, workspace: Any, name: str, uri: str):
        from airflow_aml.definition.homes import home_of
        from airflow_aml.definition.registered import place_of_uri

        self.name = name
        self.uri = uri
        self._workspace = workspace
        self._place = place_of_uri(uri, home_of(workspace))
        self.datastore_name: str = getattr(self._place, "datastore", OWN_PLACE)
        self.path_on_datastore: str = str(getattr(self._place, "path", "")).strip("/")
        self._path_on_datastore = self.path_on_datastore  # v1's private name, which programs read

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
    def datastore(self) -> Union[Datastore, OutputStore]:
        """The datastore; of the workspace's own place, what can be read there as in one."""
        from airflow_aml.definition.datastore import Datastore

        if self.datastore_name == OWN_PLACE:
            return OutputStore(self)
        return Datastore(self._workspace, self.datastore_name)

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


class OutputStore:
    """The workspace's own place, as the datastore of an output that lies there: to read that.

    Attributes:
        name: ``workspaceoutputs``; no datastore is registered under it.
    """

    name = OWN_PLACE
    datastore_type = "Workspace"

    def __init__(self, port: PortDataReference):
        self.workspace = port._workspace  # noqa: SLF001 - of the same module
        self._port = port

    def download(
        self,
        target_path: str,
        prefix: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Copies the output's files below a local folder, with their whole paths, and returns how
        many were copied.

        Args:
            prefix: only paths that begin so.
            overwrite: replace files that are there; else they are skipped.
        """
        from airflow_aml.definition.data.places import fetch

        folder, wanted = os.path.abspath(target_path), (prefix or "").lstrip("/")
        files = [
            replace(each, relative=each.path)
            for each in self._files()
            if each.path.startswith(wanted)
            and (overwrite or not os.path.exists(os.path.join(folder, each.path)))
        ]
        return len(fetch(files, folder, local_too=True))

    def place_of(self, path: str) -> DataPlace:
        """What a path in it names, as one of a dataset's paths."""
        from airflow_aml.definition.data.model import LocalPath, WorkspacePath

        own = isinstance(self._port._place, WorkspacePath)  # noqa: SLF001 - as above
        return WorkspacePath(path) if own else LocalPath(f"/{path}")

    def _files(self) -> List[SourceFile]:
        from airflow_aml.definition.data.files import NoSuchFiles

        try:
            return self._port._dataset._files()  # noqa: SLF001 - as above
        except NoSuchFiles:
            if not self._port._is_empty():  # noqa: SLF001 - as above
                raise
            return []

    def __getattr__(self, name: str) -> Any:
        if name in ("upload", "upload_files", "set_as_default", "unregister"):
            raise NotServedError(
                f"{name}: outputs in the workspace's own place are only read.",
                hint="Give the output a destination=(datastore, path) to have it in a datastore.",
            )
        raise AttributeError(f"'OutputStore' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"OutputStore({self._port.uri})"

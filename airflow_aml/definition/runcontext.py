"""``Run.get_context()``: what a script asks about the run that it is part of.

Everything is read from the environment that the runtime gives a script (reference 2.8); nothing is
opened before it is used.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, Iterator, Mapping, Optional

from airflow_aml.definition.workspace import Experiment, Workspace
from airflow_aml.errors import NotServedError, RunEnvironmentException

_RUN = "AZUREML_RUN_ID"
_INPUTS = "AZUREML_DATASET_ENVIRONMENT_VARS"
_OUTPUTS = "AZUREML_DATASET_FILE_OUTPUTS"
_LINKS = "AZUREML_LINK_DATASET_OUTPUTS"


class Run:
    """The run that a script is part of; ``Run.get_context()`` gives it.

    Attributes:
        id: the step run's, as in destinations' ``{run-id}``.
        experiment: with its ``workspace``.
    """

    def __init__(self, experiment: Experiment, run_id: str):
        self.experiment = experiment
        self.id = run_id

    @staticmethod
    def get_context(
        allow_offline: bool = True, used_for_context_manager: bool = False, **_: Any
    ) -> Any:
        """The run of this process; outside a run an object that only prints, as in v1.

        Raises:
            RunEnvironmentException: this is no run's process and ``allow_offline`` is not set.
        """
        run_id = os.environ.get(_RUN)
        if run_id:
            return Run(_experiment(), run_id)
        if allow_offline:
            return _OfflineRun()
        raise RunEnvironmentException(
            f"Could not load a submitted run, if outside of an execution context, use "
            f"experiment.start_logging to initialize an azureml.core.Run ({_RUN} is not set)."
        )

    @property
    def input_datasets(self) -> InputDatasets:
        """Inputs by name: a local path in mount and download mode, a dataset in direct mode."""
        return InputDatasets(self.experiment.workspace)

    @property
    def output_datasets(self) -> OutputDatasets:
        """Outputs by name: a local folder, or for a link output an object to ``link`` with."""
        return OutputDatasets(self.experiment.workspace)

    def get_status(self) -> str:
        """``Running``: a script that asks is running."""
        return "Running"

    def __getattr__(self, name: str) -> Any:
        if name in _LATER:
            raise NotServedError(f"Run.{name} comes with the runs release.")
        raise AttributeError(f"'Run' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id})"


_LATER = frozenset(
    [
        "add_properties",
        "child_run",
        "complete",
        "create_children",
        "display_name",
        "download_file",
        "download_files",
        "fail",
        "flush",
        "get_children",
        "get_details",
        "get_file_names",
        "get_metrics",
        "get_properties",
        "get_secret",
        "get_secrets",
        "get_tags",
        "log",
        "log_accuracy_table",
        "log_confusion_matrix",
        "log_image",
        "log_list",
        "log_predictions",
        "log_residuals",
        "log_row",
        "log_table",
        "parent",
        "register_model",
        "set_tags",
        "submit_child",
        "tag",
        "tags",
        "upload_file",
        "upload_files",
        "upload_folder",
    ]
)


class _OfflineRun:
    """A script outside any run: logging prints, and there is no workspace (as in v1)."""

    def __init__(self) -> None:
        from uuid import uuid4

        self.id = f"OfflineRun_{uuid4()}"

    @property
    def name(self) -> str:
        """The same as :attr:`id`."""
        return self.id

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log scalar metric {name}:\n{value}\n")

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log list metric {name}:\n{value}\n")

    def log_row(self, name: str, description: Optional[str] = None, **values: Any) -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log row metric {name}:\n{values}\n")

    def log_table(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log table metric {name}:\n{value}\n")

    def log_image(
        self, name: str, path: Optional[str] = None, plot: Any = None, description: str = ""
    ) -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log image metric {name}\n")

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Any = None) -> None:
        """Prints what would be kept."""
        sys.stdout.write(f"Attempted to track file {name} at {path_or_stream}\n")

    def upload_folder(self, name: str, path: str, datastore_name: Any = None) -> None:
        """Prints what would be kept."""
        sys.stdout.write(f"Attempted to track folder {name} at {path}\n")

    def tag(self, key: str, value: Any = None) -> None:
        """Does nothing."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Does nothing."""

    def flush(self, timeout_seconds: int = 300) -> None:
        """Does nothing."""

    def complete(self, _set_status: bool = True) -> None:
        """Does nothing."""

    def get_status(self) -> str:
        """``Running``."""
        return "Running"


class InputDatasets(Mapping[str, Any]):
    """``run.input_datasets``."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        text = os.environ.get(_INPUTS, "")
        pairs = (item.partition(":") for item in text.split(",") if item)
        self._modes: Dict[str, str] = {name: mode for name, _, mode in pairs}

    def __getitem__(self, name: str) -> Any:
        if name not in self._modes:
            raise KeyError(_missing("input", name, self._modes))
        value = os.environ[f"AZURE_ML_INPUT_{name}"]
        if self._modes[name] != "direct":
            return value
        from airflow_aml.definition.dataset import Dataset

        return Dataset.get_by_id(self._workspace, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modes)

    def __len__(self) -> int:
        return len(self._modes)


class OutputDatasets(Mapping[str, Any]):
    """``run.output_datasets``."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._names = [name for name in os.environ.get(_OUTPUTS, "").split(";") if name]
        self._links = [name for name in os.environ.get(_LINKS, "").split(";") if name]

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(_missing("output", name, self._names))
        path = os.environ[f"AZURE_ML_OUTPUT_{name}"]
        return LinkOutput(name, path, self._workspace) if name in self._links else path

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class LinkOutput:
    """A link output in a script: :meth:`link` says which dataset it is."""

    def __init__(self, name: str, path: str, workspace: Workspace):
        self.name = name
        self._path = path
        self._workspace = workspace

    def link(self, dataset: Any, run: Any = None) -> None:
        """Hands a dataset on to the steps that read this output.

        Raises:
            UserErrorException: what is given is no dataset.
        """
        from airflow_aml.definition.registered import link_dataset

        link_dataset(dataset, self._path, self._workspace)


def _experiment() -> Experiment:
    workspace = Workspace.of_run(os.environ.get("AZUREML_ARM_WORKSPACE_NAME", ""))
    return Experiment.of_run(workspace, os.environ.get("AZUREML_ARM_PROJECT_NAME", ""))


def _missing(kind: str, name: str, known: Any) -> str:
    there = ", ".join(map(repr, known)) or "none"
    return f"the step has no {kind} {name!r}; it has {there}."

"""A script's inputs and outputs by name: ``run.input_datasets``, ``run.output_datasets``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, MutableMapping, Set

if TYPE_CHECKING:
    from airflow_aml.definition.workspace import Workspace

_INPUTS = "AZUREML_DATASET_ENVIRONMENT_VARS"
_OUTPUTS = "AZUREML_DATASET_FILE_OUTPUTS"
_LINKS = "AZUREML_LINK_DATASET_OUTPUTS"
_INPUT = "AZURE_ML_INPUT_"
_OUTPUT = "AZURE_ML_OUTPUT_"
_REFERENCE = "AZUREML_DATAREFERENCE_"


def direct_inputs() -> Set[str]:
    """The ids of the datasets that the running step was given as such."""
    text = os.environ.get(_INPUTS, "")
    pairs = (item.partition(":") for item in text.split(",") if item)
    return {os.environ.get(f"{_INPUT}{name}", "") for name, _, mode in pairs if mode == "direct"}


def port_paths() -> List[str]:
    """The local paths of the running step's other inputs and of its outputs."""
    return [
        value
        for name, value in os.environ.items()
        if name.startswith((_INPUT, _OUTPUT, _REFERENCE)) and os.path.isabs(value)
    ]


class InputDatasets(MutableMapping[str, Any]):
    """``run.input_datasets``; a script may put others in their place."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._given: Dict[str, Any] = {}
        text = os.environ.get(_INPUTS, "")
        pairs = (item.partition(":") for item in text.split(",") if item)
        self._modes: Dict[str, str] = {name: mode for name, _, mode in pairs}

    def __getitem__(self, name: str) -> Any:
        if name in self._given:
            return self._given[name]
        if name not in self._modes:
            raise KeyError(_missing("input", name, self._modes))
        value = os.environ[f"{_INPUT}{name}"]
        if self._modes[name] != "direct":
            return value
        from airflow_aml.definition.dataset import Dataset

        return Dataset.get_by_id(self._workspace, value)

    def __setitem__(self, name: str, value: Any) -> None:
        self._given[name] = value

    def __delitem__(self, name: str) -> None:
        self[name]
        self._given.pop(name, None)
        self._modes.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._modes, **self._given})

    def __len__(self) -> int:
        return len({**self._modes, **self._given})


class OutputDatasets(Mapping[str, Any]):
    """``run.output_datasets``."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._names = [name for name in os.environ.get(_OUTPUTS, "").split(";") if name]
        self._links = [name for name in os.environ.get(_LINKS, "").split(";") if name]

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(_missing("output", name, self._names))
        path = os.environ[f"{_OUTPUT}{name}"]
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


def _missing(kind: str, name: str, known: Any) -> str:
    there = ", ".join(map(repr, known)) or "none"
    return f"the step has no {kind} {name!r}; it has {there}."

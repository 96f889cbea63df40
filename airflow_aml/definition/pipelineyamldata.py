"""The data of a pipeline that is written as YAML: what its inputs and outputs are made of."""

from __future__ import annotations

import copy
from typing import Any, Mapping, Optional, Union

from airflow_aml.codec import decode
from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.data.model import Operation, Reading, Registered, Registration
from airflow_aml.definition.datareference import DataPathComputeBinding, DataReference
from airflow_aml.definition.dataset import Dataset, dataset_of
from airflow_aml.definition.datastore import Datastore, relative_path
from airflow_aml.definition.outputs import OutputFileDatasetConfig
from airflow_aml.definition.parameters import PipelineParameter
from airflow_aml.definition.pipelinedata import (
    InputPortBinding,
    PipelineData,
    PipelineOutputFileDataset,
)
from airflow_aml.errors import NotServedError, PipelineDefinitionError

FOLDER = "OutputFileDatasetConfig"
"""The ``type`` of an output that is one; without a type it is a ``PipelineData``."""

Said = Mapping[str, Any]
Written = Union[PipelineData, PipelineOutputFileDataset, OutputFileDatasetConfig]

_SQL = ("sql_table", "sql_query", "sql_stored_procedure", "sql_stored_procedure_params")


def written_output(workspace: Any, name: str, said: Said) -> Written:
    """What an output is, of that name at its step."""
    made: Union[PipelineData, OutputFileDatasetConfig]
    if said.get("type") == FOLDER:
        made = _folder(name, said)
    else:
        store = said.get("datastore")
        made = PipelineData(
            said["destination"],
            datastore=Datastore(workspace, store) if store else None,
            output_name=name,
            output_mode=said.get("bind_mode", "mount"),
            output_path_on_compute=said.get("path_on_compute"),
            output_overwrite=said.get("overwrite"),
            is_directory=said.get("is_directory"),
            pipeline_output_name=said.get("pipeline_output_name"),
        )
    for each in said.get("register_as") or ():
        made.producer.register(decode(Registration, each))
    if isinstance(made, PipelineData) and said.get("as_dataset"):
        return made.as_dataset()
    return made


def _folder(name: str, said: Said) -> OutputFileDatasetConfig:
    made = OutputFileDatasetConfig(name, source=said.get("path_on_compute"))
    if said.get("bind_mode") == "upload":
        made = made.as_upload(said.get("overwrite", True), said.get("source_globs"))
    made.datastore = said.get("datastore")
    path = said.get("path_on_datastore")
    made.path = None if path is None else relative_path(path, f"output {name!r}")
    return made


def read_output(name: str, data: Written, said: Said) -> Any:
    """What a step wrote, as an input of that name of another step."""
    mode, path = said.get("bind_mode", "mount"), said.get("path_on_compute")
    dataset: Any = data
    if isinstance(data, PipelineData):
        if not said.get("as_dataset") and "reading" not in said:
            return InputPortBinding(name, data, mode, path, said.get("overwrite"))
        dataset = data.as_dataset()
    if "reading" in said:
        dataset = copy.copy(dataset)
        dataset.reading = decode(Reading, said["reading"])
        done = said.get("operations") or ()
        dataset.operations = tuple(decode(Operation, each) for each in done)
        mode = said.get("bind_mode", "direct")
    return DatasetConsumptionConfig(name, dataset, mode, path)


def chosen(name: str, parameter: PipelineParameter, said: Said) -> InputPortBinding:
    """The data that a parameter of the type datapath names, as an input of that name."""
    mode, path = said.get("bind_mode", "mount"), said.get("path_on_compute")
    return InputPortBinding(name, (parameter, DataPathComputeBinding("mount", path)), mode, path)


def referenced(workspace: Any, name: str, reference: Said, said: Said, where: str) -> Any:
    """What a data reference says, as an input of that name.

    Args:
        said: of the input, whose words count more.
        where: names the reference in messages.

    Raises:
        NotServedError: it reads a database by itself.
        PipelineDefinitionError: it names no data.
    """
    for word in _SQL:
        if word in reference:
            raise NotServedError(
                f"{word} is not served in YAML.",
                where=where,
                hint="Register a dataset that reads the table, and name that.",
            )
    path = said.get("path_on_compute")
    dataset = _dataset(workspace, reference)
    if dataset is not None:
        default = "direct" if dataset.is_tabular else "mount"
        mode = said.get("bind_mode", reference.get("bind_mode", default))
        return DatasetConsumptionConfig(name, dataset, mode, path)
    if "datastore" not in reference:
        raise PipelineDefinitionError(
            "it names no data.",
            where=where,
            hint="Give datastore, dataset_name, dataset_id or definition.",
        )
    mode = said.get("bind_mode", reference.get("bind_mode", "mount"))
    store = Datastore(workspace, reference["datastore"] or None)
    return DataReference(store, name, reference.get("path_on_datastore"), mode, path)


def _dataset(workspace: Any, reference: Said) -> Optional[Any]:
    if "dataset_name" in reference:
        version = reference.get("dataset_version", "latest")
        return Dataset.get_by_name(workspace, reference["dataset_name"], version)
    if "dataset_id" in reference:
        return Dataset.get_by_id(workspace, reference["dataset_id"])
    if "definition" not in reference:
        return None
    document = reference["definition"]
    if document.get("kind") != "registered":
        return dataset_of(document, workspace)
    source = decode(Registered, document)
    found: Any = Dataset.get_by_name(workspace, source.name, source.version)
    for each in source.operations:
        found = found._with(each.name, **each.arguments)  # noqa: SLF001 - as it was recorded
    return found

"""Which members of v1's classes are served: found by looking at ours."""

from __future__ import annotations

import inspect
from typing import Any, Mapping, Optional

from airflow_aml.azureml_compat.names import modules_of
from airflow_aml.azureml_compat.serving import (
    NOT_YET,
    REFUSED_FOR_GOOD,
    SERVED,
    Entry,
    entry,
    value_of,
)

RESULTS: Mapping[str, str] = {
    "Dataset.File.from_files": "FileDataset",
    "Dataset.File.upload_directory": "FileDataset",
    "Dataset.Tabular.from_delimited_files": "TabularDataset",
    "Dataset.Tabular.from_json_lines_files": "TabularDataset",
    "Dataset.Tabular.from_parquet_files": "TabularDataset",
    "Dataset.Tabular.from_sql_query": "TabularDataset",
    "Datastore.get": "Datastore",
    "Environment.from_conda_specification": "Environment",
    "Environment.from_pip_requirements": "Environment",
    "Environment.get": "Environment",
    "Experiment.submit": "PipelineRun",
    "OutputFileDatasetConfig.read_delimited_files": "OutputTabularDatasetConfig",
    "OutputFileDatasetConfig.read_parquet_files": "OutputTabularDatasetConfig",
    "Pipeline.publish": "PublishedPipeline",
    "Pipeline.submit": "PipelineRun",
    "PipelineEndpoint.get": "PipelineEndpoint",
    "PipelineEndpoint.publish": "PipelineEndpoint",
    "PipelineRun.publish_pipeline": "PublishedPipeline",
    "PublishedPipeline.get": "PublishedPipeline",
    "Run.get_context": "Run",
    "Workspace.create": "Workspace",
    "Workspace.from_config": "Workspace",
    "Workspace.get": "Workspace",
    "Workspace.get_default_datastore": "Datastore",
    "Workspace.get_default_keyvault": "Keyvault",
}
"""Call -> the class of what it gives."""

_DECLARED = "in an AmlDagBundle it declares a DAG"
_CALLS: Mapping[str, str] = {
    "Pipeline.publish": _DECLARED,
    "PipelineRun.publish_pipeline": _DECLARED,
}
"""What is said of a call as long as the class of what it gives is not served."""

_ANNOUNCED = "Comes with"
"""How the description of a method begins that only says that it is not served."""

_REFUSED = "Never served: "
"""How it begins of one that will not be; why comes after it."""


def member(class_name: str, name: str, *, called: bool, by_class: bool) -> Optional[Entry]:
    """What is to be said of ``class.name``; None where nothing is known of it.

    Args:
        called: it is called; other attributes an instance may have of its own.
        by_class: it is asked of the class itself.
    """
    found = class_entry(class_name)
    if found is None or found.status != SERVED:
        return found
    whole = f"{class_name}.{name}"
    if whole in _CALLS and _is_later(RESULTS[whole]):
        return Entry(found.module, whole, NOT_YET, "", _CALLS[whole])
    value: Any = value_of(found)
    there = hasattr(value, name)
    says = (inspect.getdoc(getattr(value, name)) or "") if there else ""
    if says.startswith(_REFUSED):
        return Entry(found.module, whole, REFUSED_FOR_GOOD, "", says[len(_REFUSED) :])
    if there and not says.startswith(_ANNOUNCED):
        return Entry(found.module, whole, SERVED, found.home)
    if not there and not (called or by_class) and not _is_announced(value, name):
        return None
    return Entry(found.module, whole, NOT_YET)


def class_entry(name: str) -> Optional[Entry]:
    """What the table says of a class, wherever it is imported from."""
    modules = modules_of(name)
    return entry(modules[0], name) if modules else None


def _is_later(class_name: str) -> bool:
    found = class_entry(class_name)
    return found is None or found.status != SERVED


def _is_announced(value: Any, name: str) -> bool:
    """Whether the class's module lists a name among those that only raise."""
    module = inspect.getmodule(value)
    told = ("_LATER", "_NEVER", "_NOT_SERVED")
    lists = (vars(module).get(each, {}) for each in told) if module else ()
    return any(name in each for each in lists)

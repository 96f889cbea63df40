"""Azure ML SDK v1 pipelines, running on Apache Airflow 3.

The public face: everything an author needs, under v1's names, imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_aml._version import __version__

if TYPE_CHECKING:
    from airflow_aml.airflow.steps.script import PythonScriptStepOperator
    from airflow_aml.definition.dataset import (
        DataPath,
        Dataset,
        DatasetConsumptionConfig,
        FileDataset,
    )
    from airflow_aml.definition.datastore import Datastore
    from airflow_aml.definition.engine import PipelineRun
    from airflow_aml.definition.outputs import (
        InputPortBinding,
        OutputFileDatasetConfig,
        PipelineData,
    )
    from airflow_aml.definition.parameters import PipelineParameter
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.definition.runconfig import (
        DEFAULT_CPU_IMAGE,
        DEFAULT_GPU_IMAGE,
        CondaDependencies,
        DockerConfiguration,
        Environment,
        RunConfiguration,
    )
    from airflow_aml.definition.spec import PipelineSpec
    from airflow_aml.definition.step import PipelineStep, PythonScriptStep, StepSequence
    from airflow_aml.definition.workspace import Experiment, Workspace

_HOMES = {
    "CondaDependencies": "definition.runconfig",
    "DEFAULT_CPU_IMAGE": "definition.runconfig",
    "DEFAULT_GPU_IMAGE": "definition.runconfig",
    "DataPath": "definition.dataset",
    "Dataset": "definition.dataset",
    "DatasetConsumptionConfig": "definition.dataset",
    "Datastore": "definition.datastore",
    "DockerConfiguration": "definition.runconfig",
    "Environment": "definition.runconfig",
    "Experiment": "definition.workspace",
    "FileDataset": "definition.dataset",
    "InputPortBinding": "definition.outputs",
    "OutputFileDatasetConfig": "definition.outputs",
    "Pipeline": "definition.pipeline",
    "PipelineData": "definition.outputs",
    "PipelineParameter": "definition.parameters",
    "PipelineRun": "definition.engine",
    "PipelineSpec": "definition.spec",
    "PipelineStep": "definition.step",
    "PythonScriptStep": "definition.step",
    "PythonScriptStepOperator": "airflow.steps.script",
    "RunConfiguration": "definition.runconfig",
    "StepSequence": "definition.step",
    "Workspace": "definition.workspace",
}

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "CondaDependencies",
    "DataPath",
    "Dataset",
    "DatasetConsumptionConfig",
    "Datastore",
    "DockerConfiguration",
    "Environment",
    "Experiment",
    "FileDataset",
    "InputPortBinding",
    "OutputFileDatasetConfig",
    "Pipeline",
    "PipelineData",
    "PipelineParameter",
    "PipelineRun",
    "PipelineSpec",
    "PipelineStep",
    "PythonScriptStep",
    "PythonScriptStepOperator",
    "RunConfiguration",
    "StepSequence",
    "Workspace",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(
            f"airflow_aml has no {name!r}. If SDK v1 had it, this release does not serve it yet."
        )
    return getattr(import_module(f"airflow_aml.{home}"), name)


def __dir__() -> list[str]:
    return __all__

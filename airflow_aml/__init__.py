"""Azure ML SDK v1 pipelines, running on Apache Airflow 3.

The public face: everything an author needs, under v1's names, imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_aml._version import __version__

if TYPE_CHECKING:
    from airflow_aml.airflow.steps.script import (
        PythonScriptStepOperator as PythonScriptStepOperator,
    )
    from airflow_aml.definition.computes.target import (
        AmlCompute,
        BatchCompute,
        ComputeTarget,
        DatabricksCompute,
        DataFactoryCompute,
    )
    from airflow_aml.definition.consumption import DatasetConsumptionConfig
    from airflow_aml.definition.data.datatypes import DataType, PromoteHeadersBehavior
    from airflow_aml.definition.datareference import DataPath, DataPathComputeBinding, DataReference
    from airflow_aml.definition.dataset import Dataset
    from airflow_aml.definition.datastore import Datastore
    from airflow_aml.definition.draft import PipelineDraft
    from airflow_aml.definition.endpoint import PipelineEndpoint
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.filedataset import FileDataset
    from airflow_aml.definition.keyvault import Keyvault
    from airflow_aml.definition.model import Model
    from airflow_aml.definition.modeldetails import ResourceConfiguration
    from airflow_aml.definition.outputs import (
        HDFSOutputDatasetConfig,
        LinkFileOutputDatasetConfig,
        LinkTabularOutputDatasetConfig,
        OutputFileDatasetConfig,
        OutputTabularDatasetConfig,
    )
    from airflow_aml.definition.parameters import PipelineParameter
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.definition.pipelinedata import (
        InputPortBinding,
        PipelineData,
        PipelineOutputFileDataset,
        PipelineOutputTabularDataset,
    )
    from airflow_aml.definition.published import PublishedPipeline
    from airflow_aml.definition.reusepolicy import ReusePolicy
    from airflow_aml.definition.runconfig import (
        DEFAULT_CPU_IMAGE,
        DEFAULT_GPU_IMAGE,
        CondaDependencies,
        DockerConfiguration,
        Environment,
        EnvironmentReference,
        MpiConfiguration,
        PyTorchConfiguration,
        RunConfiguration,
        TensorflowConfiguration,
    )
    from airflow_aml.definition.runs.context import Run
    from airflow_aml.definition.runs.finding import get_run
    from airflow_aml.definition.runs.offline import _OfflineRun
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.runs.rundetails import RunDetails
    from airflow_aml.definition.runs.scriptrun import ScriptRun
    from airflow_aml.definition.runs.steprun import StepRun
    from airflow_aml.definition.schedule import Schedule
    from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
    from airflow_aml.definition.schedule_versions import OnNewVersion
    from airflow_aml.definition.schedule_zones import TimeZone
    from airflow_aml.definition.scriptrunconfig import ScriptRunConfig
    from airflow_aml.definition.spec import PipelineSpec
    from airflow_aml.definition.step import PipelineStep, PythonScriptStep, StepSequence
    from airflow_aml.definition.tabular import TabularDataset
    from airflow_aml.definition.workspace import Workspace
    from airflow_aml.errors import ComputeTargetException

_HOMES = {
    "AmlCompute": "definition.computes.target",
    "BatchCompute": "definition.computes.target",
    "ComputeTarget": "definition.computes.target",
    "ComputeTargetException": "errors",
    "CondaDependencies": "definition.runconfig",
    "DEFAULT_CPU_IMAGE": "definition.runconfig",
    "DEFAULT_GPU_IMAGE": "definition.runconfig",
    "DataFactoryCompute": "definition.computes.target",
    "DataPath": "definition.datareference",
    "DataPathComputeBinding": "definition.datareference",
    "DataReference": "definition.datareference",
    "DataType": "definition.data.datatypes",
    "DatabricksCompute": "definition.computes.target",
    "Dataset": "definition.dataset",
    "DatasetConsumptionConfig": "definition.consumption",
    "Datastore": "definition.datastore",
    "DockerConfiguration": "definition.runconfig",
    "Environment": "definition.runconfig",
    "EnvironmentReference": "definition.runconfig",
    "Experiment": "definition.experiment",
    "FileDataset": "definition.filedataset",
    "HDFSOutputDatasetConfig": "definition.outputs",
    "InputPortBinding": "definition.pipelinedata",
    "Keyvault": "definition.keyvault",
    "LinkFileOutputDatasetConfig": "definition.outputs",
    "LinkTabularOutputDatasetConfig": "definition.outputs",
    "Model": "definition.model",
    "MpiConfiguration": "definition.runconfig",
    "OnNewVersion": "definition.schedule_versions",
    "OutputFileDatasetConfig": "definition.outputs",
    "OutputTabularDatasetConfig": "definition.outputs",
    "Pipeline": "definition.pipeline",
    "PipelineData": "definition.pipelinedata",
    "PipelineDraft": "definition.draft",
    "PipelineEndpoint": "definition.endpoint",
    "PipelineOutputFileDataset": "definition.pipelinedata",
    "PipelineOutputTabularDataset": "definition.pipelinedata",
    "PipelineParameter": "definition.parameters",
    "PipelineRun": "definition.runs.pipelinerun",
    "PipelineSpec": "definition.spec",
    "PipelineStep": "definition.step",
    "PromoteHeadersBehavior": "definition.data.datatypes",
    "PyTorchConfiguration": "definition.runconfig",
    "PublishedPipeline": "definition.published",
    "PythonScriptStep": "definition.step",
    "PythonScriptStepOperator": "airflow.steps.script",
    "ReusePolicy": "definition.reusepolicy",
    "ResourceConfiguration": "definition.modeldetails",
    "Run": "definition.runs.context",
    "RunConfiguration": "definition.runconfig",
    "RunDetails": "definition.runs.rundetails",
    "Schedule": "definition.schedule",
    "ScheduleRecurrence": "definition.schedule_recurrence",
    "ScriptRun": "definition.runs.scriptrun",
    "ScriptRunConfig": "definition.scriptrunconfig",
    "StepRun": "definition.runs.steprun",
    "StepSequence": "definition.step",
    "TabularDataset": "definition.tabular",
    "TensorflowConfiguration": "definition.runconfig",
    "TimeZone": "definition.schedule_zones",
    "Workspace": "definition.workspace",
    "_OfflineRun": "definition.runs.offline",
    "get_run": "definition.runs.finding",
}

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "AmlCompute",
    "BatchCompute",
    "ComputeTarget",
    "ComputeTargetException",
    "CondaDependencies",
    "DataFactoryCompute",
    "DataPath",
    "DataPathComputeBinding",
    "DataReference",
    "DataType",
    "DatabricksCompute",
    "Dataset",
    "DatasetConsumptionConfig",
    "Datastore",
    "DockerConfiguration",
    "Environment",
    "EnvironmentReference",
    "Experiment",
    "FileDataset",
    "HDFSOutputDatasetConfig",
    "InputPortBinding",
    "Keyvault",
    "LinkFileOutputDatasetConfig",
    "LinkTabularOutputDatasetConfig",
    "Model",
    "MpiConfiguration",
    "OnNewVersion",
    "OutputFileDatasetConfig",
    "OutputTabularDatasetConfig",
    "Pipeline",
    "PipelineData",
    "PipelineDraft",
    "PipelineEndpoint",
    "PipelineOutputFileDataset",
    "PipelineOutputTabularDataset",
    "PipelineParameter",
    "PipelineRun",
    "PipelineSpec",
    "PipelineStep",
    "PromoteHeadersBehavior",
    "PublishedPipeline",
    "PyTorchConfiguration",
    "PythonScriptStep",
    "ResourceConfiguration",
    "ReusePolicy",
    "Run",
    "RunConfiguration",
    "RunDetails",
    "Schedule",
    "ScheduleRecurrence",
    "ScriptRun",
    "ScriptRunConfig",
    "StepRun",
    "StepSequence",
    "TabularDataset",
    "TensorflowConfiguration",
    "TimeZone",
    "Workspace",
    "_OfflineRun",
    "__version__",
    "get_run",
]


_OPERATORS = ["PythonScriptStepOperator"]
"""For DAGs that are written by hand. They take all of Airflow, so ``import *`` brings none."""

_LATER = {
    "CommandStep": "compute",
    "DataTransferStep": "compute",
    "DatabricksStep": "compute",
    "EstimatorStep": "compute",
    "HyperDriveStep": "compute",
    "ParallelRunConfig": "parallel run",
    "ParallelRunStep": "parallel run",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if name in _LATER:
        raise ImportError(f"airflow_aml.{name} comes with the {_LATER[name]} release.")
    if home is None:
        raise AttributeError(
            f"airflow_aml has no {name!r}. If SDK v1 had it, this release does not serve it yet."
        )
    return getattr(import_module(f"airflow_aml.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_OPERATORS])

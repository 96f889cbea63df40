"""The names of SDK v1, by module: the one table that says what a v1 program can import.

A name is served if this package has it: under the same name on its public face, or where
:data:`HOMES` says. So a name begins to be served by being written, and nothing here changes.
:data:`REFUSED` has those that will not be served, with what to do instead; what is neither is
not served *yet*.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple

_EXCEPTIONS = """
    ActivityCanceledException ActivityFailedException AuthenticationException AzureMLException
    ComputeTargetException ExperimentExecutionException ModelNotFoundException ParallelRunException
    ProjectSystemException RunConfigurationException RunEnvironmentException ServiceException
    SnapshotException TrainingException UserErrorException WebserviceException WorkspaceException
    """

MODULES: Mapping[str, str] = {
    "azureml": "",
    "azureml.core": """
        ComputeTarget Container Dataset Datastore Environment Experiment Image Keyvault
        LinkedService Model Run RunConfiguration ScriptRun ScriptRunConfig
        SynapseWorkspaceLinkedServiceConfiguration VERSION Webservice Workspace get_run
        """,
    "azureml.core.authentication": """
        ArmTokenAuthentication AuthenticationException AzureCliAuthentication
        InteractiveLoginAuthentication MsiAuthentication ServicePrincipalAuthentication
        TokenAuthentication
        """,
    "azureml.core.compute": """
        AdlaCompute AksCompute AmlCompute BatchAiCompute BatchCompute ComputeInstance ComputeTarget
        DataFactoryCompute DatabricksCompute DsvmCompute HDInsightCompute KubernetesCompute
        KustoCompute RemoteCompute SynapseCompute
        """,
    "azureml.core.compute.aks": "AksCompute",
    "azureml.core.compute.amlcompute": "AmlCompute AmlComputeProvisioningConfiguration",
    "azureml.core.compute.computeinstance": "ComputeInstance",
    "azureml.core.compute.databricks": "DatabricksCompute",
    "azureml.core.compute_target": "AmlCompute ComputeTarget ComputeTargetException",
    "azureml.core.conda_dependencies": "CondaDependencies",
    "azureml.core.container_registry": "ContainerRegistry",
    "azureml.core.databricks": "JarLibrary MavenLibrary PyPiLibrary",
    "azureml.core.dataset": "Dataset FileDataset TabularDataset",
    "azureml.core.datastore": "Datastore",
    "azureml.core.environment": """
        CondaDependencies DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE DockerSection Environment
        EnvironmentReference PythonSection
        """,
    "azureml.core.experiment": "Experiment",
    "azureml.core.image": "ContainerImage Image",
    "azureml.core.keyvault": "Keyvault",
    "azureml.core.model": "BatchInferenceConfig Dataset InferenceConfig Model",
    "azureml.core.resource_configuration": "ResourceConfiguration",
    "azureml.core.run": "Run _OfflineRun get_run",
    "azureml.core.runconfig": """
        CondaDependencies DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE Data DataReferenceConfiguration
        DockerConfiguration Environment EnvironmentReference JarLibrary MpiConfiguration
        PyTorchConfiguration RSection RunConfiguration TensorflowConfiguration
        """,
    "azureml.core.script_run": "ScriptRun",
    "azureml.core.script_run_config": "ScriptRunConfig",
    "azureml.core.webservice": """
        AciWebservice AksWebservice LocalWebservice Webservice WebserviceException
        """,
    "azureml.core.webservice.aci": "AciWebservice",
    "azureml.core.webservice.aks": "AksWebservice",
    "azureml.core.webservice.batch": "BatchServiceDeploymentConfiguration",
    "azureml.core.workspace": "Workspace",
    "azureml.data": """
        DataType DatacacheStore FileDataset HDFSOutputDatasetConfig LinkFileOutputDatasetConfig
        LinkTabularOutputDatasetConfig OutputFileDatasetConfig TabularDataset
        """,
    "azureml.data.abstract_dataset": "AbstractDataset",
    "azureml.data.abstract_datastore": "AbstractDatastore",
    "azureml.data.azure_storage_datastore": "AzureBlobDatastore AzureFileDatastore",
    "azureml.data.data_reference": "DataReference",
    "azureml.data.datapath": "DataPath DataPathComputeBinding",
    "azureml.data.dataset_consumption_config": "DatasetConsumptionConfig",
    "azureml.data.dataset_factory": """
        DataType FileDatasetFactory PromoteHeadersBehavior TabularDatasetFactory
        """,
    "azureml.data.file_dataset": "FileDataset",
    "azureml.data.output_dataset_config": """
        HDFSOutputDatasetConfig LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig
        OutputDatasetConfig OutputFileDatasetConfig OutputTabularDatasetConfig
        """,
    "azureml.data.sql_data_reference": "SqlDataReference",
    "azureml.data.stored_procedure_parameter": """
        StoredProcedureParameter StoredProcedureParameterType
        """,
    "azureml.data.tabular_dataset": "TabularDataset",
    "azureml.exceptions": _EXCEPTIONS,
    "azureml.exceptions._azureml_exception": _EXCEPTIONS,
    "azureml.pipeline": "",
    "azureml.pipeline.core": """
        Graph InputPortBinding InputPortDef Module ModuleVersion OutputPortBinding OutputPortDef
        Pipeline PipelineData PipelineDataset PipelineDraft PipelineEndpoint PipelineParameter
        PipelineRun PipelineStep PortDataReference PublishedPipeline Schedule ScheduleRecurrence
        StepRun StepRunOutput StepSequence TimeZone TrainingOutput
        """,
    "azureml.pipeline.core._restclients.aeva.models.error_response": "ErrorResponseException",
    "azureml.pipeline.core.builder": "PipelineStep StepSequence",
    "azureml.pipeline.core.graph": """
        Graph InputPortBinding InputPortDef OutputPortBinding OutputPortDef ParamDef PipelineData
        PipelineDataset PipelineParameter PortDataReference PublishedPipeline StepRun StepSequence
        TrainingOutput
        """,
    "azureml.pipeline.core.module": "Module ModuleVersion",
    "azureml.pipeline.core.pipeline": "Pipeline",
    "azureml.pipeline.core.pipeline_draft": "PipelineDraft",
    "azureml.pipeline.core.pipeline_endpoint": "PipelineEndpoint",
    "azureml.pipeline.core.pipeline_output_dataset": """
        PipelineOutputFileDataset PipelineOutputTabularDataset
        """,
    "azureml.pipeline.core.run": "PipelineRun PortDataReference StepRun StepRunOutput",
    "azureml.pipeline.core.schedule": "Schedule ScheduleRecurrence TimeZone",
    "azureml.pipeline.steps": """
        AdlaStep AutoMLStep AutoMLStepRun AzureBatchStep CommandStep DataTransferStep DatabricksStep
        EstimatorStep HyperDriveStep HyperDriveStepRun KustoStep ModuleStep MpiStep
        ParallelRunConfig ParallelRunStep PythonScriptStep RScriptStep SynapseSparkStep
        """,
    "azureml.pipeline.steps.parallel_run_config": "ParallelRunConfig",
    "azureml.pipeline.steps.predictor_step": "PredictorStep",
    "azureml.pipeline.steps.python_script_step": "PythonScriptStep",
    "azureml.contrib.pipeline.steps": "ParallelRunConfig ParallelRunStep",
    "azureml.contrib.notebook": "AzureMLNotebookHandler NotebookRunConfig NotebookRunnerStep",
    "azureml.train": "",
    "azureml.train.dnn": "Chainer Mpi PyTorch TensorFlow",
    "azureml.train.estimator": "Estimator",
    "azureml.train.hyperdrive": """
        BanditPolicy BayesianParameterSampling GridParameterSampling HyperDriveConfig HyperDriveRun
        MedianStoppingPolicy NoTerminationPolicy PrimaryMetricGoal RandomParameterSampling
        TruncationSelectionPolicy choice lognormal loguniform normal qlognormal qloguniform qnormal
        quniform randint uniform
        """,
    "azureml.train.sklearn": "SKLearn",
    "azureml.train.widgets": "RunDetails",
    "azureml.widgets": "RunDetails",
}
"""Module -> the names that v1 has there and programs import."""

FAMILIES: Tuple[str, ...] = (
    "azureml._restclient",
    "azureml.automl",
    "azureml.contrib",
    "azureml.datadrift",
    "azureml.explain",
    "azureml.interpret",
    "azureml.opendatasets",
    "azureml.train.automl",
)
"""Modules below which everything can be imported and nothing is served."""

HOMES: Mapping[str, str] = {
    "AbstractDataset": "definition.abstract",
    "AbstractDatastore": "definition.datastore:Datastore",
    "AmlComputeProvisioningConfiguration": (
        "definition.computes.configurations:ProvisioningConfiguration"
    ),
    "ArmTokenAuthentication": "definition.authentication",
    "AzureBlobDatastore": "definition.datastore:Datastore",
    "AzureCliAuthentication": "definition.authentication",
    "AzureFileDatastore": "definition.datastore:Datastore",
    "ContainerRegistry": "definition.environment",
    "DockerSection": "definition.runconfig",
    "FileDatasetFactory": "definition.factories",
    "InteractiveLoginAuthentication": "definition.authentication",
    "MsiAuthentication": "definition.authentication",
    "OutputDatasetConfig": "definition.outputs",
    "PortDataReference": "definition.runs.outputs",
    "PythonSection": "definition.runconfig",
    "ServicePrincipalAuthentication": "definition.authentication",
    "StepRunOutput": "definition.runs.outputs",
    "TabularDatasetFactory": "definition.factories",
    "TokenAuthentication": "definition.authentication",
    "VERSION": "azureml_compat.version",
}
"""Names that are served and are not on the public face: ``module`` or ``module:name`` of ours."""

_DEPLOYING = (
    "models are kept and versioned here, not deployed",
    "Model.register keeps one; whatever serves it takes it by Model.download.",
)
_AUTOML = ("automated ML was a service of Azure's", "Train in a PythonScriptStep's script.")
_EXPLANATIONS = (
    "explanations of models were kept and shown by a service of Azure's",
    "Keep them with the run: Run.log_image, Run.log_table, Run.upload_file.",
)
_TRAINING_OUTPUT = (
    "it names what automated ML and HyperDrive steps leave",
    "Write the model to an output of a PythonScriptStep.",
)
_RETIRED = ("the Azure service behind it is retired", "Use a PythonScriptStep.")

_REFUSED: Mapping[Tuple[str, str], Tuple[str, ...]] = {
    _DEPLOYING: (
        "AciWebservice",
        "AksCompute",
        "AksWebservice",
        "BatchInferenceConfig",
        "BatchServiceDeploymentConfiguration",
        "ContainerImage",
        "Image",
        "InferenceConfig",
        "LocalWebservice",
        "Webservice",
    ),
    _AUTOML: ("AutoMLStep", "AutoMLStepRun"),
    _TRAINING_OUTPUT: ("TrainingOutput",),
    _RETIRED: ("AdlaCompute", "AdlaStep", "BatchAiCompute", "ModuleStep", "Module"),
}

REFUSED: Mapping[str, Tuple[str, str]] = {
    name: reason for reason, names in _REFUSED.items() for name in names
}
"""Name -> (why it will not be served, what to do instead)."""

REFUSED_FAMILIES: Mapping[str, Tuple[str, str]] = {
    "azureml.automl": _AUTOML,
    "azureml.train.automl": _AUTOML,
    "azureml.contrib.automl": _AUTOML,
    "azureml.contrib.functions": _DEPLOYING,
    "azureml.contrib.mir": _DEPLOYING,
    "azureml.contrib.services": _DEPLOYING,
    "azureml._restclient": (
        "it is the inside of Azure's client",
        "The public classes do the same: Run, Experiment, Workspace.",
    ),
    "azureml.datadrift": (
        "data drift was a service of Azure's",
        "Compare datasets in a PythonScriptStep's script.",
    ),
    "azureml.explain": _EXPLANATIONS,
    "azureml.interpret": _EXPLANATIONS,
    "azureml.opendatasets": (
        "Azure Open Datasets are files on Azure's servers, behind a package of their own",
        "Dataset.File.from_files and Dataset.Tabular.from_* take the files' https:// addresses.",
    ),
}
"""Family -> (why, what instead), the same for all names below it."""

DIFFERENCES: Mapping[str, str] = {
    "AzureBlobDatastore": "any datastore: what kind it is, its datastore_type tells",
    "AzureFileDatastore": "any datastore: what kind it is, its datastore_type tells",
    "AzureCliAuthentication": "not needed; its header opens Airflow's REST API",
    "InteractiveLoginAuthentication": "not needed; its header opens Airflow's REST API",
    "MsiAuthentication": "not needed; its header opens Airflow's REST API",
    "ServicePrincipalAuthentication": "not needed; its header opens Airflow's REST API",
    "TokenAuthentication": "not needed; its header opens Airflow's REST API",
    "ArmTokenAuthentication": "not needed; its header opens Airflow's REST API",
    "Keyvault": "secrets are Airflow's Variables aml_secret_NAME",
    "RunDetails": "plain HTML in a notebook, a table in a terminal",
    "VERSION": "that of the SDK whose names are served",
    "Workspace": "a folder that holds everything; subscription and resource group have no effect",
    "ScriptRunConfig": "its compute target has no effect without Airflow",
}
"""Name -> in what a served name differs."""


def names_of(module: str) -> List[str]:
    """The names that v1 has in a module, sorted."""
    return sorted(MODULES.get(module, "").split())


def family_of(module: str) -> str:
    """The family that a module belongs to; empty for none."""
    for family in sorted(FAMILIES, key=len, reverse=True):
        if module == family or module.startswith(f"{family}."):
            return family
    return ""


def is_module(module: str) -> bool:
    """Whether v1 has that module, as far as anything is known of it."""
    below = f"{module}."
    return (
        module in MODULES
        or bool(family_of(module))
        or any(known.startswith(below) for known in (*MODULES, *FAMILIES))
    )


def modules_of(name: str) -> List[str]:
    """The modules that have a name."""
    return [module for module in MODULES if name in names_of(module)]


def all_names() -> Dict[str, List[str]]:
    """Every name, with the modules that have it."""
    found: Dict[str, List[str]] = {}
    for module in sorted(MODULES):
        for name in names_of(module):
            found.setdefault(name, []).append(module)
    return dict(sorted(found.items()))

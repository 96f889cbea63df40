import azureml
from azureml.contrib.services.aml_response import AMLResponse
from azureml.core import ComputeTarget, Experiment, Webservice, Workspace
from azureml.core.authentication import (
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
)
from azureml.core.compute import AmlCompute, DatabricksCompute, DataFactoryCompute
from azureml.core.webservice import AciWebservice, AksWebservice
from azureml.data.sql_data_reference import SqlDataReference
from azureml.opendatasets import NycTlcGreen
from azureml.pipeline.core import Pipeline, PipelineEndpoint, PublishedPipeline, TrainingOutput
from azureml.pipeline.steps import (
    AutoMLStep,
    DatabricksStep,
    DataTransferStep,
    HyperDriveStep,
    ParallelRunConfig,
    ParallelRunStep,
    PythonScriptStep,
)
from azureml.train.automl import AutoMLConfig
from azureml.train.estimator import Estimator
from azureml.train.hyperdrive import BanditPolicy, HyperDriveConfig, choice, uniform

login = ServicePrincipalAuthentication(
    tenant_id="t", service_principal_id="i", service_principal_password="p"
)
ws = Workspace(subscription_id="s", resource_group="g", workspace_name="default", auth=login)
step = PythonScriptStep("hello.py", name="hello", source_directory="src")
assert not isinstance(step, (DatabricksStep, ParallelRunStep))
pipeline = Pipeline(ws, [step])

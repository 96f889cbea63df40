from azureml.core import Workspace
from azureml.pipeline.core import Pipeline, PipelineEndpoint
from azureml.pipeline.core._restclients.aeva.models.error_response import ErrorResponseException
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
pipeline = Pipeline(ws, [PythonScriptStep("hello.py", source_directory="src")])
published = pipeline.publish(name="by endpoint")
try:
    endpoint = PipelineEndpoint.get(workspace=ws, name="hello-endpoint")
    endpoint.add_default(published)
except ErrorResponseException:
    endpoint = PipelineEndpoint.publish(
        workspace=ws, name="hello-endpoint", pipeline=published, description="d"
    )

import os

import requests
from azureml.core import Experiment, Workspace
from azureml.core.authentication import InteractiveLoginAuthentication
from azureml.pipeline.core import Pipeline, PipelineParameter
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
word = PipelineParameter("word", "published")
step = PythonScriptStep("hello.py", name="hello", source_directory="src", arguments=[word])
pipeline = Pipeline(workspace=ws, steps=[step])
published = pipeline.publish(name="Say hello", description="Says it.", version="1.0")
print(f"##vso[task.setvariable variable=PIPELINE_ID]{published.id}")

header = InteractiveLoginAuthentication().get_authentication_header()
response = requests.post(
    published.endpoint,
    headers=header,
    json={"ExperimentName": "publishes", "ParameterAssignments": {"word": "again"}},
)
print(response.json()["Id"])

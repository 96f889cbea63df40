from azureml.core import Workspace
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AciWebservice
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
pipeline = Pipeline(ws, [PythonScriptStep("hello.py", source_directory="src")])
pipeline.submit("deploys")
config = InferenceConfig(entry_script="score.py", runtime="python")

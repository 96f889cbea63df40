import os

os.chdir(os.path.dirname(os.path.abspath(__file__)))

import azureml.core
from azureml.core import Experiment, Workspace
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep
from azureml.widgets import RunDetails

print("SDK version:", azureml.core.VERSION)
ws = Workspace.from_config()
step = PythonScriptStep(name="hello", script_name="hello.py", source_directory="src")
run = Experiment(ws, "widgets").submit(Pipeline(workspace=ws, steps=[step]))
RunDetails(run).show()

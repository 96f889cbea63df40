import sys

from azureml.core import Experiment, Workspace
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
step = PythonScriptStep("hello.py", name="hello", source_directory="src")
run = Experiment(ws, "exits").submit(Pipeline(ws, [step]))
sys.exit(4)

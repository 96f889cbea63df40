from azureml.core import Experiment, Workspace
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
step = PythonScriptStep("hello.py", name="hello", source_directory="src")
run = Experiment(ws, "from-run").submit(Pipeline(ws, [step]))
published = run.publish_pipeline(name="From a run", description="d", version="1")
print(published.name, published.id)

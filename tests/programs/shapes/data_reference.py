from azureml.core import Datastore, Experiment, Workspace
from azureml.data.data_reference import DataReference
from azureml.pipeline.core import Pipeline, PipelineData
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
datastore = Datastore(ws, "workspaceblobstore")
datastore.upload("data", target_path="tables", overwrite=True, show_progress=False)
tables = DataReference(
    datastore=datastore, data_reference_name="tables", path_on_datastore="tables"
)
result = PipelineData("result", datastore=datastore)
first = PythonScriptStep(
    name="prep",
    script_name="prep.py",
    source_directory="src",
    arguments=["--input", tables, "--output", result],
    inputs=[tables],
    outputs=[result],
)
second = PythonScriptStep(
    name="hello", script_name="hello.py", source_directory="src", arguments=[result],
    inputs=[result],
)
run = Experiment(ws, "data-reference").submit(Pipeline(ws, steps=[second]))
run.wait_for_completion()

import os
import tempfile

from azureml.core import Experiment, Workspace
from azureml.data.datapath import DataPath, DataPathComputeBinding
from azureml.pipeline.core import Pipeline, PipelineParameter, Schedule
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
datastore = ws.get_default_datastore()
datastore.upload("data", target_path="tables", overwrite=True, show_progress=False)
datastore.upload("data", target_path="tables/new", overwrite=True, show_progress=False)

data_path = DataPath(datastore=datastore, path_on_datastore="tables")
path_parameter = PipelineParameter(name="input_path", default_value=data_path)
tables = (path_parameter, DataPathComputeBinding(mode="mount"))
step = PythonScriptStep(
    name="hello",
    script_name="hello.py",
    source_directory="src",
    arguments=["--tables", tables],
    inputs=[tables],
)
pipeline = Pipeline(workspace=ws, steps=[step])

published = pipeline.publish(name="Tables", description="Reads a folder.", version="1.0")
schedule = Schedule.create(
    workspace=ws,
    name="new tables",
    pipeline_id=published.id,
    experiment_name="data-path",
    datastore=datastore,
    path_on_datastore="tables",
    data_path_parameter_name="input_path",
    polling_interval=5,
    wait_for_provisioning=True,
)
newest = DataPath(datastore=datastore, path_on_datastore="tables/new")
run = Experiment(ws, "data-path").submit(pipeline, pipeline_parameters={"input_path": newest})
run.wait_for_completion(show_output=True)

file = os.path.join(tempfile.mkdtemp(), "tables.yml")
run.save(file)
again = Pipeline.load_yaml(ws, file).submit("data-path", pipeline_parameters={"input_path": newest})
print("again", again.wait_for_completion(show_output=False))
for each in Schedule.list(ws, pipeline_id=published.id):
    each.disable()

from azureml.core import Dataset, Datastore, Experiment, Workspace
from azureml.data.datapath import DataPath
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
datastore = Datastore.get(ws, "workspaceblobstore")
datastore.upload_files(["data/table.csv"], target_path="tables", overwrite=True)
table = Dataset.Tabular.from_delimited_files(path=[(datastore, "tables/table.csv")])
table = table.register(ws, "table of shapes", create_new_version=True)
files = Dataset.File.from_files(DataPath(datastore, "tables"))
step = PythonScriptStep(
    "hello.py",
    name="hello",
    source_directory="src",
    arguments=[files.as_named_input("files").as_mount()],
    inputs=[table.as_named_input("table")],
)
run = Experiment(ws, "registers-data").submit(Pipeline(ws, [step]))
run.wait_for_completion()

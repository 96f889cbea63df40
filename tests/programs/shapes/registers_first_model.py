import azureml.core
from azureml.core import Dataset, Experiment, Workspace
from azureml.core.model import Model
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
datastore = ws.get_default_datastore()
datastore.upload(src_dir="data", target_path="tables")

# Register the model that the batch scores with.
model = Model.register(
    workspace=ws,
    model_path="pretrained/ridge.txt",
    model_name="pretrained-ridge",
    tags={"area": "tables", "type": "regression"},
    description="Ridge, trained elsewhere",
    datasets=[("training", Dataset.File.from_files((datastore, "tables/table.csv")))],
)
print(model.name, model.id, model.version, sep="\t")

step = PythonScriptStep("hello.py", name="hello", source_directory="src", arguments=[model.name])
run = Experiment(ws, "registers-first-model").submit(Pipeline(ws, [step]))
run.wait_for_completion()

from azureml.core import Dataset, Experiment, Workspace
from azureml.data import OutputFileDatasetConfig
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
store = ws.get_default_datastore()
words = OutputFileDatasetConfig(
    name="words", destination=(store, "words/{run-id}")
).register_on_complete(name="words of shapes")
prep = PythonScriptStep("prep.py", source_directory="src", arguments=["--output", words])
hello = PythonScriptStep(
    "hello.py", name="hello", source_directory="src", arguments=["--words", words.as_input("words")]
)
run = Experiment(ws, "output-datasets").submit(Pipeline(ws, [prep, hello]))
run.wait_for_completion()
print(Dataset.get_by_name(ws, "words of shapes").to_path())

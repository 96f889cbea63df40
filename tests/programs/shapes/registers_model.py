import sys

from azureml.core import Experiment, Model, Workspace
from azureml.pipeline.core import Pipeline, PipelineData
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
words, model = PipelineData("words"), PipelineData("model")
steps = [
    PythonScriptStep("prep.py", arguments=["--output", words], outputs=[words]),
    PythonScriptStep("train.py", arguments=["--input", words, "--model", model],
                     inputs=[words], outputs=[model]),
    PythonScriptStep("register.py", arguments=["--model", model], inputs=[model],
                     allow_reuse=False),
]
pipeline = Pipeline(ws, steps, default_source_directory="src")
status = Experiment(ws, "registers-model").submit(pipeline).wait_for_completion()
if status != "Finished":
    sys.exit(1)
print([(each.name, each.version) for each in Model.list(ws, latest=True)])

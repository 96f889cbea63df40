import os
import shutil
import tempfile

from azureml.core import Experiment, Workspace
from azureml.core.runconfig import DEFAULT_CPU_IMAGE
from azureml.data.output_dataset_config import OutputFileDatasetConfig
from azureml.pipeline.core import Pipeline
from azureml.pipeline.core.graph import PipelineParameter
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
print(ws.name, ws.resource_group, ws.location, ws.subscription_id, sep="\n")
words, model = OutputFileDatasetConfig("words"), OutputFileDatasetConfig("model")
rate = PipelineParameter(name="rate", default_value=0.5)
prep = PythonScriptStep("prep.py", source_directory="src", arguments=["--output", words])
train = PythonScriptStep(
    "train.py",
    name="train",
    source_directory="src",
    arguments=["--input", words.as_input(), "--model", model, "--rate", rate],
)
pipeline = Pipeline(ws, steps=[train])
run = Experiment(ws, "reads-back").submit(pipeline, pipeline_parameters={"rate": 0.25})
run.wait_for_completion(show_output=False)

folder = tempfile.mkdtemp()
step = run.find_step_run("train")[0]
step.get_output_data("model").download(folder)
for place, _, names in os.walk(folder):
    for name in names:
        print("model:", open(os.path.join(place, name)).read())
shutil.rmtree(folder)
for each in run.get_steps():
    print(each.name, each.get_status(), each.get_metrics())

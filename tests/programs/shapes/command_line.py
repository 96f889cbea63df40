import argparse
import os

from azureml.core import Experiment, Workspace
from azureml.data import OutputFileDatasetConfig
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

parser = argparse.ArgumentParser("command line")
parser.add_argument("--word", default="default")
parser.add_argument("--regenerate", action="store_true")
args = parser.parse_args()

ws = Workspace.from_config()
output = OutputFileDatasetConfig(name="words")
step = PythonScriptStep(
    "prep.py",
    name="prep",
    source_directory="src",
    arguments=["--output", output, "--word", args.word],
    compute_target=os.environ.get("COMPUTE", "cpu-cluster"),
)
pipeline = Pipeline(ws, [step])
run = Experiment(ws, "command-line").submit(pipeline, regenerate_outputs=args.regenerate)
print("submitted", run.id)

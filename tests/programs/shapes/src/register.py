import argparse

from azureml.core import Model, Run

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
args = parser.parse_args()

run = Run.get_context()
model = Model.register(run.experiment.workspace, args.model, "shape-model", tags={"by": run.id})
print(model.name, model.version)

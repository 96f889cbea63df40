import argparse
import os

from airflow_aml import Model, Run

parser = argparse.ArgumentParser()
parser.add_argument("--model")
model = parser.parse_args().model
run = Run.get_context()
with open(os.path.join(model, "model.txt")) as stream:
    slope = float(stream.read())
with open(Model.get_model_path("ridge", _workspace=run.experiment.workspace)) as stream:
    run.log("same model", float(stream.read()) == slope)
run.log("error", abs(slope - 2))
run.parent.set_tags({"scored": "yes"})
print("scored", run.experiment.name, run.id != run.parent.id)

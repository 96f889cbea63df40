import os

from azureml.core import Dataset, Environment, Experiment, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.compute_target import ComputeTargetException
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.model import Model
from azureml.core.runconfig import RunConfiguration
from azureml.data import OutputFileDatasetConfig
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep
from azureml.widgets import RunDetails

ws = Workspace.from_config()
default_ds = ws.get_default_datastore()

if "course table" not in ws.datasets:
    default_ds.upload_files(
        files=["./data/table.csv"], target_path="course/", overwrite=True, show_progress=True
    )
    tab_data_set = Dataset.Tabular.from_delimited_files(path=(default_ds, "course/*.csv"))
    try:
        tab_data_set = tab_data_set.register(
            workspace=ws,
            name="course table",
            description="data of the course",
            tags={"format": "CSV"},
            create_new_version=True,
        )
        print("Dataset registered.")
    except Exception as ex:
        print(ex)
else:
    print("Dataset already registered.")

experiment_folder = "course_pipeline"
os.makedirs(experiment_folder, exist_ok=True)
with open(os.path.join(experiment_folder, "prep.py"), "w") as script:
    script.write(
        """
import argparse
import os

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--input-data", type=str, dest="raw_dataset_id")
parser.add_argument("--prepped-data", type=str, dest="prepped_data", default="prepped_data")
args = parser.parse_args()
run = Run.get_context()
table = run.input_datasets["raw_data"].to_pandas_dataframe()
run.log("raw_rows", len(table))
os.makedirs(args.prepped_data, exist_ok=True)
table.to_csv(os.path.join(args.prepped_data, "data.csv"), index=False, header=True)
run.complete()
"""
    )
with open(os.path.join(experiment_folder, "train.py"), "w") as script:
    script.write(
        """
import argparse
import os

import pandas as pd
from azureml.core import Model, Run

parser = argparse.ArgumentParser()
parser.add_argument("--training-data", type=str, dest="training_data")
args = parser.parse_args()
run = Run.get_context()
table = pd.read_csv(os.path.join(args.training_data, "data.csv"))
run.log("Accuracy", 0.5)
os.makedirs("outputs", exist_ok=True)
file = os.path.join("outputs", "model.txt")
with open(file, "w") as model:
    model.write(str(len(table)))
Model.register(
    workspace=run.experiment.workspace, model_path=file, model_name="course_model",
    tags={"Training context": "Pipeline"}, properties={"Accuracy": str(0.5)},
)
run.complete()
"""
    )

cluster_name = "course-cluster"
try:
    pipeline_cluster = ComputeTarget(workspace=ws, name=cluster_name)
    print("Found existing cluster, use it.")
except ComputeTargetException:
    compute_config = AmlCompute.provisioning_configuration(vm_size="STANDARD_DS11_V2", max_nodes=2)
    pipeline_cluster = ComputeTarget.create(ws, cluster_name, compute_config)
    pipeline_cluster.wait_for_completion(show_output=True)

course_env = Environment("course-env")
course_env.python.user_managed_dependencies = True
course_env.register(workspace=ws)
registered_env = Environment.get(ws, "course-env")
pipeline_run_config = RunConfiguration()
pipeline_run_config.target = pipeline_cluster
pipeline_run_config.environment = registered_env

course_ds = ws.datasets.get("course table")
prepped_data = OutputFileDatasetConfig("prepped_data")
prep_step = PythonScriptStep(
    name="Prepare Data",
    source_directory=experiment_folder,
    script_name="prep.py",
    arguments=[
        "--input-data", course_ds.as_named_input("raw_data"),
        "--prepped-data", prepped_data,
    ],
    compute_target=pipeline_cluster,
    runconfig=pipeline_run_config,
    allow_reuse=True,
)
train_step = PythonScriptStep(
    name="Train and Register Model",
    source_directory=experiment_folder,
    script_name="train.py",
    arguments=["--training-data", prepped_data.as_input()],
    compute_target=pipeline_cluster,
    runconfig=pipeline_run_config,
    allow_reuse=True,
)

pipeline_steps = [prep_step, train_step]
pipeline = Pipeline(workspace=ws, steps=pipeline_steps)
experiment = Experiment(workspace=ws, name="course-pipeline")
pipeline_run = experiment.submit(pipeline, regenerate_outputs=True)
RunDetails(pipeline_run).show()
pipeline_run.wait_for_completion(show_output=True)

for run in pipeline_run.get_children():
    print(run.name, ":")
    metrics = run.get_metrics()
    for metric_name in metrics:
        print("\t", metric_name, ":", metrics[metric_name])
for model in Model.list(ws):
    print(model.name, "version:", model.version)
    for tag_name in model.tags:
        print("\t", tag_name, ":", model.tags[tag_name])
    for prop_name in model.properties:
        print("\t", prop_name, ":", model.properties[prop_name])

published_pipeline = pipeline_run.publish_pipeline(
    name="course-training-pipeline", description="Trains the course's model", version="1.0"
)
print("published", published_pipeline.name)

# Airflow lists this file's pipeline as a DAG.
"""Trains again when measurements come, and registers the model only if it is the better one.

The folder is `measurements` of the workspace's default datastore; it need not be there yet. Each
file is a CSV with the columns of `train/train.py`, such as those in `example_data`.
"""

from airflow_aml import (
    Dataset,
    OutputFileDatasetConfig,
    Pipeline,
    PythonScriptStep,
    Schedule,
    Workspace,
)

ws = Workspace.from_config()
store = ws.get_default_datastore()
measurements = Dataset.File.from_files((store, "measurements/*.csv"))
model = OutputFileDatasetConfig(name="model")

train = PythonScriptStep(
    name="train",
    script_name="train.py",
    arguments=["--data", measurements.as_named_input("measurements").as_mount(), "--model", model],
    compute_target="cpu-cluster",
    source_directory="train",
)

compare = PythonScriptStep(
    name="compare",
    script_name="compare.py",
    arguments=["--model", model.as_input("challenger")],
    compute_target="cpu-cluster",
    source_directory="compare",
)

pipeline = Pipeline(workspace=ws, steps=[compare], description="Trains again on new data.")

Schedule.create(
    ws,
    name="retraining",
    pipeline_id=pipeline,
    experiment_name="retraining",
    datastore=store,
    path_on_datastore="measurements",
    polling_interval=0.1,  # minutes; v1's default is 5
)

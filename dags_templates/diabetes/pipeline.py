# Airflow lists this file's pipeline as a DAG.
"""Train a model on the diabetes data and measure it: three steps and one parameter.

Every line below is Azure ML SDK v1; only the package that the names are imported from is another.
"""

from airflow_aml import (
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

ws = Workspace.from_config()

regularization = PipelineParameter(name="regularization", default_value=0.01)

prepared_data = OutputFileDatasetConfig(name="prepared_data")
model = OutputFileDatasetConfig(name="model")
metrics = OutputFileDatasetConfig(name="metrics")

prepare = PythonScriptStep(
    name="prepare",
    script_name="prepare.py",
    arguments=["--test-share", 0.25, "--output", prepared_data],
    compute_target="cpu-cluster",
    source_directory="prepare",
    allow_reuse=True,
)

train = PythonScriptStep(
    name="train",
    script_name="train.py",
    arguments=[
        "--data", prepared_data.as_input(name="training_data"),
        "--regularization", regularization,
        "--model", model,
    ],
    compute_target="cpu-cluster",
    source_directory="train",
    allow_reuse=True,
)  # fmt: skip

evaluate = PythonScriptStep(
    name="evaluate",
    script_name="evaluate.py",
    arguments=[
        "--data", prepared_data.as_input(name="test_data"),
        "--model", model.as_input(name="trained_model"),
        "--metrics", metrics,
    ],
    compute_target="cpu-cluster",
    source_directory="evaluate",
    allow_reuse=True,
)  # fmt: skip

pipeline = Pipeline(
    workspace=ws,
    steps=[prepare, train, evaluate],
    description="Ridge regression on the diabetes data set that ships with scikit-learn.",
)

experiment = Experiment(workspace=ws, name="diabetes")
pipeline_run = experiment.submit(pipeline)

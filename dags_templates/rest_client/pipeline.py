"""A pipeline that other programs start over REST: run this file once to publish it.

In the DAGs folder this file is that pipeline's DAG. Run as a program (``python pipeline.py``) it
publishes, and prints the address for ``client/submit.py`` and ``client/submit.sh``.
"""

from airflow_aml import (
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

ws = Workspace.from_config()
rate = PipelineParameter(name="rate", default_value=0.1)
model = OutputFileDatasetConfig(name="model")
train = PythonScriptStep(
    "train.py",
    name="train",
    source_directory="train",
    arguments=["--rate", rate, "--model", model],
)
published = Pipeline(ws, steps=[train]).publish(name="Train", description="by REST", version="1")
print(published.endpoint)

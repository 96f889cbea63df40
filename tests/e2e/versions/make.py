"""The first of two pipelines: each of its results is a new version of a dataset."""

from airflow_aml import (
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

rows = PipelineParameter("rows", 1)
sales = OutputFileDatasetConfig("sales").register_on_complete("fresh sales")
make = PythonScriptStep(
    "make.py",
    name="make",
    arguments=["--rows", rows, "--to", sales],
    source_directory="steps",
)
pipeline = Pipeline(Workspace.from_config(), [make])

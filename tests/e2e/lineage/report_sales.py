"""The second: it knows the first pipeline's dataset by nothing but its name."""

from airflow_aml import Dataset, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace

ws = Workspace.from_config()
sales = Dataset.get_by_name(ws, "clean sales").as_named_input("sales").as_mount()
report = OutputFileDatasetConfig("report").register_on_complete("sales report")

sum_up = PythonScriptStep(
    "sum_up.py",
    name="sum up",
    arguments=["--sales", sales, "--report", report],
    source_directory="steps",
)
pipeline = Pipeline(ws, [sum_up])

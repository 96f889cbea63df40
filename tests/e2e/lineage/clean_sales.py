"""The first of two pipelines: its output becomes a new version of a registered dataset."""

from airflow_aml import Dataset, OutputFileDatasetConfig, Pipeline, PythonScriptStep, Workspace

ws = Workspace.from_config()
store = ws.get_default_datastore()
store.upload("raw", "raw-sales")
Dataset.File.from_files((store, "raw-sales/")).register(ws, "raw sales", create_new_version=True)

raw = Dataset.get_by_name(ws, "raw sales").as_named_input("raw").as_mount()
cleaned = OutputFileDatasetConfig("cleaned").register_on_complete("clean sales")

clean = PythonScriptStep(
    "clean.py",
    name="clean",
    arguments=["--raw", raw, "--cleaned", cleaned],
    source_directory="steps",
)
pipeline = Pipeline(ws, [clean])

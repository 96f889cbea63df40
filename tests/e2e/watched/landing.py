# Airflow lists this file's pipeline as a DAG.
from airflow_aml import Pipeline, PipelineParameter, PythonScriptStep, Schedule, Workspace

path = PipelineParameter("path", "none")
workspace = Workspace.from_config()
step = PythonScriptStep(
    "look.py", name="look", source_directory="steps", arguments=["--path", path]
)
pipeline = Pipeline(workspace, [step])
more = {
    "pipeline_id": pipeline,
    "experiment_name": "watched",
    "datastore": workspace.get_default_datastore(),
    "path_on_datastore": "watched",
    "polling_interval": 1 / 30,
    "data_path_parameter_name": "path",
}
Schedule.create(workspace, "batch", **more)
Schedule.create(workspace, "single", per_file=True, **more)

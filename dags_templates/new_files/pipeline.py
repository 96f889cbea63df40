# Airflow lists this file's pipeline as a DAG.
"""Runs when files are dropped into a folder of a datastore, and looks at what has changed.

The folder is `incoming` of the workspace's default datastore, by default
`$AIRFLOW_HOME/aml/datastores/workspaceblobstore/incoming`; it need not be there yet.
"""

from airflow_aml import Pipeline, PipelineParameter, PythonScriptStep, Schedule, Workspace

ws = Workspace.from_config()

changed_path = PipelineParameter(name="changed_path", default_value="incoming")

look = PythonScriptStep(
    name="look",
    script_name="look.py",
    arguments=["--path", changed_path],
    compute_target="cpu-cluster",
    source_directory="steps",
)

pipeline = Pipeline(workspace=ws, steps=[look], description="Looks at files as they come.")

Schedule.create(
    ws,
    name="new files",
    pipeline_id=pipeline,
    experiment_name="new-files",
    datastore=ws.get_default_datastore(),
    path_on_datastore="incoming",
    polling_interval=0.1,  # minutes; v1's default is 5
    data_path_parameter_name="changed_path",
)

# Airflow lists this file's pipeline as a DAG.
from airflow_aml import (
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Schedule,
    ScheduleRecurrence,
    Workspace,
)

day = PipelineParameter("day", "never")
step = PythonScriptStep(
    "count.py", name="count", source_directory="steps", arguments=["--day", day]
)
workspace = Workspace.from_config()
pipeline = Pipeline(workspace, [step])
Schedule.create(
    workspace,
    name="sales",
    pipeline_id=pipeline,
    experiment_name="stock",
    recurrence=ScheduleRecurrence("Minute", 90),
    pipeline_parameters={"day": "@formatDateTime(trigger().scheduledTime, 'yyyy-MM-dd HH:mm')"},
)

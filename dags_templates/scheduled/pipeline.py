# Airflow lists this file's pipeline as a DAG.
"""A report on every Monday and Thursday at half past six, with the day that it is for."""

from airflow_aml import (
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Schedule,
    ScheduleRecurrence,
    TimeZone,
    Workspace,
)

ws = Workspace.from_config()

day = PipelineParameter(name="day", default_value="today")
report = OutputFileDatasetConfig(name="report")

write = PythonScriptStep(
    name="write",
    script_name="write.py",
    arguments=["--day", day, "--report", report],
    compute_target="cpu-cluster",
    source_directory="report",
)

pipeline = Pipeline(workspace=ws, steps=[write], description="A report, twice a week.")

Schedule.create(
    ws,
    name="reports",
    pipeline_id=pipeline,
    experiment_name="reports",
    recurrence=ScheduleRecurrence(
        frequency="Week",
        interval=1,
        week_days=["Monday", "Thursday"],
        time_of_day="06:30",
        time_zone=TimeZone.WEuropeStandardTime,
    ),
    pipeline_parameters={"day": "@formatDateTime(trigger().scheduledTime, 'yyyy-MM-dd')"},
)

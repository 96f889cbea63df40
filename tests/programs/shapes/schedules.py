from azureml.core import Workspace
from azureml.pipeline.core import Pipeline
from azureml.pipeline.core.schedule import Schedule, ScheduleRecurrence
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
pipeline = Pipeline(ws, [PythonScriptStep("hello.py", name="hello", source_directory="src")])
published = pipeline.publish(name="every night", description="d", version="0.1")
recurrence = ScheduleRecurrence(frequency="Day", interval=1, hours=[2], minutes=[30])
schedule = Schedule.create(
    ws,
    name="nightly",
    pipeline_id=published.id,
    experiment_name="schedules",
    recurrence=recurrence,
)

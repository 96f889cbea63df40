"""The second runs when there is a new version."""

from airflow_aml import Dataset, OnNewVersion, Pipeline, PythonScriptStep, Workspace

ws = Workspace.from_config()
sales = Dataset.get_by_name(ws, "fresh sales").as_named_input("sales").as_mount()
count = PythonScriptStep(
    "count.py", name="count", arguments=["--sales", sales], source_directory="steps"
)
dag = Pipeline(ws, [count]).to_dag(schedule=OnNewVersion("fresh sales"))

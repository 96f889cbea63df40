"""Two pipelines in one file, each submitted as a v1 program does it."""

from airflow_aml import Experiment, Pipeline, PythonScriptStep, Workspace

ws = Workspace.from_config()
for name in ("one", "other"):
    step = PythonScriptStep(
        "prepare.py", name=name, source_directory="steps", arguments=["--table", "."]
    )
    run = Experiment(ws, name).submit(Pipeline(ws, [step]))
    print(run.get_portal_url())
    print(run.wait_for_completion(show_output=False))

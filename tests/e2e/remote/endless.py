"""A step that goes on with a child of its own until somebody ends it, and one that waits for it."""

import sys

from airflow_aml import Experiment, Pipeline, PipelineParameter, PythonScriptStep, Workspace

ws = Workspace.from_config()
notes = PipelineParameter("notes", "")
wait = PythonScriptStep(
    "endless.py", name="wait", source_directory="steps", arguments=["--notes", notes]
)
after = PythonScriptStep("prepare.py", name="after", source_directory="steps", arguments=[])
after.run_after(wait)
pipeline = Pipeline(ws, [wait, after])

if __name__ == "__main__":
    run = Experiment(ws, "endless").submit(pipeline, pipeline_parameters={"notes": sys.argv[1]})
    print(run.id, flush=True)
    print(run.wait_for_completion(show_output=True))

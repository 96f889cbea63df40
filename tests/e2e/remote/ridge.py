"""Three steps in v1's words; run as a program, this file follows a run of its own DAG."""

import sys

from airflow_aml import (
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

ws = Workspace.from_config()
alpha = PipelineParameter("alpha", 0.1)
table = OutputFileDatasetConfig("table")
model = PipelineData("model", pipeline_output_name="the_model", is_directory=True)

prepare = PythonScriptStep(
    "prepare.py", name="prepare", source_directory="steps", arguments=["--table", table]
)
train = PythonScriptStep(
    "train.py",
    name="train",
    source_directory="steps",
    arguments=["--alpha", alpha, "--model", model],
    inputs=[table.as_input("table")],
    outputs=[model],
)
score = PythonScriptStep(
    "score.py",
    name="score",
    source_directory="steps",
    arguments=["--model", model],
    inputs=[model],
)
pipeline = Pipeline(ws, [prepare, train, score])

if __name__ == "__main__":
    run = Experiment(ws, "ridge").submit(
        pipeline, tags={"team": "a"}, pipeline_parameters={"alpha": float(sys.argv[1])}
    )
    print(run.get_portal_url())
    print(run.wait_for_completion(show_output=True))
    print("pipeline", run.get_metrics(), run.tags)
    for step in run.get_steps():
        print(step.name, step.get_metrics())
    run.get_pipeline_output("the_model").download("down", overwrite=True)
    (trained,) = run.find_step_run("train")
    trained.download_file(trained.get_metrics("curve")["curve"], "curve.png")
    print(len(run.get_all_logs("logs")), "logs")

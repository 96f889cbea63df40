# The sample of seed 001 with its imports changed, a local file as its input and the name of its
# compute in place of the compute set-up. Airflow finds it by this line's word dag.
from airflow_aml import (
    Dataset,
    Datastore,
    Experiment,
    Pipeline,
    PipelineData,
    PythonScriptStep,
    Workspace,
)

ws = Workspace.from_config()
blob_store = Datastore(ws, "workspaceblobstore")
compute_target = "STANDARD_NC6"
experiment = Experiment(ws, 'MyExperiment')

input_data = Dataset.File.from_files('20newsgroups/20news.pkl')

output_data = PipelineData("output_data", datastore=blob_store)

input_named = input_data.as_named_input('input')

steps = [ PythonScriptStep(
    script_name="train.py",
    arguments=["--input", input_named.as_download(), "--output", output_data],
    inputs=[input_data],
    outputs=[output_data],
    compute_target=compute_target,
    source_directory="myfolder"
) ]

pipeline = Pipeline(workspace=ws, steps=steps)

pipeline_run = experiment.submit(pipeline)
pipeline_run.wait_for_completion()

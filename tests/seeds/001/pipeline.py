# The sample of seed 001 with its imports changed, the name of its compute in place of the compute
# set-up, and the datastore that it speaks of filled. Airflow finds it by this line's word dag.
from airflow_aml import (
    DataPath,
    Dataset,
    Datastore,
    Experiment,
    Pipeline,
    PipelineData,
    PythonScriptStep,
    Workspace,
)

# Around the sample: its `datastore`, with its data.
datastore = Datastore(Workspace.from_config(), "workspaceblobstore")
datastore.upload(src_dir="20newsgroups", target_path="20newsgroups")

ws = Workspace.from_config()
blob_store = Datastore(ws, "workspaceblobstore")
compute_target = "STANDARD_NC6"
experiment = Experiment(ws, 'MyExperiment')

input_data = Dataset.File.from_files(
    DataPath(datastore, '20newsgroups/20news.pkl'))

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

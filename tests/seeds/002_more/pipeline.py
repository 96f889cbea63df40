# The samples of seed 002 that stand beside its pipeline, imports changed; what they only name
# (a table, folders, computes) is around them. Airflow finds the file by this line's word dag.
from airflow_aml import (
    Dataset,
    Datastore,
    Experiment,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    RunConfiguration,
    Workspace,
)

ws = Workspace.from_config()
def_blob_store = Datastore(ws, "workspaceblobstore")
def_blob_store.upload_files(["iris.csv"], target_path="train-dataset")
iris_tabular_dataset = Dataset.Tabular.from_delimited_files(
    [(def_blob_store, "train-dataset/iris.csv")])
compute_target = aml_compute = "aml-compute"
project_folder = source_directory = "./src"

dataset_consuming_step = PythonScriptStep(
    script_name="iris_train.py",
    inputs=[iris_tabular_dataset.as_named_input("iris_data")],
    compute_target=compute_target,
    source_directory=project_folder
)

step = PythonScriptStep(name="Hello World",
                        script_name="hello_world.py",
                        compute_target=aml_compute,
                        source_directory=source_directory,
                        allow_reuse=False,
                        hash_paths=['hello_world.ipynb'])

pipeline_param = PipelineParameter(name="pipeline_arg", default_value="default_val")
train_step = PythonScriptStep(script_name="train.py",
                            arguments=["--param1", pipeline_param],
                            target=compute_target,
                            source_directory=project_folder)

aml_run_config = RunConfiguration()
aml_run_config.environment.name = 'MyEnvironment'
aml_run_config.environment.version = '1.0'

pipeline = Pipeline(workspace=ws, steps=[dataset_consuming_step, step, train_step])
exp = Experiment(ws, "Compare_Models_Exp")
# From the guide's text, which has it the wrong way round: True forces, False is what always holds.
pipeline_run = exp.submit(pipeline, regenerate_outputs=False)

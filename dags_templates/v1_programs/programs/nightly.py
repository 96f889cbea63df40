"""An SDK v1 program as it ran on Azure: AmlDagBundle makes DAGs of it, with no change."""

from azureml.core import Experiment, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.compute_target import ComputeTargetException
from azureml.data import OutputFileDatasetConfig
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()

try:
    cpu_cluster = ComputeTarget(workspace=ws, name="cpu-cluster")
except ComputeTargetException:
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
    cpu_cluster = ComputeTarget.create(ws, "cpu-cluster", config)
    cpu_cluster.wait_for_completion(show_output=True)

numbers = OutputFileDatasetConfig(name="numbers")
collect = PythonScriptStep(
    name="collect",
    script_name="collect.py",
    arguments=["--numbers", numbers],
    compute_target=cpu_cluster,
    source_directory="steps",
)
add = PythonScriptStep(
    name="add",
    script_name="add.py",
    arguments=["--numbers", numbers.as_input("numbers")],
    compute_target=cpu_cluster,
    source_directory="steps",
)

pipeline = Pipeline(workspace=ws, steps=[add])
run = Experiment(ws, "nightly").submit(pipeline)
run.wait_for_completion(show_output=True)

published = run.publish_pipeline(name="Nightly", description="Adds numbers", version="1.0")
print("published", published.name)

from azureml.core import Experiment, Workspace
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.compute_target import ComputeTargetException
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
try:
    target = ComputeTarget(workspace=ws, name="cpu-cluster")
    print("Found existing compute target.")
except ComputeTargetException:
    config = AmlCompute.provisioning_configuration(
        vm_size="STANDARD_D2_V2", min_nodes=0, max_nodes=4
    )
    target = ComputeTarget.create(ws, "cpu-cluster", config)
    target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
step = PythonScriptStep("hello.py", name="hello", source_directory="src", compute_target=target)
run = Experiment(ws, "creates-compute").submit(Pipeline(ws, [step]))

from azureml.core import Environment, Experiment, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.runconfig import DEFAULT_CPU_IMAGE, RunConfiguration
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
environment = Environment(name="hello-env")
environment.docker.enabled = True
environment.docker.base_image = DEFAULT_CPU_IMAGE
environment.python.user_managed_dependencies = False
environment.python.conda_dependencies = CondaDependencies.create(
    pip_packages=["azureml-defaults", "six"], python_version="3.11"
)
environment.register(workspace=ws)
config = RunConfiguration()
config.environment = environment
step = PythonScriptStep(
    "hello.py", name="hello", source_directory="src", runconfig=config, compute_target="cpu"
)
run = Experiment(ws, "conda-packages").submit(Pipeline(ws, [step]))

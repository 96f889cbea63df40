from azureml.core import Experiment, Workspace
from azureml.pipeline.core import Pipeline, StepSequence
from azureml.pipeline.steps import PythonScriptStep

ws = Workspace.from_config()
first, second, third = (
    PythonScriptStep("hello.py", name=name, source_directory="./src", arguments=[name, 7])
    for name in ("first", "second", "third")
)
pipeline = Pipeline(ws, StepSequence(steps=[first, [second, third]]))
assert pipeline.validate() == []
experiment = Experiment(workspace=ws, name="sequence")
run = experiment.submit(pipeline, continue_on_step_failure=True, tags={"kind": "sequence"})

from azureml.core.runconfig import RunConfiguration
from azureml.pipeline.core import PipelineData
from azureml.pipeline.steps import PythonScriptStep


def two_steps(env, datastore):
    config = RunConfiguration()
    config.environment.python.user_managed_dependencies = True
    words = PipelineData("words", datastore=datastore)
    model = PipelineData("model", datastore=datastore)
    prep = PythonScriptStep(
        name="prep",
        script_name="prep.py",
        source_directory=env.sources_directory,
        arguments=["--output", words],
        outputs=[words],
        compute_target=env.compute_name,
        runconfig=config,
        allow_reuse=True,
    )
    train = PythonScriptStep(
        name="train",
        script_name="train.py",
        source_directory=env.sources_directory,
        arguments=["--input", words, "--model", model],
        inputs=[words],
        outputs=[model],
        compute_target=env.compute_name,
        runconfig=config,
    )
    train.run_after(prep)
    return [prep, train]

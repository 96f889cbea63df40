from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace

ws = Workspace.from_config()
config = ScriptRunConfig(source_directory="src", script="hello.py", arguments=["--x", 1])
run = Experiment(ws, "one-script").submit(config)
run.wait_for_completion(show_output=True)

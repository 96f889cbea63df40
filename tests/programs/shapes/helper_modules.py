from azureml.core import Experiment, Workspace
from azureml.pipeline.core import Pipeline
from ml_service.settings import Env
from ml_service.steps import two_steps


def main():
    env = Env()
    ws = Workspace.get(name=env.workspace_name, subscription_id="s", resource_group="g")
    pipeline = Pipeline(workspace=ws, steps=two_steps(env, ws.get_default_datastore()))
    pipeline._set_experiment_name
    pipeline.validate()
    run = Experiment(ws, env.experiment_name).submit(pipeline)
    run.wait_for_completion(show_output=True)


if __name__ == "__main__":
    main()

"""A build server's program: publishes under the build's version, finds that again, and runs it."""

import argparse
import os
import sys
import time

from azureml.core import Datastore, Environment, Experiment, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.core.runconfig import DEFAULT_CPU_IMAGE, RunConfiguration
from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter, PublishedPipeline
from azureml.pipeline.steps import PythonScriptStep
from ml_service.settings import Env


def get_environment(workspace, name, create_new=False):
    environments = Environment.list(workspace=workspace)
    found = None
    for env in environments:
        if env == name:
            found = environments[name]
    if found is None or create_new:
        found = Environment.from_conda_specification(
            name, os.path.join("ml_service", "environment.yml")
        )
        found.docker.enabled = True
        found.docker.base_image = DEFAULT_CPU_IMAGE
        found.register(workspace)
    return found


def build(e, ws, build_id):
    run_config = RunConfiguration()
    run_config.environment = get_environment(ws, "build-env", create_new=True)
    datastore_name = ws.get_default_datastore().name
    run_config.environment.environment_variables["DATASTORE_NAME"] = datastore_name
    datastore = Datastore.get(ws, datastore_name)

    rate = PipelineParameter(name="rate", default_value=0.1)
    caller = PipelineParameter(name="caller_run_id", default_value="none")
    words = PipelineData("words", datastore=datastore)
    model = PipelineData("model", datastore=datastore)
    prep = PythonScriptStep(
        name="Prepare",
        script_name="prep.py",
        source_directory=e.sources_directory,
        outputs=[words],
        arguments=["--output", words],
        runconfig=run_config,
        allow_reuse=True,
    )
    train = PythonScriptStep(
        name="Train Model",
        script_name="train.py",
        source_directory=e.sources_directory,
        inputs=[words],
        outputs=[model],
        arguments=[
            "--input", words, "--model", model, "--rate", rate, "--caller_run_id", caller,
        ],
        runconfig=run_config,
        allow_reuse=False,
    )
    train.run_after(prep)
    pipeline = Pipeline(workspace=ws, steps=[prep, train])
    pipeline._set_experiment_name
    pipeline.validate()
    published = pipeline.publish(
        name="training-pipeline", description="Model training pipeline", version=build_id
    )
    print(f"Published pipeline: {published.name} for build {published.version}")


def run(e, ws, build_id, output_file):
    matched = []
    for each in PublishedPipeline.list(ws):
        if each.name == "training-pipeline" and each.version == build_id:
            matched.append(each)
    if len(matched) != 1:
        sys.exit(f"{len(matched)} published pipelines match build {build_id}")
    experiment = Experiment(workspace=ws, name=e.experiment_name)
    started = experiment.submit(
        matched[0], tags={"BuildId": build_id}, pipeline_parameters={"rate": 0.3}
    )
    if output_file is not None:
        with open(output_file, "w") as out_file:
            out_file.write(started.id)
    while started.get_status() not in ("Finished", "Failed", "Canceled"):
        time.sleep(1)
    print("Pipeline run", started.get_status(), started.get_tags())
    steps = {each.name: each for each in started.get_steps()}
    print(steps["Train Model"].get_metrics(), sorted(steps["Train Model"].get_outputs()))


def main():
    parser = argparse.ArgumentParser("build and run")
    parser.add_argument("--build_id", type=str, default=os.environ.get("BUILD_ID", "0.1"))
    parser.add_argument("--output_pipeline_id_file", type=str, default=None)
    parser.add_argument("--skip_train_execution", action="store_true")
    args = parser.parse_args()
    e = Env()
    login = ServicePrincipalAuthentication(
        tenant_id=os.environ.get("TENANT_ID", "t"),
        service_principal_id=os.environ.get("SP_ID", "i"),
        service_principal_password=os.environ.get("SP_PASSWORD", "p"),
    )
    ws = Workspace.get(name=e.workspace_name, subscription_id="s", resource_group="g", auth=login)
    build(e, ws, args.build_id)
    if not args.skip_train_execution:
        run(e, ws, args.build_id, args.output_pipeline_id_file)


if __name__ == "__main__":
    main()

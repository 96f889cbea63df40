from azureml.core import Experiment, Workspace
from azureml.pipeline.core import Pipeline
from azureml.pipeline.steps import AutoMLStep
from azureml.train.automl import AutoMLConfig

ws = Workspace.from_config()
config = AutoMLConfig(task="classification", primary_metric="AUC_weighted")
run = Experiment(ws, "automl").submit(Pipeline(ws, [AutoMLStep("automl", config)]))

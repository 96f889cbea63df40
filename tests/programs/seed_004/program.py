import requests
from azureml.core import Experiment, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.data import OutputFileDatasetConfig
from azureml.pipeline import core, steps
from azureml.pipeline.core.graph import PipelineParameter

ws = Workspace.from_config()

prepped_data = OutputFileDatasetConfig('prepped')
reg_param = PipelineParameter(name='reg_rate', default_value=0.01)

step1 = steps.PythonScriptStep(name='prepare data',
                               source_directory='src',
                               script_name='prep.py',
                               arguments=['--out_folder', prepped_data],
                               compute_target='aml-cluster',
                               allow_reuse=False)
step2 = steps.PythonScriptStep(name='train model',
                               source_directory='src',
                               script_name='train.py',
                               arguments=['--training-data', prepped_data.as_input(),
                                          '--reg', reg_param],
                               compute_target='aml-cluster')
train_pipeline = core.Pipeline(ws, steps=[step1, step2])

experiment = Experiment(ws, 'training')
pipeline_run = experiment.submit(train_pipeline, regenerate_outputs=True)
pipeline_run.wait_for_completion()

published_pl = train_pipeline.publish(name='training_pipeline',
                                      description='Model training pipeline',
                                      version='1.0')
print(published_pl.endpoint)

daily = core.ScheduleRecurrence(frequency='Day', interval=1)
core.Schedule.create(ws, name='Daily Training', description='trains model every day',
                     pipeline_id=published_pl.id, experiment_name='Training_Pipeline',
                     recurrence=daily)

core.Schedule.create(ws, name='Reactive Training', description='trains model on data change',
                     pipeline_id=published_pl.id, experiment_name='Training_Pipeline',
                     datastore=ws.get_default_datastore(), path_on_datastore='data/training',
                     polling_interval=1)

# REST: the header is the token of a service principal; it runs by itself and answers with its id
auth = ServicePrincipalAuthentication(tenant_id='tenant', service_principal_id='id',
                                      service_principal_password='password')
response = requests.post(published_pl.endpoint,
                         headers=auth.get_authentication_header(),
                         json={'ExperimentName': 'Training_Pipeline',
                               'ParameterAssignments': {'reg_rate': 0.1}})
print('run', response.json()['Id'])

"""An ordinary Airflow DAG with v1 script steps beside other operators."""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

from airflow_aml import OutputFileDatasetConfig, PythonScriptStepOperator

with DAG(
    "handwritten",
    description="v1 script steps in a hand-written DAG.",
    schedule=None,
    params={"test_share": Param(0.25, type="number", minimum=0.05, maximum=0.5)},
    tags=["azureml-v1"],
):
    prepare = PythonScriptStepOperator(
        task_id="prepare",
        script_name="prepare.py",
        source_directory="diabetes/prepare",
        arguments=[
            "--test-share",
            "{{ params.test_share }}",
            "--output",
            OutputFileDatasetConfig("prepared_data"),
        ],
    )
    train = PythonScriptStepOperator(
        task_id="train",
        script_name="train.py",
        source_directory="diabetes/train",
        arguments=[
            "--data",
            prepare.output["prepared_data"],
            "--regularization",
            0.1,
            "--model",
            OutputFileDatasetConfig("model"),
        ],
    )
    tell = BashOperator(
        task_id="tell",
        bash_command="echo {{ ti.xcom_pull(task_ids='train', key='model')['uri'] }}",
    )
    train >> tell

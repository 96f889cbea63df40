"""What the process of a script was told of its run (reference 2.8)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_aml.runtime import RECORD_VARIABLE

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment

RUN = "AZUREML_RUN_ID"
ROOT = "AZUREML_ROOT_RUN_ID"
STEP = "AIRFLOW_AML_STEP"
PARENT = "AIRFLOW_AML_PARENT_RUN"
"""Which run a child run's script belongs to, and where that is recorded: a JSON object."""


def record_folder() -> str:
    """The folder of the script's record; where nobody gave it one, a temporary one."""
    given = os.environ.get(RECORD_VARIABLE)
    if given:
        return given
    from tempfile import gettempdir

    return os.path.join(gettempdir(), f"airflow_aml-{os.environ.get(RUN)}")


def experiment() -> Experiment:
    """The script's experiment, in its workspace."""
    from airflow_aml.definition.runs.ownexperiment import OwnExperiment
    from airflow_aml.definition.workspace import Workspace

    workspace = Workspace.of_run(os.environ.get("AZUREML_ARM_WORKSPACE_NAME", ""))
    return OwnExperiment.of_run(workspace, os.environ.get("AZUREML_ARM_PROJECT_NAME", ""))

"""The environment variables that a script finds: v1's (reference 2.8), and no secrets of Airflow's.

There is no Azure subscription or resource group behind a run here; scripts that read those two
names find a placeholder rather than a ``KeyError``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Mapping, Tuple

from airflow_aml.runtime import COOKIE, RECORD_VARIABLE, STORES_VARIABLE, recording

if TYPE_CHECKING:
    from airflow_aml.runtime.job import StepJob

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
RESOURCE_GROUP = "airflow"

V1_NAMES = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "azureml_compat", "door"
)
"""On the path of every script: ``import azureml`` works there, as v1's scripts have it."""

_DROPPED = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "_AIRFLOW", "__AIRFLOW")
"""Settings and connections with their passwords, and what a task process says to itself."""

_WORKSPACE_VARIABLE = "AIRFLOW__AML__WORKSPACE"

# fmt: off
_GUARDED_NAMES = frozenset([
    "HOME", "HOSTNAME", "IFS", "LANG", "LANGUAGE", "LOGNAME", "MAIL", "OLDPWD", "PATH", "PWD",
    "SHELL", "SHLVL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
])
# fmt: on
_GUARDED_PREFIXES = ("AIRFLOW", "AML_", "AZUREML_", "AZURE_ML_", "LC_", "LD_", "DYLD_", "PYTHON")


def inherited(environ: Mapping[str, str]) -> Dict[str, str]:
    """What a step may inherit: everything but Airflow's secrets and a task process's own notes."""
    return {name: value for name, value in environ.items() if not name.startswith(_DROPPED)}


def with_stores(environ: Mapping[str, str], stores: str) -> Dict[str, str]:
    """What a step may inherit, and what opens its remote stores: nobody else's of either."""
    variables = inherited(environ)
    variables.pop(STORES_VARIABLE, None)
    if stores:
        variables[STORES_VARIABLE] = stores
    return variables


def build(
    job: StepJob,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    source: str,
    *,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> Dict[str, str]:
    """The whole environment of a script.

    Args:
        job: the step.
        inputs: each input's path, or id where it is direct.
        outputs: each output's local path.
        source: the folder that the script runs in.
        environ: the runtime's own environment.
        warn: told what could not be exported.
    """
    variables = inherited(environ)
    variables["PYTHONUNBUFFERED"] = "1"
    variables.update(_identity(job))
    ports = [*_input_variables(job, inputs), *_output_variables(job, outputs)]
    for bare, name, value in ports:
        variables[name] = value
        if bare and is_guarded(bare):
            warn(f"{bare!r} is not exported under its own name, which has a meaning already.")
        elif bare:
            variables[bare] = value
    variables.update(_index(job))
    for name, value in job.parameters.items():
        variables["AML_PARAMETER_" + re.sub(r"\W", "_", name)] = value
    variables.update(job.environment_variables)
    script_folder = os.path.dirname(os.path.join(source, job.script))
    path = [source, script_folder, variables.get("PYTHONPATH", ""), V1_NAMES]
    variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, path)))
    variables[COOKIE] = job.attempt
    variables[RECORD_VARIABLE] = recording.folder_of(job)
    return variables


def is_guarded(name: str) -> bool:
    """Whether a port of that name must not become a variable of the same name."""
    return (
        name in _GUARDED_NAMES
        or name.startswith(_GUARDED_PREFIXES)
        or not name
        or "=" in name
        or "\0" in name
    )


def _identity(job: StepJob) -> Dict[str, str]:
    variables = {
        "AZUREML_RUN_ID": job.run_id,
        "AZUREML_ROOT_RUN_ID": job.root_run_id,
        "AIRFLOW_AML_STEP": job.step,
        "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": RESOURCE_GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": job.workspace_name,
        "AZUREML_ARM_PROJECT_NAME": job.experiment,
        "AZUREML_EXPERIMENT_ID": job.experiment,
        "AZUREML_WORKSPACE_ID": job.workspace_id,
        "AZUREML_NODE_COUNT": str(job.node_count),
    }
    if job.workspace_url:
        variables[_WORKSPACE_VARIABLE] = job.workspace_url
    return variables


Port = Tuple[str, str, str]
"""(The bare variable's name or nothing, the long variable's name, the value of both.)"""


def _input_variables(job: StepJob, inputs: Mapping[str, str]) -> Iterator[Port]:
    for each in job.inputs:
        if each.style == "reference":
            yield "", f"AZUREML_DATAREFERENCE_{each.name}", inputs[each.name]
        else:
            yield each.name, f"AZURE_ML_INPUT_{each.name}", inputs[each.name]


def _output_variables(job: StepJob, outputs: Mapping[str, str]) -> Iterator[Port]:
    for each in job.outputs:
        if each.style == "reference":
            yield "", f"AZUREML_DATAREFERENCE_{each.name}", outputs[each.name]
        else:
            yield each.name, f"AZURE_ML_OUTPUT_{each.name}", outputs[each.name]


def _index(job: StepJob) -> Dict[str, str]:
    read: List[str] = [f"{i.name}:{i.mode}" for i in job.inputs if i.style == "dataset"]
    written: List[str] = [o.name for o in job.outputs if o.style == "dataset"]
    variables = {}
    if read:
        variables["AZUREML_DATASET_ENVIRONMENT_VARS"] = ",".join(read)
    if written:
        variables["AZUREML_DATASET_FILE_OUTPUTS"] = ";".join(written)
    return variables

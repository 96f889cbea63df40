"""The environment variables that a v1 script reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from laboratory import Lab

from airflow_aml.runtime.environment import V1_NAMES, build, inherited, is_guarded
from airflow_aml.runtime.job import COOKIE, JobInput, JobOutput, StepJob

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def shown(lab: Lab, job: StepJob) -> dict:
    report = lab.run(job)
    assert report.outcome == "finished", report
    return json.loads(lab.lines[0])


def test_identity_of_the_run(lab: Lab) -> None:
    """A script knows its run, its pipeline's run, its experiment and its workspace."""
    job = lab.job(
        SHOW,
        run_id="step-1",
        workspace_name="team",
        workspace_url="file:///shared/aml",
        workspace_id="u-1",
        experiment="diabetes",
        node_count=2,
    )
    expected = {
        "AZUREML_RUN_ID": "step-1",
        "AZUREML_ROOT_RUN_ID": "root",
        "AZUREML_ARM_WORKSPACE_NAME": "team",
        "AZUREML_WORKSPACE_ID": "u-1",
        "AZUREML_ARM_PROJECT_NAME": "diabetes",
        "AZUREML_EXPERIMENT_ID": "diabetes",
        "AZUREML_NODE_COUNT": "2",
        "AIRFLOW__AML__WORKSPACE": "file:///shared/aml",
        "PYTHONUNBUFFERED": "1",
        COOKIE: job.attempt,
    }
    variables = shown(lab, job)
    assert {name: variables.get(name) for name in expected} == expected
    assert {"AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP"} <= set(variables)


def test_ports_in_both_families(lab: Lab, tmp_path: Path) -> None:
    """Dataset ports have two names each, reference ports one, and the index lists the datasets."""
    inputs = (
        JobInput("raw", (str(tmp_path),)),
        JobInput("table", (), mode="direct", identity="id-1"),
        JobInput("ref", (str(tmp_path),), style="reference"),
    )
    outputs = (JobOutput("out", "", ""), JobOutput("more", "", ""))
    job = lab.job(
        SHOW, inputs=inputs, outputs=(*outputs, JobOutput("pd", "", "", style="reference"))
    )
    variables = shown(lab, job)
    places = {output.name: output.staging for output in job.outputs}
    expected = {
        "raw": str(tmp_path),
        "AZURE_ML_INPUT_raw": str(tmp_path),
        "table": "id-1",
        "AZURE_ML_INPUT_table": "id-1",
        "AZUREML_DATAREFERENCE_ref": str(tmp_path),
        "out": places["out"],
        "AZURE_ML_OUTPUT_out": places["out"],
        "AZUREML_DATAREFERENCE_pd": places["pd"],
        "AZUREML_DATASET_ENVIRONMENT_VARS": "raw:mount,table:direct",
        "AZUREML_DATASET_FILE_OUTPUTS": "out;more",
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert not {"ref", "pd", "AZURE_ML_INPUT_ref", "AZURE_ML_OUTPUT_pd"} & set(variables)


def test_parameters_and_the_users_own(lab: Lab) -> None:
    """Parameters are exported by a name without odd signs, and what the user says comes last."""
    job = lab.job(
        SHOW,
        parameters={"reg-rate": "0.5", "n": "3", "ü x": "y"},
        environment_variables={"AML_PARAMETER_n": "4", "MINE": "ü=1", "PYTHONUNBUFFERED": "0"},
    )
    variables = shown(lab, job)
    assert variables["AML_PARAMETER_reg_rate"] == "0.5"
    assert variables["AML_PARAMETER_ü_x"] == "y"
    assert (variables["AML_PARAMETER_n"], variables["MINE"]) == ("4", "ü=1")
    assert variables["PYTHONUNBUFFERED"] == "0"


@pytest.mark.parametrize("name", ["PATH", "HOME", "LD_PRELOAD", "PYTHONPATH", "AZUREML_RUN_ID"])
def test_ports_never_take_a_name_with_a_meaning(lab: Lab, tmp_path: Path, name: str) -> None:
    """A dataset called PATH is exported under its long name only, with a warning."""
    job = lab.job(SHOW, inputs=(JobInput(name, (str(tmp_path),)),))
    variables = shown(lab, job)
    assert variables[f"AZURE_ML_INPUT_{name}"] == str(tmp_path)
    assert variables.get(name) != str(tmp_path)
    report = lab.run(job)
    assert f"'{name}' is not exported" in report.warnings[0]


def test_names_that_no_variable_can_have() -> None:
    """A name with an equals sign cannot be a variable."""
    assert all(map(is_guarded, ("a=b", "", "a\0", "LC_ALL", "TMPDIR", "http_proxy")))
    assert not any(map(is_guarded, ("data", "raw data", "path", "tz", "ü")))


def test_airflows_own_stays_with_airflow() -> None:
    """Connection strings, keys, variables and a task process's notes are dropped, no more."""
    dropped = {
        "AIRFLOW__CORE__FERNET_KEY": "x",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "x",
        "AIRFLOW_CONN_AWS": "x",
        "AIRFLOW_VAR_TOKEN": "x",
        "_AIRFLOW__STARTUP_MSG": "x",
        "_AIRFLOW_PROCESS_CONTEXT": "x",
        "__AIRFLOW_SUPERVISOR_FD": "3",
    }
    kept = {"AIRFLOW_HOME": "/a", "AIRFLOW_CTX_DAG_ID": "d", "PATH": "/bin", "MY_AIRFLOW__X": "1"}
    assert inherited({**dropped, **kept}) == kept


def test_python_path_keeps_what_it_had(lab: Lab) -> None:
    """Sources come first, then the script's folder, then what was there, then v1's names."""
    job = lab.job("", script="deep/step.py", files={"deep/step.py": ""})

    def path(**environ: str) -> list:
        variables = build(job, {}, {}, "/w/src", environ=environ, warn=print)
        return variables["PYTHONPATH"].split(os.pathsep)

    assert path() == ["/w/src", "/w/src/deep", V1_NAMES]
    assert path(PYTHONPATH="/lib:/x") == ["/w/src", "/w/src/deep", "/lib", "/x", V1_NAMES]
    flat = lab.job("")
    variables = build(flat, {}, {}, "/w/src", environ={}, warn=print)
    assert variables["PYTHONPATH"] == os.pathsep.join(["/w/src", V1_NAMES])

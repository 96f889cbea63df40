"""What a step's run is known by: v1's properties (reference 2.5 and 2.11), and ours."""

from __future__ import annotations

from airflow_aml.airflow.steps.assemble import StepRun
from airflow_aml.reuse.walk import Decision

PREFIX = "airflow_aml."


def properties_of(run: StepRun, decision: Decision) -> dict[str, str]:
    """Properties of the step's run, by name; what is not known is left out."""
    planned, fingerprint = run.plan.steps[run.node.id], decision.fingerprint
    key = fingerprint.record if fingerprint else planned.key
    own = {
        "environment": str(key.get("environment") or ""),
        "compute": run.node.compute or "local",
        "fingerprint": fingerprint.digest if fingerprint else "",
        "reason": decision.reason,
    }
    return {
        "azureml.runsource": "azureml.StepRun",
        "azureml.pipelinerunid": run.pipeline_run_id,
        "StepType": "PythonScriptStep",
        "ContentSnapshotId": planned.snapshot,
        **run.plan.git.get(run.node.source_directory, {}),
        **{f"{PREFIX}{name}": value for name, value in own.items() if value},
    }

"""The worker itself: a child process of the Airflow task."""

from __future__ import annotations

from airflow_aml.compute.placement import Placement, airflow_options
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.workspace.computes import ComputeRecord

OPERATOR = "airflow_aml.airflow.steps.local.LocalStepOperator"
_PLACEMENT = Placement(OPERATOR)


def local_placement(node: NodeSpec, compute: ComputeRecord) -> Placement:
    """The placement of a step on the worker."""
    options = airflow_options(compute)
    return Placement(OPERATOR, options) if options else _PLACEMENT

"""The worker itself: a child process of the Airflow task."""

from __future__ import annotations

from airflow_aml.compute.placement import Placement
from airflow_aml.definition.spec import NodeSpec

OPERATOR = "airflow_aml.airflow.steps.local.LocalStepOperator"
_PLACEMENT = Placement(OPERATOR)


def local_placement(node: NodeSpec) -> Placement:
    """The placement of a step on the worker."""
    return _PLACEMENT

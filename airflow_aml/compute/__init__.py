"""Where steps run: a compute's name or document -> which operator, with which arguments.

Pure: no Airflow import, nothing is looked up. Adding a place is one module here and one operator in
``airflow/steps/``.
"""

from __future__ import annotations

from airflow_aml.compute.local import local_placement
from airflow_aml.compute.placement import Placement
from airflow_aml.definition.spec import NodeSpec

__all__ = ["Placement", "place"]


def place(node: NodeSpec) -> Placement:
    """Where a step runs. In this release every compute's name means the worker itself."""
    return local_placement(node)

"""Where steps run: a compute's document -> which operator, with which arguments.

Pure: no Airflow import, nothing is looked up. Adding a place is one module here and one operator in
``airflow/steps/``.
"""

from __future__ import annotations

from airflow_aml.compute.local import local_placement
from airflow_aml.compute.named import NamedComputes
from airflow_aml.compute.placement import Placement
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.errors import NotServedError
from airflow_aml.workspace.computes import DOCKER, KUBERNETES, LOCAL, ComputeRecord

__all__ = ["NamedComputes", "Placement", "place"]


def place(node: NodeSpec, compute: ComputeRecord) -> Placement:
    """Where a step runs.

    Raises:
        UserErrorException: the step asks for what its compute cannot give.
        NotServedError: this release has no steps on such a compute.
    """
    if compute.kind == LOCAL:
        return local_placement(node, compute)
    if compute.kind == DOCKER:
        from airflow_aml.compute.docker import docker_placement

        return docker_placement(node, compute)
    if compute.kind == KUBERNETES:
        from airflow_aml.compute.kubernetes import kubernetes_placement

        return kubernetes_placement(node, compute)
    raise NotServedError(
        f"steps on a compute of kind {compute.kind!r} are not served.",
        where=f"step {node.name!r}, compute {compute.name!r}",
    )

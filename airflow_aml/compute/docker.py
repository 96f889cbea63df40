"""A container of a Docker engine, one for each step."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from airflow_aml.compute.placement import ARCHIVE, MOUNTS, Placement, airflow_options
from airflow_aml.definition.runconfig import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.errors import NotServedError, PipelineDefinitionError
from airflow_aml.workspace.computes import DOCKER, ComputeRecord

OPERATOR = "airflow_aml.airflow.steps.docker.DockerStepOperator"

LOCAL_ENGINE = "unix:///var/run/docker.sock"

BUILT = "airflow-aml/dockerfile"
"""The name of images that are built of Dockerfiles; their tag says of which one."""


def docker_placement(node: NodeSpec, compute: ComputeRecord) -> Placement:
    """The placement of a step in a container.

    Raises:
        PipelineDefinitionError: neither the step nor the compute names an image.
        NotServedError: the step asks for a Dockerfile elsewhere than on an engine of Docker's, or
            for arguments of ``docker run``.
    """
    if compute.secrets and transport_of(compute) == MOUNTS:
        raise PipelineDefinitionError(
            "'secrets' are named for containers that files are sent to (transport 'archive'); with "
            "mounts a script asks the worker, and may ask for any.",
            where=f"step {node.name!r}, compute {compute.name!r}",
            hint="Leave them out.",
        )
    options = {
        **airflow_options(compute),
        "compute": contained(node, compute),
        "image": image_of(node, compute),
    }
    return Placement(OPERATOR, options, transport_of(compute))


def contained(node: NodeSpec, compute: ComputeRecord) -> ComputeRecord:
    """The compute as the step's container or pod is made of it: what the step says counts first.

    Raises:
        NotServedError: the step asks for arguments of ``docker run``.
    """
    arguments = node.settings.docker_arguments
    if arguments:
        raise NotServedError(
            f"docker arguments ({' '.join(arguments)}) are not served.",
            where=f"step {node.name!r}, compute {compute.name!r}",
            hint="The compute's own document says network, user, limits, volumes and GPUs.",
        )
    sized = compute.sized
    return replace(sized, shm_size=node.settings.shm_size or sized.shm_size)


def image_of(node: NodeSpec, compute: ComputeRecord) -> str:
    """The image that a step runs in: its environment's, else its compute's.

    v1's default images, which say nothing in particular, are the compute's where it has one. An
    environment's Dockerfile is an image whose name says what is in it. What image a registered
    environment has is known when it is looked up, and then this is asked again.

    Raises:
        PipelineDefinitionError, NotServedError: see :func:`docker_placement`.
    """
    where = f"step {node.name!r}, compute {compute.name!r}"
    wanted = node.settings.environment
    if wanted.registered:
        return compute.image or ""
    if wanted.dockerfile and compute.kind != DOCKER:
        raise NotServedError(
            f"a Dockerfile on a compute of kind {compute.kind!r} is not served.",
            where=where,
            hint="Name an image: Environment.from_docker_image, or the compute's own.",
        )
    if wanted.dockerfile:
        return f"{BUILT}:{hashlib.sha256(wanted.dockerfile.encode()).hexdigest()[:32]}"
    asked = wanted.image
    if asked in (DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE):
        asked = compute.image or asked
    image = asked or compute.image
    if not image:
        raise PipelineDefinitionError(
            "the step runs in a container, and nothing names an image.",
            where=where,
            hint="Give the compute an 'image', or the step an Environment.from_docker_image.",
        )
    return image


def engine_of(compute: ComputeRecord) -> str:
    """The address of the compute's engine."""
    return compute.engine or LOCAL_ENGINE


def transport_of(compute: ComputeRecord) -> str:
    """How data gets into its containers: an engine of another machine sees no folder of ours."""
    if compute.transport:
        return compute.transport
    return MOUNTS if engine_of(compute).startswith("unix://") else ARCHIVE

"""A pod of a Kubernetes cluster, one for each step: what it is made of, and what its end means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_aml.compute.docker import contained, image_of
from airflow_aml.compute.placement import STORE, Placement, airflow_options
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.runtime import boot
from airflow_aml.workspace.computes import ComputeRecord

OPERATOR = "airflow_aml.airflow.steps.kubernetes.KubernetesStepOperator"

WORK = "/aml"
"""A pod's own folder: the runtime, the step's working copy, files that were fetched."""

CONTAINER = "base"
LABEL = "airflow_aml.step"
"""A pod's label with the id of the step run that it belongs to."""

PYTHON = "python3"
GRACE_SECONDS = 30
"""From a pod's request to end to its death: the script's own grace, and time to keep its logs."""

_GPU = "nvidia.com/gpu"
_BINARY = {"b": "", "k": "Ki", "m": "Mi", "g": "Gi"}
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
_NO_PROGRAM = re.compile(r"executable file not found|no such file", re.IGNORECASE)


def kubernetes_placement(node: NodeSpec, compute: ComputeRecord) -> Placement:
    """The placement of a step in a pod.

    Raises:
        PipelineDefinitionError: neither the step nor the compute names an image.
        NotServedError: the step asks for a Dockerfile, or for arguments of ``docker run``.
    """
    options = {
        **airflow_options(compute),
        "compute": contained(node, compute),
        "image": image_of(node, compute),
    }
    return Placement(OPERATOR, options, STORE)


@dataclass(frozen=True)
class PodRequest:
    """What one attempt at a step wants of its pod.

    Attributes:
        name: of the pod, and of the secret with what is handed to it.
        step_run_id: the value of its label.
        arguments: of the program that starts in it.
        handed: environment variables that are read from the secret; none: there is none.
        seconds: how long the script may run; None: as long as it takes.
    """

    name: str
    step_run_id: str
    arguments: Sequence[str]
    handed: Sequence[str] = ()
    seconds: float | None = None


def pod(compute: ComputeRecord, image: str, request: PodRequest) -> dict[str, Any]:
    """The pod of one attempt, as Kubernetes reads it. What a site's template says comes beside."""
    volumes, mounts = _volumes(compute)
    container = {
        "name": CONTAINER,
        "image": image,
        "command": [compute.interpreter or PYTHON, "-c", boot_program(), *request.arguments],
        "env": _variables(request),
        "volumeMounts": mounts,
        "resources": {"limits": limits(compute), "requests": limits(compute)},
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
    }
    if compute.node_selector:
        spec["nodeSelector"] = dict(compute.node_selector)
    if compute.user:
        spec["securityContext"] = _user(compute.user)
    if request.seconds:
        # Its runtime ends the script in time; this is for one that does not answer any more.
        spare = 2 * compute.startup_seconds + GRACE_SECONDS
        spec["activeDeadlineSeconds"] = int(request.seconds) + spare
    metadata = {"name": request.name, "labels": {LABEL: request.step_run_id}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def boot_program() -> str:
    """The program that a pod starts with, as a text: there is nothing of ours in its image."""
    with open(boot.__file__, encoding="utf-8") as stream:
        return stream.read()


def limits(compute: ComputeRecord) -> dict[str, str]:
    """The compute's size in Kubernetes' words. Requests are the same: what is asked for is had."""
    found = {}
    if compute.cpu is not None:
        found["cpu"] = f"{compute.cpu:g}"
    if compute.memory is not None:
        found["memory"] = quantity(compute.memory)
    if compute.gpu:
        found[_GPU] = str(compute.gpu)
    return found


def quantity(memory: str) -> str:
    """``512m`` of a document is ``512Mi`` in Kubernetes, where ``m`` are thousandths."""
    unit = memory[-1:].lower()
    return memory[:-1] + _BINARY[unit] if unit in _BINARY else memory


def is_shared(path: str, compute: ComputeRecord) -> bool:
    """Whether a folder of the worker's is the same folder in the compute's pods."""
    return any(path == each or path.startswith(each.rstrip("/") + "/") for each in compute.volumes)


def _volumes(compute: ComputeRecord) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    volumes: list[dict[str, Any]] = [{"name": "aml-work", "emptyDir": {}}]
    mounts = [{"name": "aml-work", "mountPath": WORK}]
    if compute.shm_size:
        size = quantity(compute.shm_size)
        volumes.append({"name": "aml-shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
        mounts.append({"name": "aml-shm", "mountPath": "/dev/shm"})  # noqa: S108
    for number, (folder, source) in enumerate(sorted(compute.volumes.items())):
        name = f"aml-shared-{number}"
        on_node = {"hostPath": {"path": source}}
        claimed = {"persistentVolumeClaim": {"claimName": source}}
        volumes.append({"name": name, **(on_node if source.startswith("/") else claimed)})
        mounts.append({"name": name, "mountPath": folder})
    return volumes, mounts


def _variables(request: PodRequest) -> list[dict[str, Any]]:
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": request.name, "key": name}}}
        for name in request.handed
    ]


def _user(user: str) -> dict[str, int]:
    uid, _, gid = user.partition(":")
    group = int(gid or uid)
    return {"runAsUser": int(uid), "runAsGroup": group, "fsGroup": group}


@dataclass(frozen=True)
class Loss:
    """Why a pod has ended without an answer; ``final``: another try cannot help."""

    reason: str
    final: bool = False


def why_lost(found: Mapping[str, Any] | None, compute: ComputeRecord, image: str) -> Loss:
    """What a pod's status says of a step that gave no answer.

    Args:
        found: the pod as Kubernetes tells it; None if it is not there any more.
    """
    if found is None:
        return Loss("its pod was deleted from outside, or went with its node.")
    status = found.get("status") or {}
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            wait = f"(it has waited {compute.startup_seconds} s)"
            return Loss(f"no node takes its pod {wait}: {_words(each)}.")
    states = [each.get("state") or {} for each in status.get("containerStatuses") or ()]
    for state in states:
        if state.get("waiting"):
            return _waiting(state["waiting"], compute, image)
    for state in states:
        if state.get("terminated"):
            return _terminated(state["terminated"], status, compute, image)
    return Loss(f"its pod has ended: {_words(status)}.")


def _waiting(state: Mapping[str, Any], compute: ComputeRecord, image: str) -> Loss:
    if state.get("reason") in _NO_IMAGE:
        return Loss(f"the image {image!r} cannot be had: {_words(state)}.", final=True)
    wait = f"(it has waited {compute.startup_seconds} s)"
    return Loss(f"its container does not start {wait}: {_words(state)}.")


def _terminated(
    state: Mapping[str, Any], status: Mapping[str, Any], compute: ComputeRecord, image: str
) -> Loss:
    code, said = state.get("exitCode"), str(state.get("message") or "").strip()
    if state.get("reason") == "OOMKilled":
        limit = compute.memory or "its node's"
        return Loss(f"its pod ran out of memory (the limit is {limit}).", final=True)
    if state.get("reason") in ("StartError", "ContainerCannotRun"):
        if _NO_PROGRAM.search(said):
            python = compute.interpreter or PYTHON
            return Loss(
                f"the image {image!r} has no Python: there is no {python} in it. Use an image with "
                "Python 3.8 or later, or set the compute's 'interpreter'.",
                final=True,
            )
        return Loss(f"its container cannot start: {said}", final=True)
    if code == boot.REFUSED:
        reason = said.rpartition("airflow_aml: ")[2] or "its image cannot run steps."
        return Loss(reason, final=True)
    if status.get("reason"):  # Evicted, NodeLost, Preempted, DeadlineExceeded
        return Loss(f"its pod was ended by the cluster: {_words(status)}.")
    return Loss(f"its pod has ended without an answer (exit code {code}). {said}".rstrip())


def _words(found: Mapping[str, Any]) -> str:
    parts = (str(found.get(name) or "").strip().rstrip(".") for name in ("reason", "message"))
    return ": ".join(filter(None, parts)) or "nothing is said"

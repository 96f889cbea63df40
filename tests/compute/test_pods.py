"""From a step and its compute to a pod, and from a pod's status to a sentence."""

from __future__ import annotations

import pytest

from airflow_aml.compute import place
from airflow_aml.compute.kubernetes import PodRequest, is_shared, pod, quantity, why_lost
from airflow_aml.definition.spec import EnvironmentSpec, NodeSpec, RunSettings
from airflow_aml.errors import PipelineDefinitionError
from airflow_aml.workspace.computes import record_of

REQUEST = PodRequest("aml-1", "step-1", ("runtime.zip", "/aml", "job", "answer"))


def node(**environment):
    return NodeSpec(
        "train", "train", "train.py", settings=RunSettings(EnvironmentSpec(**environment))
    )


def compute(**document):
    return record_of("pods", {"kind": "kubernetes", "image": "team/train:1", **document})


def test_a_pod_gets_image_queue_and_size_of_its_compute():
    """As a container of an engine does."""
    placement = place(node(), compute(queue="pods", vm_size="STANDARD_NC6"))

    assert placement.operator.endswith("KubernetesStepOperator")
    assert placement.transport == "store"
    assert placement.options["image"] == "team/train:1"
    assert placement.options["queue"] == "pods"
    assert placement.options["compute"].gpu == 1
    assert place(node(image="mine:2"), compute()).options["image"] == "mine:2"
    with pytest.raises(PipelineDefinitionError, match="nothing names an image"):
        place(node(), record_of("pods", {"kind": "kubernetes"}))


def test_what_a_document_says_is_in_the_pod():
    """Limits in Kubernetes' words, nodes, users, volumes; and nothing where it says nothing."""
    document = {
        "cpu": 0.5,
        "memory": "8g",
        "gpu": 2,
        "user": "1000:100",
        "shm_size": "1g",
        "node_selector": {"pool": "gpu"},
        "volumes": {"/srv/aml": "claim", "/data": "/mnt/data"},
    }

    full = pod(compute(**document), "a:1", REQUEST)["spec"]
    plain = pod(compute(), "a:1", REQUEST)["spec"]

    size = {"cpu": "0.5", "memory": "8Gi", "nvidia.com/gpu": "2"}
    (container,) = full["containers"]
    assert container["resources"] == {"limits": size, "requests": size}
    assert full["nodeSelector"] == {"pool": "gpu"}
    assert full["securityContext"] == {"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100}
    volumes = {each["name"]: each for each in full["volumes"]}
    mounted = {each["mountPath"]: volumes[each["name"]] for each in container["volumeMounts"]}
    assert mounted["/srv/aml"]["persistentVolumeClaim"] == {"claimName": "claim"}
    assert mounted["/data"]["hostPath"] == {"path": "/mnt/data"}
    assert mounted["/dev/shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert [each["mountPath"] for each in plain["containers"][0]["volumeMounts"]] == ["/aml"]
    assert "nodeSelector" not in plain
    assert "securityContext" not in plain
    assert plain["containers"][0]["resources"] == {"limits": {}, "requests": {}}


def test_a_pod_ends_some_time_after_its_script_should_have():
    """Whatever has become of the runtime in it."""
    request = PodRequest("aml-1", "step-1", (), seconds=60)

    assert pod(compute(startup_seconds=10), "a:1", request)["spec"]["activeDeadlineSeconds"] == 110
    assert "activeDeadlineSeconds" not in pod(compute(), "a:1", REQUEST)["spec"]


def test_what_opens_stores_is_read_from_a_secret():
    """Nothing of it is in the pod's own document."""
    request = PodRequest("aml-1", "step-1", (), handed=("AIRFLOW_AML_STORES",))

    (variable,) = pod(compute(), "a:1", request)["spec"]["containers"][0]["env"]

    key = {"name": "aml-1", "key": "AIRFLOW_AML_STORES"}
    assert variable == {"name": "AIRFLOW_AML_STORES", "valueFrom": {"secretKeyRef": key}}
    assert pod(compute(), "a:1", REQUEST)["spec"]["containers"][0]["env"] == []


def test_amounts_of_memory_are_said_in_kubernetes_words():
    """There ``m`` are thousandths."""
    given = ("512m", "8g", "64k", "100b", "1000")
    assert [quantity(each) for each in given] == ["512Mi", "8Gi", "64Ki", "100", "1000"]


def test_a_folder_is_shared_where_a_volume_is_mounted():
    """At it or above it."""
    shares = compute(volumes={"/srv/aml": "claim"})

    assert is_shared("/srv/aml", shares)
    assert is_shared("/srv/aml/x", shares)
    assert not is_shared("/srv/amlx", shares)
    assert not is_shared("/srv", shares)


# As a cluster of version 1.36 has told them.
ENDS = {
    "deleted": (None, "its pod was deleted from outside, or went with its node.", False),
    "no image": (
        {"waiting": {"reason": "ErrImagePull", "message": "pull access denied"}},
        "the image 'a:1' cannot be had: ErrImagePull: pull access denied.",
        True,
    ),
    "no image here": (
        {"waiting": {"reason": "ErrImageNeverPull", "message": "Container image not present"}},
        "the image 'a:1' cannot be had: ErrImageNeverPull: Container image not present.",
        True,
    ),
    "out of memory": (
        {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        "its pod ran out of memory (the limit is 64m).",
        True,
    ),
    "no python": (
        {
            "terminated": {
                "exitCode": 128,
                "reason": "StartError",
                "message": 'exec: "python3": executable file not found in $PATH: unknown',
            }
        },
        "the image 'a:1' has no Python: there is no python3 in it.",
        True,
    ),
    "no driver": (
        {
            "terminated": {
                "exitCode": 121,
                "reason": "Error",
                "message": "airflow_aml: the image has not what it takes to read it.\n",
            }
        },
        "the image has not what it takes to read it.",
        True,
    ),
    "slow start": (
        {"waiting": {"reason": "ContainerCreating"}},
        "its container does not start (it has waited 600 s): ContainerCreating.",
        False,
    ),
    "anything else": (
        {"terminated": {"exitCode": 137, "reason": "Error"}},
        "its pod has ended without an answer (exit code 137).",
        False,
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_pods_end_is_told_in_one_sentence(name):
    """And whether another try can help."""
    state, sentence, final = ENDS[name]
    found = state and {"status": {"phase": "Failed", "containerStatuses": [{"state": state}]}}

    loss = why_lost(found, compute(memory="64m"), "a:1")

    assert loss.reason.startswith(sentence)
    assert loss.final is final


def test_a_pod_that_no_node_takes_and_one_that_was_evicted_may_be_tried_again():
    """The cluster's words are passed on."""
    message = "0/1 nodes are available: 1 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    pending = {"phase": "Pending", "conditions": [{**condition, "message": message}]}
    evicted = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
        "containerStatuses": [{"state": {"terminated": {"exitCode": 137, "reason": "Error"}}}],
    }

    waits = why_lost({"status": pending}, compute(startup_seconds=3), "a:1")
    ended = why_lost({"status": evicted}, compute(), "a:1")

    assert waits.reason == (
        "no node takes its pod (it has waited 3 s): Unschedulable: "
        "0/1 nodes are available: 1 Insufficient cpu."
    )
    assert ended.reason == (
        "its pod was ended by the cluster: Evicted: The node was low on resource: memory."
    )
    assert not waits.final
    assert not ended.final

"""The step contract in pods: of a stand-in for a cluster, and of a real one where there is one."""

import json
import os

import pytest

from airflow_aml.testing import *  # noqa: F403 - with its fixtures
from airflow_aml.testing import StepContract

CLUSTER = "AML_TEST_CLUSTER"
"""Variable with the folder that a real cluster shares with us: see ``scripts/kind_cluster``."""


class TestKubernetes(StepContract):
    """Pods that the stand-in runs through Docker, with a workspace on a shared volume."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _cluster(cls, cluster, pods):
        cls.cluster, cls.pods = cluster, pods

    def document(self):
        return self.pods

    def leftovers(self):
        return [*self.cluster.left(), *self.cluster.containers()]


@pytest.mark.soak
class TestPackages(TestKubernetes):
    """Pods with packages beside their image."""

    packages = ("six==1.16.0",)


@pytest.mark.soak
@pytest.mark.skipif(CLUSTER not in os.environ, reason="there is no cluster: scripts/kind_cluster")
class TestCluster(StepContract):
    """Pods of a real cluster."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _connection(cls):
        with pytest.MonkeyPatch.context() as patch:  # the tests' own Airflow has no settings else
            config = {"kube_config_path": os.path.join(os.environ[CLUSTER], "kubeconfig")}
            document = {"conn_type": "kubernetes", "extra": config}
            patch.setenv("AIRFLOW_CONN_AML_PODS", json.dumps(document))
            yield

    def document(self):
        folder = os.environ[CLUSTER]
        return {
            "kind": "kubernetes",
            "image": "python:3.11-slim",
            "connection": "aml_pods",
            "fixed_tags": True,
            "user": f"{os.getuid()}:{os.getgid()}",
            "volumes": {folder: folder},
        }

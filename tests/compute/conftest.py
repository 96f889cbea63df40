"""A real Docker engine for the tests of this folder, and a cluster that runs pods in it."""

from __future__ import annotations

import json

import pytest

from scripts.docker_engine import IMAGE, docker_engine
from scripts.pod_api import PodApi
from scripts.test_servers import NotInstalledError


@pytest.fixture(scope="session")
def engine():
    """An engine, where one can be had."""
    try:
        with docker_engine() as found:
            yield found
    except NotInstalledError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cluster(engine, tmp_path_factory):
    """A stand-in for a Kubernetes cluster, known to Airflow as the connection ``aml_pods``.

    Its claim ``team`` is the folder that all of the tests' folders are in.
    """
    folder = tmp_path_factory.getbasetemp()
    with PodApi(engine, {"team": str(folder)}) as api, pytest.MonkeyPatch.context() as patch:
        config = api.kubeconfig(tmp_path_factory.mktemp("cluster") / "kubeconfig")
        patch.setenv(
            "AIRFLOW_CONN_AML_PODS",
            json.dumps({"conn_type": "kubernetes", "extra": {"kube_config_path": str(config)}}),
        )
        yield api


@pytest.fixture(scope="module")
def pods(cluster, tmp_path_factory):
    """The document of a compute in that cluster whose pods see the tests' folders."""
    return {
        "kind": "kubernetes",
        "image": IMAGE,
        "connection": "aml_pods",
        "fixed_tags": True,  # no registry has it
        "namespace": "team",
        "volumes": {str(tmp_path_factory.getbasetemp()): "team"},
    }

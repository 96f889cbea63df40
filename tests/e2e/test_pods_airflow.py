"""Steps in pods on a real Airflow: who watches them is killed, and who wants them no more says so.

One Airflow beside a stand-in for a cluster; see ``scripts/pod_api.py`` for what that cannot show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import templates
from scripts.docker_engine import IMAGE, docker_engine
from scripts.local_airflow import LocalAirflow
from scripts.pod_api import PodApi
from scripts.test_servers import NotInstalledError

pytestmark = pytest.mark.soak

PIPELINE = """
# airflow dag
from airflow_aml import *
notes = PipelineParameter("notes", "")
step = PythonScriptStep("wait.py", name="waits", source_directory="src", arguments=[notes])
Pipeline(Workspace(), [step]).submit("pods")
"""
SCRIPT = """
import os, sys, time
notes = sys.argv[1]
with open(os.path.join(notes, "starts"), "a") as stream:
    stream.write("x")
print("waits", flush=True)
while not os.path.exists(os.path.join(notes, "go")):
    time.sleep(0.1)
print("goes on", flush=True)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodApi]:
    """Its claim ``team`` is the folder that all of the tests' folders are in."""
    try:
        with (
            docker_engine() as engine,
            PodApi(engine, {"team": str(shared(tmp_path_factory))}) as api,
        ):
            yield api
    except NotInstalledError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def airflow(cluster: PodApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """An Airflow whose steps run in that cluster."""
    folder = tmp_path_factory.mktemp("airflow-on-pods")
    (folder / "dags" / "src").mkdir(parents=True)
    (folder / "dags" / "pods.py").write_text(PIPELINE)
    (folder / "dags" / "src" / "wait.py").write_text(SCRIPT)
    compute = {
        "kind": "kubernetes",
        "image": IMAGE,
        "connection": "our_cluster",
        "fixed_tags": True,  # no registry has it
        "namespace": "team",
        "volumes": {str(shared(tmp_path_factory)): "team"},
    }
    settings = {**templates.AML_SETTINGS, "aml.computes": json.dumps({"default": compute})}
    config = cluster.kubeconfig(folder / "kubeconfig")
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(config)}}
    with LocalAirflow(folder, extra_settings=settings) as running:
        given = ("our_cluster", "--conn-json", json.dumps(connection))
        done = running.run("connections", "add", *given)
        assert done.returncode == 0, done.stderr
        running.rest.wait_for_dag("pods")
        yield running


def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


class Waiting:
    """A run whose step waits in its pod for a word."""

    def __init__(self, airflow: LocalAirflow, cluster: PodApi, notes: Path) -> None:
        self.airflow, self.cluster, self.notes = airflow, cluster, notes
        self.run_id = airflow.rest.trigger("pods", {"notes": str(notes)})
        self.until("the script waits", lambda: self.starts() == 1)
        self.until("it is deferred", lambda: self.task()["state"] == "deferred")

    def until(self, what: str, holds: Any) -> None:
        self.airflow.rest.wait_until(what, holds, timeout=300)

    def starts(self) -> int:
        """How often the script has begun."""
        file = self.notes / "starts"
        return len(file.read_text()) if file.exists() else 0

    def task(self) -> Any:
        return self.airflow.rest.task_instance("pods", self.run_id, "waits")

    def go(self) -> str:
        """Gives the word; the run's state at its end."""
        (self.notes / "go").touch()
        return str(self.airflow.rest.wait("pods", self.run_id, timeout=300)["state"])


def test_another_triggerer_goes_on_with_the_pod_of_a_killed_one(
    airflow: LocalAirflow, cluster: PodApi, tmp_path: Path
) -> None:
    """The script runs once, in the task's first try, and its last line is in the log."""
    run = Waiting(airflow, cluster, tmp_path)

    airflow.restart("triggerer")
    state = run.go()

    assert state == "success"
    assert (run.starts(), run.task()["try_number"]) == (1, 1)
    assert "goes on" in airflow.rest.task_log("pods", run.run_id, "waits")
    run.until("the pod is deleted", lambda: not cluster.left())


def test_a_step_that_is_marked_failed_deletes_its_pod(
    airflow: LocalAirflow, cluster: PodApi, tmp_path: Path
) -> None:
    """Nothing of it goes on."""
    run = Waiting(airflow, cluster, tmp_path)

    airflow.rest.mark_task("pods", run.run_id, "waits", "failed")

    run.until("the pod is deleted", lambda: not cluster.left())
    assert airflow.rest.wait("pods", run.run_id)["state"] == "failed"


def test_a_step_that_is_cleared_begins_anew(
    airflow: LocalAirflow, cluster: PodApi, tmp_path: Path
) -> None:
    """Its first pod is deleted, and the step does not fail of that."""
    run = Waiting(airflow, cluster, tmp_path)
    (first,) = cluster.left()

    airflow.rest.clear("pods", run.run_id, "waits")

    run.until("it has begun anew", lambda: run.starts() == 2)
    run.until("the first pod is deleted", lambda: first not in cluster.left())
    assert run.go() == "success"
    assert run.task()["try_number"] == 2
    run.until("all is gone", lambda: not cluster.left())

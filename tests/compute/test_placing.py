"""From a step and its compute to an Airflow operator."""

from __future__ import annotations

import json

import pytest

from airflow_aml import DockerConfiguration, RunConfiguration
from airflow_aml.cli import main
from airflow_aml.compute import place
from airflow_aml.definition.spec import EnvironmentSpec, NodeSpec, RunSettings
from airflow_aml.errors import NotServedError, PipelineDefinitionError
from airflow_aml.workspace.computes import record_of

FILE = """
# airflow dag
from airflow_aml import *
ws = Workspace()
{before}
step = PythonScriptStep("a.py", source_directory="src", compute_target={name!r})
p = Pipeline(ws, [step])
"""

REFUSED = """
from airflow_aml import *
wanted = RunConfiguration()
wanted.docker.arguments = ["--privileged"]
step = PythonScriptStep("a.py", source_directory="src", compute_target="cpu", runconfig=wanted)
Pipeline(Workspace(), [step])
"""


def node(**environment):
    return NodeSpec(
        "train", "train", "train.py", settings=RunSettings(EnvironmentSpec(**environment))
    )


@pytest.fixture
def define(monkeypatch):
    def define(**documents):
        monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps(documents))

    return define


@pytest.fixture
def pipeline(write):
    """A file with one step on that compute."""

    def make(name, before=""):
        write("src/a.py", "print('ran')")
        write("p.py", FILE.format(name=name, before=before))

    return make


def test_a_step_says_how_much_shared_memory_its_container_has():
    """v1's ``DockerConfiguration``, before what the compute says; elsewhere it says nothing."""
    gpu = record_of("gpu", {"kind": "docker", "image": "a", "shm_size": "4g"})
    config = RunConfiguration()

    def asked():
        return NodeSpec("train", "train", "train.py", settings=config.settings)

    assert place(asked(), gpu).options["compute"].shm_size == "4g"
    config.environment.docker.shm_size = "1g"
    assert place(asked(), gpu).options["compute"].shm_size == "1g"
    config.docker = DockerConfiguration(use_docker=True, shm_size="512m")
    assert place(asked(), gpu).options["compute"].shm_size == "512m"
    pods = record_of("gpu", {"kind": "kubernetes", "image": "a"})
    assert place(asked(), pods).options["compute"].shm_size == "512m"


def test_arguments_of_docker_run_are_refused_where_there_is_a_container():
    """Not left out in silence; on the worker itself they mean nothing."""
    config = RunConfiguration()
    config.docker = DockerConfiguration(use_docker=True, arguments=["--network", "host"])
    asked = NodeSpec("train", "train", "train.py", settings=config.settings)

    for kind in ("docker", "kubernetes"):
        with pytest.raises(NotServedError, match=r"docker arguments \(--network host\) are not"):
            place(asked, record_of("gpu", {"kind": kind, "image": "a"}))
    assert "local" in place(asked, record_of("cpu", {})).operator


def test_a_plan_tells_what_a_compute_cannot_give(define, write, workspace, capsys):
    """As the run would: in one sentence, and before it."""
    define(cpu={"kind": "docker", "image": "a", "engine": "unix:///nowhere"})
    write("src/a.py", "")
    path = write("p.py", REFUSED)

    assert main(["plan", str(path)]) == 1

    assert "docker arguments (--privileged) are not served" in capsys.readouterr().err


def test_a_container_gets_the_image_of_the_step_or_else_of_its_compute():
    """v1's default images mean no image in particular."""
    gpu = record_of("gpu", {"kind": "docker", "image": "team/train:1", "pool": "gpus"})

    assert place(node(), gpu).options["image"] == "team/train:1"
    assert place(node(), gpu).options["pool"] == "gpus"
    assert place(node(image="mine:2"), gpu).options["image"] == "mine:2"
    v1 = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
    assert place(node(image=v1), gpu).options["image"] == "team/train:1"
    assert place(node(), gpu).transport == "mounts"
    far = record_of("far", {"kind": "docker", "image": "a", "engine": "tcp://gpu1:2375"})
    assert place(node(), far).transport == "archive"


def test_what_a_compute_cannot_give_is_refused_by_name():
    """When the DAG is made, not when the step runs."""
    docker = record_of("gpu", {"kind": "docker"})
    with pytest.raises(PipelineDefinitionError, match=r"compute 'gpu': .* nothing names an image"):
        place(node(), docker)
    pods = record_of("pods", {"kind": "kubernetes", "image": "a"})
    with pytest.raises(NotServedError, match="a Dockerfile on a compute of kind 'kubernetes'"):
        place(node(dockerfile="FROM a"), pods)


def test_queue_and_pool_reach_the_task(define, pipeline, one_dag):
    """They are Airflow's own."""
    define(cpu={"queue": "big", "pool": "cpus", "pool_slots": 2})
    pipeline("cpu")

    task = one_dag().get_task("a")

    assert (task.queue, task.pool, task.pool_slots) == ("big", "cpus", 2)


def test_pools_are_made_as_large_as_computes_have_nodes(define, database, caplog):
    """One that is there stays as it is; one without a size, or too small, is told of."""
    from airflow.models.pool import Pool

    from airflow_aml.airflow.pools import make_pools

    Pool.create_or_update_pool("theirs", 7, "", include_deferred=False)
    define(
        small={"pool": "ours", "max_nodes": 2},
        large={"pool": "ours", "max_nodes": 4},
        other={"pool": "theirs", "max_nodes": 1},
        lost={"pool": "nobodys"},
        huge={"pool": "theirs", "pool_slots": 8},
    )

    make_pools()

    slots = {pool.pool: pool.slots for pool in Pool.get_pools()}
    assert (slots["ours"], slots["theirs"], "nobodys" in slots) == (4, 7, False)
    assert "there is no pool 'nobodys', so the steps of computes that name it never" in caplog.text
    assert "compute 'huge' takes 8 slots of the pool 'theirs', which has 7" in caplog.text
    for name in ("ours", "theirs"):
        Pool.delete_pool(name)


def test_without_computes_a_name_means_the_worker_and_one_warning_says_so(
    pipeline, one_dag, run_dag, capfd
):
    """So files of v1 run as they are."""
    pipeline("cpu-cluster")

    ran = run_dag(one_dag())

    assert ran.state == "success"
    assert capfd.readouterr().out.count("the site has not defined the compute 'cpu-cluster'") == 1


def test_a_name_that_the_site_does_not_define_is_refused_with_names_like_it(
    define, pipeline, parse
):
    """Where the site has said which computes there are, unless it has a default."""
    define(**{"gpu-cluster": {"queue": "gpu"}})
    pipeline("gpu-clster")
    (error,) = parse().errors.values()
    assert "no compute 'gpu-clster' is defined. Did you mean 'gpu-cluster'?" in error

    define(**{"gpu-cluster": {"queue": "gpu"}, "default": {"queue": "any"}})
    (dag,) = parse().dags.values()
    assert dag.get_task("a").queue == "any"


def test_what_a_file_creates_is_known_to_its_steps_and_kept_by_its_runs(
    define, pipeline, one_dag, run_dag, workspace
):
    """In the site's default kind, in the size that the file asks for."""
    define(default={"queue": "any"})
    pipeline(
        "mine",
        "ComputeTarget.create(ws, 'mine', AmlCompute.provisioning_configuration(\n"
        "    vm_size='STANDARD_D2_V2', max_nodes=2))",
    )
    dag = one_dag()
    assert dag.get_task("a").queue == "any"

    assert run_dag(dag).state == "success"

    (kept,) = workspace.root.glob("registry/compute/*.json")
    assert json.loads(kept.read_text())["document"]["vm_size"] == "STANDARD_D2_V2"

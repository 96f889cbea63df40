"""What a step's container is made of beside its image: packages, and images of Dockerfiles."""

from __future__ import annotations

import json
import re
import sys
from uuid import uuid4

import pytest

from airflow_aml.cli import main
from airflow_aml.reuse.software.pythons import installed, own_version
from scripts.docker_engine import IMAGE

FILE = """
# airflow dag
from airflow_aml import *
config = RunConfiguration()
{environment}
steps = [
    PythonScriptStep("show.py", name=name, source_directory="src", compute_target="box",
                     runconfig=config, arguments=[name])
    for name in {names!r}
]
Pipeline("ws", steps)
"""
PACKAGES = """
config.environment.python.conda_dependencies = CondaDependencies.create(
    pip_packages={packages!r}, python_version={python!r})
"""
DOCKERFILE = """
config.environment = Environment.from_dockerfile("mine", {text!r})
"""
SHOW = "import os, six; print('six', six.__version__, os.path.dirname(six.__file__))\n"


@pytest.fixture
def box(engine, monkeypatch, tmp_path):
    """A container of the test's engine, as the site's compute "box"."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    given = {"kind": "docker", "image": IMAGE, "engine": engine.address, "network": "none"}

    def define(**more):
        monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps({"box": {**given, **more}}))

    define()
    return define


@pytest.fixture
def dag(write, one_dag, monkeypatch):
    """The DAG of steps with that environment; what fails is not tried again."""
    # Bytecode of a file that was as long in the same second would count as its own.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(environment, *names, script=SHOW):
        write("src/show.py", script)
        write("p.py", FILE.format(environment=environment, names=names or ("show",)))
        found = one_dag()
        for task in found.tasks:
            task.retries = 0
        return found

    return make


def packages(*wanted, python=None):
    return PACKAGES.format(packages=list(wanted), python=python)


def why(workspace):
    """Why steps have failed, by name."""
    return {path.name: path.read_text() for path in workspace.root.glob("runs/*/failed/*")}


@pytest.mark.parametrize("transport", ["mounts", "archive"])
def test_packages_beside_an_image_are_built_once_and_a_pin_runs_the_step_again(
    transport, box, dag, run_dag, tmp_path, capfd
):
    """Two steps share one build; the reason names the package."""
    box(transport=transport)
    first = run_dag(dag(packages("six==1.16.0"), "one", "two"))

    assert first.state == "success"
    said = "".join(capfd.readouterr())
    assert said.count("environment built: Python") == 1
    assert said.count(f"six 1.16.0 {tmp_path}/cache/environments/") == 2
    assert run_dag(dag(packages("six==1.16.0"), "one", "two")).states["one"] == "skipped"
    capfd.readouterr()

    changed = dag(packages("six==1.17.0"), "one", "two")
    assert main(["plan", str(tmp_path / "dags" / "p.py")]) == 3
    assert "package six changed from 1.16.0 to 1.17.0" in capfd.readouterr().out
    again = run_dag(changed)

    assert again.states["one"] == "success"
    assert again.xcom("one")["reason"] == "package six changed from 1.16.0 to 1.17.0"


REGISTERED = """
ws = Workspace()
mine = Environment.from_docker_image("mine", {image!r})
mine.python.conda_dependencies = CondaDependencies.create(pip_packages=["six=={six}"])
mine.register(ws)
config.environment = Environment.get(ws, "mine")
"""


def test_a_registered_environment_is_its_image_with_its_packages(
    box, dag, run_dag, tmp_path, engine, capfd
):
    """The latest version counts when a run starts; a new one with another pin says so."""
    other = "aml-registered:1"
    engine.docker("tag", IMAGE, other)
    box(image="aml-missing:1")
    script = SHOW + "import sys; print('in', sys.platform)\n"
    first = run_dag(dag(REGISTERED.format(image=other, six="1.16.0"), script=script))

    said = "".join(capfd.readouterr())
    assert first.state == "success", said
    assert "environment 'mine' is registered, version 1" in said
    assert f"Starting docker container from image {other}" in said
    assert "six 1.16.0" in said
    again = run_dag(dag(REGISTERED.format(image=other, six="1.16.0"), script=script))
    assert again.states["show"] == "skipped"

    capfd.readouterr()
    changed = dag(REGISTERED.format(image=other, six="1.17.0"), script=script)
    assert main(["plan", str(tmp_path / "dags" / "p.py")]) == 3
    assert "package six changed from 1.16.0 to 1.17.0" in capfd.readouterr().out
    third = run_dag(changed)
    assert third.xcom("show")["reason"] == "package six changed from 1.16.0 to 1.17.0"


def test_a_curated_environment_with_an_image_runs_in_it(
    box, dag, run_dag, engine, monkeypatch, capfd
):
    """A site's table says which; without an image there, it is the compute's."""
    engine.docker("tag", IMAGE, "aml-curated:1")
    table = {"ours": {"image": "aml-curated:1"}, "plain": ["six==1.16.0"]}
    monkeypatch.setenv("AIRFLOW__AML__CURATED_ENVIRONMENTS", json.dumps(table))
    by_name = "config.environment.name = 'ours'\n"

    ran = run_dag(dag(by_name, script="print('ran')"))

    assert ran.state == "success"
    assert "Starting docker container from image aml-curated:1" in "".join(capfd.readouterr())
    plain = run_dag(dag(by_name.replace("ours", "plain")))
    said = "".join(capfd.readouterr())
    assert plain.state == "success", said
    assert f"Starting docker container from image {IMAGE}" in said
    assert "six 1.16.0" in said


@pytest.mark.parametrize(
    ("document", "name", "said"),
    [
        ({}, "nobodys", "there is no environment named 'nobodys'"),
        ({"image": None}, "plain", "the step runs in a container, and nothing names an image"),
    ],
)
def test_a_registered_environment_that_cannot_be_used_fails_the_runs_first_task(
    box, dag, run_dag, tmp_path, monkeypatch, capfd, document, name, said
):
    """And plan says the same."""
    monkeypatch.setenv("AIRFLOW__AML__CURATED_ENVIRONMENTS", json.dumps({"plain": ["six"]}))
    box(**document)

    ran = run_dag(dag(f"config.environment.name = {name!r}\n"))

    assert ran.states == {"reuse": "failed", "show": "upstream_failed"}
    told = "".join(capfd.readouterr())
    assert said in told
    assert "step 'show'" in told
    assert main(["plan", str(tmp_path / "dags" / "p.py")]) == 1
    assert said in capfd.readouterr().err


@pytest.mark.skipif("3.8" not in installed(), reason="this machine has no Python 3.8")
def test_packages_for_another_python_than_the_images_are_refused(box, dag, run_dag, workspace):
    """They could not be imported there; the text says which version to ask for."""
    run_dag(dag(packages("six==1.16.0", python="3.8")))

    assert "the packages of the step are for Python 3.8" in why(workspace)["show"]
    assert f"the image has Python {own_version()}" in why(workspace)["show"]


def test_an_image_is_built_of_a_dockerfile_once(box, dag, run_dag, engine, capfd):
    """Its text is the step's key, whenever and wherever it was built."""
    # An engine that serves several runs of the suite has no image of this one's text.
    text = f"FROM {IMAGE}\nLABEL of={uuid4()}\nENV MARK=first\nRUN echo hello > /built.txt\n"
    script = "import os; print(os.environ['MARK'], open('/built.txt').read())\n"
    first = run_dag(dag(DOCKERFILE.format(text=text), "one", "two", script=script))

    assert first.state == "success"
    said = "".join(capfd.readouterr())
    assert said.count("first hello") == 2
    assert said.count("building the image airflow-aml/dockerfile:") == 1
    (built,) = set(re.findall(r"airflow-aml/dockerfile:\w+", said))
    engine.docker("rmi", "-f", built)
    again = run_dag(dag(DOCKERFILE.format(text=text), "one", "two", script=script))
    assert again.states["one"] == again.states["two"] == "skipped"

    other = text.replace("first", "second")
    changed = run_dag(dag(DOCKERFILE.format(text=other), "one", script=script))

    assert changed.states["one"] == "success"
    assert changed.xcom("one")["reason"].startswith("the image changed from airflow-aml/")
    assert "second hello" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FORM scratch\n", "unknown instruction: FORM"),
        ("FROM aml-missing:1\n", "aml-missing"),
        (f"FROM {IMAGE}\nRUN exit 3\n", "returned a non-zero code: 3"),
        (f"FROM {IMAGE}\nCOPY a.txt /\n", "COPY and ADD have nothing to take"),
    ],
)
def test_a_dockerfile_that_cannot_be_built_is_told_in_the_engines_words(
    box, dag, run_dag, workspace, text, said
):
    """And it is not tried again."""
    run_dag(dag(DOCKERFILE.format(text=text)))

    told = why(workspace)["show"]
    assert "the Dockerfile of the step cannot be built" in told
    assert said in told


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cpu": 4000}, "4000 cores are asked for, and the Docker engine at"),
        ({"memory": "4000g"}, "4000g of memory are asked for, and the Docker engine at"),
    ],
)
def test_more_than_the_engine_has_is_refused_when_the_run_is_planned(
    box, dag, run_dag, tmp_path, capfd, more, said
):
    """By the run's first task and by plan; a machine's name is only a limit."""
    box(**more)
    ran = run_dag(dag("", script="print('never')"))

    assert ran.states == {"reuse": "failed", "show": "upstream_failed"}
    assert said in "".join(capfd.readouterr())
    assert main(["plan", str(tmp_path / "dags" / "p.py")]) == 1
    assert said in capfd.readouterr().err

    box(vm_size="STANDARD_D64_V3")
    assert run_dag(dag("", script="print('ran')")).state == "success"


def test_gpus_are_asked_of_the_engine(box, dag, run_dag, workspace, monkeypatch):
    """As many as the compute says; an engine without any says so."""
    from docker import APIClient

    asked = []
    create = APIClient.create_container_from_config

    def recorded(self, config, *arguments, **options):
        asked.append(config["HostConfig"]["DeviceRequests"])
        return create(self, config, *arguments, **options)

    monkeypatch.setattr(APIClient, "create_container_from_config", recorded)
    box(gpu=2)
    ran = run_dag(dag("", script="print('ran')"))

    ((request,),) = asked
    assert request["Count"] == 2
    assert request["Capabilities"] == [["gpu"]]
    if ran.state != "success":  # as on a machine without GPUs
        assert "could not select device driver" in why(workspace)["show"]

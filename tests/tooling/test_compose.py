"""docker-compose.yaml: what can be told of it without images, and, where it can be, all of it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from scripts import compose_images, test_servers
from scripts.airflow_home import free_port
from scripts.airflow_rest import AirflowRest
from scripts.docker_engine import docker_engine
from scripts.templates import PROJECT
from scripts.test_servers import NotInstalledError
from tests.e2e import test_celery

FILE = PROJECT / "docker-compose.yaml"
PARTS = {"api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2"}
CHECK = """
import json, sys
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
commands, options = json.load(sys.stdin)
for words in commands:
    get_parser().parse_args(words)
conf.load_providers_configuration()
known = conf.configuration_description
print([each for each in options if each[1] not in known.get(each[0], {}).get("options", {})])
print(conf.get("core", "executor"), conf.get("aml", "workspace"), conf.get("aml", "computes"))
"""


def load(text: str, environ: dict[str, str]) -> dict[str, Any]:
    """The file as Compose reads it, with these variables set."""

    def value(found: re.Match[str]) -> str:
        return environ.get(found[1]) or found[2]

    return dict(yaml.safe_load(re.sub(r"\$\{(\w+):-([^}]*)\}", value, text)))


def as_text(environment: dict[str, Any]) -> dict[str, str]:
    """Variables as a process gets them."""
    return {name: "" if value is None else str(value) for name, value in environment.items()}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(load(FILE.read_text(), {})["services"])


def test_each_part_is_there_and_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    """Two workers; nothing but the API server is reached from outside, and from here alone."""
    assert set(services) == PARTS | {"postgres", "redis", "azurite", "init"}
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services)
        assert ("init" in service.get("depends_on", {})) == (name in PARTS)
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
    assert [name for name, each in services.items() if "ports" in each] == ["api-server"]
    for name, condition in services["init"]["depends_on"].items():
        assert condition == {"condition": "service_healthy"}
        assert "healthcheck" in services[name]


def test_images_are_public_unless_somebody_says_otherwise(services: dict[str, Any]) -> None:
    """The variables that compose_images writes are those which the file reads."""
    images = {services[name]["image"] for name in ("postgres", "redis", "azurite")}
    assert images == {
        "postgres:16", "redis:7", "mcr.microsoft.com/azure-storage/azurite:3.37.0"
    }  # fmt: skip
    assert services["init"]["build"]["args"]["AIRFLOW_IMAGE"].startswith("apache/airflow:3.3.")
    names = ("AML_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE", "AZURITE_IMAGE")
    ours = load(FILE.read_text(), dict.fromkeys(names, "mine:1"))["services"]
    assert {each["image"] for each in ours.values()} == {"mine:1"}


def test_commands_and_settings_are_airflows_and_those_of_the_celery_test(
    services: dict[str, Any], tmp_path: Path
) -> None:
    """Airflow itself reads them; executor, broker, database and workspace are what is tested."""
    environment = services["scheduler"]["environment"]
    commands = []
    for name in PARTS:
        assert services[name]["environment"] == environment
        python, script, *words = services[name]["command"]
        assert (python, script) == ("python", "/opt/compose/start.py")
        commands.append(words)
    options = [
        name.removeprefix("AIRFLOW__").lower().split("__")
        for name in environment
        if name.startswith("AIRFLOW__")
    ]
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        input=json.dumps([commands, options]),
        env={**os.environ, **as_text(environment), "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    unknown, told = done.stdout.splitlines()[-2:]
    assert unknown == "[]"
    assert told.split() == ["CeleryExecutor", "abfs://aml_store@aml/workspace"]
    tested = test_celery.SETTINGS
    assert environment["AIRFLOW__CORE__EXECUTOR"] == tested["core.executor"]
    option = "AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE"
    assert environment[option] == tested["core.might_contain_dag_callable"]
    schemes = {
        "AIRFLOW__AML__WORKSPACE": urlsplit(tested["aml.workspace"]).scheme,
        "AIRFLOW__CELERY__BROKER_URL": "redis",
        "AIRFLOW__CELERY__RESULT_BACKEND": "db+postgresql+psycopg",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg",
    }
    assert {name: urlsplit(environment[name]).scheme for name in schemes} == schemes
    assert json.loads(environment["AIRFLOW_CONN_AML_STORE"])["conn_type"] == "wasb"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """compose/start.py with its files in a folder of the test's."""
    spec = importlib.util.spec_from_file_location("compose_start", PROJECT / "compose/start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("KEYS", "PASSWORDS"):
        monkeypatch.setattr(module, name, tmp_path / f"{name}.json")
    return module


def test_keys_are_made_once_and_are_secret(
    start: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was encrypted with them can be read at the next start; the password can be told."""
    from cryptography.fernet import Fernet

    start.make_keys()
    first = start.KEYS.read_text()
    start.make_keys()

    assert start.KEYS.read_text() == first
    Fernet(json.loads(first)["AIRFLOW__CORE__FERNET_KEY"])
    assert start.KEYS.stat().st_mode & 0o777 == start.PASSWORDS.stat().st_mode & 0o777 == 0o600
    start.main(["password"])
    assert len(capsys.readouterr().out.strip()) >= 12


def test_the_container_of_the_workspace_is_made(
    start: ModuleType, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a real Azurite; a second start finds it."""
    from azure.storage.blob import BlobServiceClient

    try:
        server = test_servers.azurite()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        environment = services["init"]["environment"]
        monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", environment["AIRFLOW__AML__WORKSPACE"])
        address = environment["AIRFLOW_CONN_AML_STORE"].replace(
            "http://azurite:10000", f"http://127.0.0.1:{server.port}"
        )
        monkeypatch.setenv("AIRFLOW_CONN_AML_STORE", address)

        start.make_container()
        start.make_container()

        with BlobServiceClient.from_connection_string(
            server.options["connection_string"]
        ) as client:
            assert [each.name for each in client.list_containers()] == ["aml"]


def test_the_image_gets_all_that_the_package_is_built_of(tmp_path: Path) -> None:
    """What the Dockerfile copies is enough for a wheel."""
    copied = re.findall(r"^COPY (.*) /tmp/airflow_aml/\S*$", (PROJECT / "Dockerfile").read_text(),
                        re.MULTILINE)  # fmt: skip
    shown = set(re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE))
    for name in " ".join(copied).split():
        assert name in shown
        source = PROJECT / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, tmp_path / name)

    compose_images.uv("build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(tmp_path))

    assert list(tmp_path.glob("airflow_provider_aml-*.whl"))


def compose() -> list[str]:
    """Compose, as it is on this machine."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode:
        pytest.skip("there is no Compose: apt-get install docker-compose")
    return ["docker", "compose"]


def test_compose_itself_reads_the_file() -> None:
    """Where it is installed."""
    done = subprocess.run(
        [*compose(), "-f", str(FILE), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_all_of_it_comes_up_and_runs_the_demo_again_from_its_store() -> None:
    """With images made here: started by one command, a pipeline runs, and is reused."""
    command = [*compose(), "--file", str(FILE), "--project-name", "aml-compose-test"]
    port = free_port()
    try:
        with docker_engine() as engine:
            environ = {
                **os.environ,
                **compose_images.make_all(engine.address),
                "DOCKER_HOST": engine.address,
                "AIRFLOW_PORT": str(port),
            }

            def run(*words: str) -> str:
                done = subprocess.run(
                    [*command, *words], env=environ, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stderr[-3000:]
                return done.stdout

            try:
                run("up", "--detach", "--no-build")
                use(port, run)
            except BaseException:
                print(run("ps"), run("logs", "--tail", "30"))
                raise
            finally:
                run("down", "--volumes")
    except NotInstalledError as reason:
        pytest.skip(str(reason))


def use(port: int, run: Any) -> None:
    """Runs the demo twice, as somebody who has just started it would."""
    import httpx

    said = run("exec", "-T", "api-server", "python", "/opt/compose/start.py", "password")
    rest = AirflowRest(f"http://127.0.0.1:{port}", "admin", said.split()[-1])

    def healthy() -> bool:
        try:
            return all(each["status"] == "healthy" for each in rest.health().values())
        except httpx.HTTPError:
            return False

    rest.wait_until("a healthy Airflow", healthy, 400)
    dag = rest.wait_for_dag_where(
        "the demo", lambda dag: dag["fileloc"].endswith("diabetes/pipeline.py"), 200
    )
    for status in ("Finished", "Reused"):
        run_id = rest.trigger(dag["dag_id"])
        state = rest.wait(dag["dag_id"], run_id, timeout=400)["state"]
        states = {
            each["task_id"]: each["state"] for each in rest.task_instances(dag["dag_id"], run_id)
        }
        assert state == "success", states
        steps = [each for each in states if each != "reuse"]
        results = [rest.xcoms(dag["dag_id"], run_id, each)["return_value"] for each in steps]
        assert [each["status"] for each in results] == [status] * 3

"""What docs/scale.md shows can be used as it stands there."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import yaml

from airflow_aml.airflow.pools import pools_of
from airflow_aml.workspace.computes import site_computes
from scripts.templates import PROJECT
from tests.e2e import test_celery

PAGE = (PROJECT / "docs" / "scale.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def settings(number: int) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string([text for kind, text in BLOCKS if kind == "ini"][number])
    return parser


def test_the_settings_for_celery_are_those_that_are_tested() -> None:
    """Executor, broker, result backend and workspace."""
    shown = settings(0)

    tested = test_celery.SETTINGS
    assert shown["core"]["executor"] == tested["core.executor"]
    assert shown["celery"]["broker_url"].startswith("redis://")
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    environment = compose["services"]["scheduler"]["environment"]
    for section, option in (("celery", "result_backend"), ("aml", "workspace")):
        name = f"AIRFLOW__{section}__{option}".upper()
        assert shown[section][option] == environment[name]


def test_the_computes_of_the_page_are_computes_with_pools() -> None:
    """As an administrator copies them from there."""
    found = site_computes(settings(1)["aml"]["computes"].replace("\n", " "))

    assert pools_of(found) == {"cpu": 8, "gpus": 4}
    assert (found["gpu-cluster"].queue, found["gpu-cluster"].pool_slots) == ("gpu", 2)


def test_the_commands_of_the_page_name_what_is_there() -> None:
    """Scripts, services and their options."""
    commands = " ".join(text for kind, text in BLOCKS if kind == "sh")
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]

    for script in re.findall(r"/opt/(compose/\w+\.py)", commands):
        assert (PROJECT / script).is_file()
    for module in re.findall(r"python -m ([\w.]+)", PAGE):
        assert Path(PROJECT, *module.split(".")).with_suffix(".py").is_file()
    for service in re.findall(r"exec (\S+)|--scale (\S+)=", PAGE):
        assert "".join(service) in services

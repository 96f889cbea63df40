"""A program that is told of an Airflow which is not there, or is something else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_aml import Experiment, Pipeline, PythonScriptStep, Workspace
from airflow_aml.definition.engine import works_with_airflow
from airflow_aml.errors import AzureMLException, UserErrorException
from tests.serving import serving


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Any pipeline, in a program that has a user and a password."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    monkeypatch.setenv("AIRFLOW_AML_API_USER", "me")
    monkeypatch.setenv("AIRFLOW_AML_API_PASSWORD", "secret")
    (tmp_path / "step.py").touch()
    step = PythonScriptStep("step.py", source_directory=str(tmp_path))
    return Pipeline(Workspace(), [step])


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """A server that answers everything with a page."""

    def answer(method: str, path: str) -> tuple[int, bytes]:
        if method == "POST" and path.startswith("/page/"):
            return 405, b""
        return 200, b"<html>Welcome</html>"

    with serving(answer) as url:
        yield url


def submit(pipeline: Pipeline) -> None:
    Experiment(Workspace(), "away").submit(pipeline)


def test_nobody_is_there(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address and the variable; nothing runs somewhere else instead."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AIRFLOW_AML_API_URL", url)

    with pytest.raises(AzureMLException, match=f"Airflow at {url} cannot be reached: .*refused"):
        submit(pipeline)


def test_somebody_else_is_there(
    pipeline: Pipeline, website: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is no Airflow is said to be none."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", website)

    with pytest.raises(AzureMLException, match="not Airflow's REST API: its answer is no JSON"):
        submit(pipeline)


def test_the_address_of_another_page(
    pipeline: Pipeline, website: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was copied with the path of a page is no Airflow's."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", f"{website}/page")

    with pytest.raises(UserErrorException, match=r"no Airflow is at .*/page: .* answers 405"):
        submit(pipeline)


def test_what_is_no_address(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable must hold one that a browser takes."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", "airflow:8080")

    with pytest.raises(UserErrorException, match="must be an address such as https://"):
        submit(pipeline)


def test_the_address_in_airflows_configuration(
    pipeline: Pipeline, website: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[aml] api_url counts where the variable is not set; a changed file is read again."""
    monkeypatch.delenv("AIRFLOW_AML_API_URL", raising=False)
    config = tmp_path / "home/airflow.cfg"
    config.parent.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(config.parent))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    assert not works_with_airflow()
    config.write_text("[core]\nx = %%y\n[aml]\napi_url = nowhere:8080\n")
    with pytest.raises(UserErrorException, match=r"\[aml\] api_url\) must be an address"):
        submit(pipeline)
    config.write_text(f"[aml]\napi_url = {website}\n")
    with pytest.raises(AzureMLException, match="not Airflow's REST API"):
        submit(pipeline)
    monkeypatch.setenv("AIRFLOW__AML__API_URL", "elsewhere")
    with pytest.raises(UserErrorException, match="not 'elsewhere'"):
        submit(pipeline)
    monkeypatch.setenv("AIRFLOW_AML_API_URL", "")
    assert not works_with_airflow()


def test_nobody_says_who_asks(
    pipeline: Pipeline, website: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token, and without user and password, these are asked for."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", website)
    monkeypatch.delenv("AIRFLOW_AML_API_PASSWORD")

    with pytest.raises(UserErrorException, match=r"asks who you are. Set AIRFLOW_AML_API_TOKEN"):
        submit(pipeline)

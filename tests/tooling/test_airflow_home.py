"""The folder of a local Airflow: its lock, its credentials, its environment."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from scripts.airflow_home import ADDRESS, AirflowHome, HomeInUseError


@pytest.fixture
def home(tmp_path: Path) -> AirflowHome:
    """A home whose folders exist and whose lock is taken."""
    made = AirflowHome(tmp_path / "home", None, {"core.parallelism": "7"})
    made.acquire()
    return made


def test_second_airflow_in_one_folder_is_refused(home: AirflowHome) -> None:
    """The lock is held until it is released."""
    other = AirflowHome(home.path, None, {})

    with pytest.raises(HomeInUseError, match=str(home.path)):
        other.acquire()

    home.release()
    other.acquire()
    other.release()


def test_credentials_survive_a_restart(home: AirflowHome) -> None:
    """Keys, password and port are the same at the next start."""
    assert home.credentials() == home.credentials()


def test_taken_port_is_replaced(home: AirflowHome) -> None:
    """A port that somebody else listens on by now is not used again."""
    kept = home.credentials()
    with socket.socket() as taken:
        taken.bind((ADDRESS, kept.port))
        taken.listen()

        assert home.credentials().port != kept.port


def test_secrets_are_private(home: AirflowHome) -> None:
    """Only the owner may read the files that hold keys and passwords."""
    password = home.credentials().password

    for name in ("credentials.json", "passwords.json"):
        assert (home.path / name).stat().st_mode & 0o777 == 0o600
    assert json.loads((home.path / "passwords.json").read_text()) == {"admin": password}


def test_callers_airflow_does_not_leak_in(
    home: AirflowHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's variables of the caller are dropped, other variables are kept."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_DB", "postgres://")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("SOMETHING_ELSE", "stays")

    environment = home.environment(home.credentials())

    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert environment["AIRFLOW_HOME"] == str(home.path)
    assert "AIRFLOW_CONN_DB" not in environment
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["SOMETHING_ELSE"] == "stays"


def test_own_settings_win(home: AirflowHome) -> None:
    """A setting given to the constructor replaces the one that is set here."""
    assert home.environment(home.credentials())["AIRFLOW__CORE__PARALLELISM"] == "7"

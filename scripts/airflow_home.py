"""One folder that holds everything a local Airflow keeps, and the settings that point at it.

::

    airflow.db           SQLite database
    bundles/             what DAG bundles keep
    credentials.json     keys and the password, generated once, mode 0600
    dags/                DAG files, unless another folder is given
    logs/<process>.log   what each process prints
    logs/tasks/          task logs
    passwords.json       what SimpleAuthManager reads, mode 0600
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

USER = "admin"
ADDRESS = "127.0.0.1"

LATENCY_SETTINGS = {
    # Each hop of a chain waits for one loop of the scheduler; the default sleeps 1 s in between.
    "scheduler.scheduler_idle_sleep_time": "0.1",
    # How long a worker slot may stay taken after its task ended; the default is 5 s.
    "workers.min_heartbeat_interval": "1",
    # How soon a dropped file is seen, and an edited one serialised; the defaults are 300 and 30 s.
    "dag_processor.refresh_interval": "5",
    "dag_processor.min_file_process_interval": "10",
    "core.min_serialized_dag_update_interval": "5",
}


class HomeInUseError(RuntimeError):
    """Another process runs an Airflow in this folder."""


@dataclass(frozen=True)
class Credentials:
    """What a home generates once, so that a restart can read what the last run wrote."""

    password: str
    fernet_key: str
    jwt_secret: str
    api_secret: str
    port: int

    @classmethod
    def generate(cls, port: int) -> Credentials:
        """Fresh keys and a password that can be typed."""
        return cls(
            password=secrets.token_urlsafe(9),
            fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
            jwt_secret=secrets.token_urlsafe(32),
            api_secret=secrets.token_urlsafe(32),
            port=port,
        )


class AirflowHome:
    """The folder, its lock, its credentials and the environment of its processes."""

    def __init__(
        self, path: Path, dags_folder: Path | None, extra_settings: Mapping[str, str]
    ) -> None:
        self.path = path.resolve()
        self.dags_folder = (dags_folder or self.path / "dags").resolve()
        self.workspace = self.path / "aml"
        self._extra_settings = dict(extra_settings)
        self._lock: IO[str] | None = None

    def process_log(self, name: str) -> Path:
        """Where the process of that name prints to."""
        return self.path / "logs" / f"{name}.log"

    def acquire(self) -> None:
        """Make the folders and take the lock that one running Airflow holds."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.dags_folder, self.path / "bundles", self.path / "logs" / "tasks"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise HomeInUseError(f"An Airflow is already running in {self.path}") from None
        self._lock = lock

    def release(self) -> None:
        """Let go of the lock. The files stay."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def credentials(self, port: int | None = None) -> Credentials:
        """The kept credentials; with the kept port where it is still free and none is asked for."""
        path = self.path / "credentials.json"
        if path.exists():
            kept = Credentials(**json.loads(path.read_text()))
        else:
            kept = Credentials.generate(0)
        chosen = port or (kept.port if kept.port and port_is_free(kept.port) else free_port())
        current = Credentials(**{**asdict(kept), "port": chosen})
        write_private(path, asdict(current))
        write_private(self.path / "passwords.json", {USER: current.password})
        return current

    def database_is_current(self) -> bool:
        """Whether this version of Airflow has prepared the database before."""
        stamp = self.path / "database-version"
        known = stamp.read_text() if stamp.exists() else ""
        return known == airflow_version() and (self.path / "airflow.db").exists()

    def note_database_version(self) -> None:
        """Remember that the database belongs to this version of Airflow."""
        (self.path / "database-version").write_text(airflow_version())

    def settings(self, credentials: Credentials) -> dict[str, str]:
        """Every setting as ``section.option``, the caller's own last."""
        url = f"http://{ADDRESS}:{credentials.port}"
        return {
            "aml.workspace": self.workspace.as_uri(),
            "api.base_url": url,
            "api.host": ADDRESS,
            "api.port": str(credentials.port),
            "api.secret_key": credentials.api_secret,
            "api_auth.jwt_secret": credentials.jwt_secret,
            "core.auth_manager": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "core.dags_are_paused_at_creation": "False",
            "core.dags_folder": str(self.dags_folder),
            "core.execution_api_server_url": f"{url}/execution/",
            "core.executor": "LocalExecutor",
            "core.fernet_key": credentials.fernet_key,
            "core.hostname_callable": "socket.gethostname",  # asks no name server
            "core.load_examples": "False",
            "core.parallelism": "4",
            "core.simple_auth_manager_passwords_file": str(self.path / "passwords.json"),
            "core.simple_auth_manager_users": f"{USER}:admin",
            "dag_processor.dag_bundle_storage_path": str(self.path / "bundles"),
            "database.sql_alchemy_conn": f"sqlite:///{self.path / 'airflow.db'}?timeout=60",
            "logging.base_log_folder": str(self.path / "logs" / "tasks"),
            "usage_data_collection.enabled": "False",
            **LATENCY_SETTINGS,
            **self._extra_settings,
        }

    def environment(self, credentials: Credentials) -> dict[str, str]:
        """The environment of every process: the caller's, without any Airflow setting of theirs."""
        kept = {name: value for name, value in os.environ.items() if not is_foreign(name)}
        for name in ("NO_PROXY", "no_proxy"):
            kept[name] = ",".join(filter(None, [kept.get(name), ADDRESS, "localhost"]))
        kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        kept["AIRFLOW_HOME"] = str(self.path)
        for name, value in self.settings(credentials).items():
            section, _, option = name.partition(".")
            kept[f"AIRFLOW__{section.upper()}__{option.upper()}"] = value
        return kept


def is_foreign(variable: str) -> bool:
    """Whether a variable of the caller would change this Airflow or slow it down."""
    return variable.startswith("AIRFLOW") or variable == "PYTHONDONTWRITEBYTECODE"


def airflow_version() -> str:
    """The version of Airflow that is installed here."""
    return version("apache-airflow-core")


def free_port() -> int:
    """A port of this machine's loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether that port of the loopback address can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def write_private(path: Path, document: Mapping[str, object]) -> None:
    """Write a JSON document that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(document, stream)
    path.chmod(0o600)

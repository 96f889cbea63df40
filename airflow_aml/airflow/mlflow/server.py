"""Talking to an MLflow server that may be slow or away: for seconds, and no script suffers."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SHORT, LONG = 5, 60
"""Seconds that a request may take: about a run, and with files of any size."""

_CONNECT_SECONDS = 3.0
_PAUSE = 0.05
_PORTS = {"http": 80, "https": 443}


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Inside, MLflow's client gives up a request after so long, and tries none again.

    It is told by variables of the environment, which a script started later must not inherit.
    """
    told = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def client(uri: str) -> MlflowClient:
    """A client of that server.

    Raises:
        ImportError: MLflow is not installed here.
        OSError: nobody answers at its address.
    """
    parts = urlsplit(uri)
    if parts.scheme in _PORTS and parts.hostname:
        # Before anything is imported: most servers that are away are found out by this.
        port = parts.port or _PORTS[parts.scheme]
        socket.create_connection((parts.hostname, port), _CONNECT_SECONDS).close()
    from mlflow.tracking import MlflowClient  # of all that a step does here, the longest

    registry_uri = os.environ.get("MLFLOW_REGISTRY_URI") or uri
    with _alone(uri):
        return MlflowClient(tracking_uri=uri, registry_uri=registry_uri)


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Inside, no other process of this host opens the same SQLite file.

    MLflow makes the tables of one that is new when it opens it: of two that do so at once, one is
    lost, and the file may be spoilt. A file system without such locks is used without one.
    """
    parts = urlsplit(uri)
    folder = os.path.dirname(os.path.abspath(parts.path[1:]))
    if not parts.scheme.startswith("sqlite") or not os.path.isdir(folder):
        yield
        return
    # The folder: who closes the file itself gives up all locks that SQLite has on it.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
            continue
        except OSError:  # there are none here
            pass
        return


def load_client() -> None:
    """Loads the client without using it, for processes that are forked from this one.

    Raises:
        ImportError: MLflow is not installed here.
    """
    with patience(SHORT):
        import_module("mlflow.tracking")
        import_module("mlflow.store.tracking.rest_store")
        import_module("airflow_aml.airflow.mlflow.runs")


def without_password(uri: str) -> str:
    """The address as it may stand in a log."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def page(uri: str, experiment_id: str, run_id: str) -> str:
    """The page of a run in the server's own UI; empty where it has none."""
    if urlsplit(uri).scheme not in _PORTS:
        return ""
    return f"{without_password(uri).rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"

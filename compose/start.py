"""Starts one part of the Airflow in docker-compose.yaml: ``python start.py scheduler``.

``init`` comes first, once: it makes the keys that all parts share, the database's tables and the
container for the workspace. ``password`` tells the password of the user ``admin``. Everything else
is a command of Airflow's.
"""

import base64
import json
import os
import secrets
import sys
from pathlib import Path

KEYS = Path("/keys/keys.json")
PASSWORDS = Path("/keys/passwords.json")
OURS = (Path("/keys"), Path("/opt/airflow/logs"))
USER, GROUP = 50000, 0  # of apache/airflow
STORE = "AIRFLOW_CONN_AML_STORE"
WORKSPACE = "AIRFLOW__AML__WORKSPACE"


def main(words: list[str]) -> None:
    """Does what it is told; a part of Airflow takes this process' place."""
    if words == ["password"]:
        print(json.loads(PASSWORDS.read_text())["admin"])
        return
    if words == ["init"]:
        for folder in OURS:
            os.chown(folder, USER, GROUP)
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(USER)
        os.environ["HOME"] = os.environ["AIRFLOW_HOME"]  # root's is closed now
        make_keys()
        make_container()
        words = ["db", "migrate"]
    os.environ.update(json.loads(KEYS.read_text()))
    os.execv(sys.executable, [sys.executable, "-m", "airflow", *words])


def make_keys() -> None:
    """Keys and password, made once: what was encrypted with them is there at the next start."""
    if KEYS.exists():
        return
    write(PASSWORDS, {"admin": secrets.token_urlsafe(12)})
    write(
        KEYS,
        {
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        },
    )


def write(path: Path, document: dict[str, str]) -> None:
    """Writes a document that only Airflow's user may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(document, stream)


def make_container() -> None:
    """The container of the workspace, ``aml`` of ``abfs://aml_store@aml/workspace``."""
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import ContainerClient

    connection = json.loads(os.environ[STORE])["extra"]["connection_string"]
    name = os.environ[WORKSPACE].partition("@")[2].partition("/")[0]
    try:
        ContainerClient.from_connection_string(connection, name).create_container()
    except ResourceExistsError:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])

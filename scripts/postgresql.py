"""A PostgreSQL of a test's own, as Airflow and SQL datastores meet it in production.

It lives in a folder of its own, listens on a free port of the loopback address, and forgets
everything when it stops.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from scripts.airflow_home import ADDRESS, free_port
from scripts.test_servers import NotInstalledError

DEBIAN = Path("/usr/lib/postgresql")
NOBODY = 65534


class PostgreSql:
    """A running server; ``with`` ends it.

    Raises:
        NotInstalledError: PostgreSQL is not installed.
    """

    def __init__(self, user: str = "airflow", password: str | None = None) -> None:
        self.user = user
        self.password = password or secrets.token_urlsafe()
        self.port = free_port()
        self._programs = find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="aml-postgresql-"))
        self._data = str(self._folder / "data")
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def address(self) -> str:
        """Where it is, for SQLAlchemy and psycopg 3."""
        return f"postgresql+psycopg://{self.user}:{self.password}@{ADDRESS}:{self.port}/postgres"

    @property
    def airflow_settings(self) -> dict[str, str]:
        """What makes it Airflow's database."""
        names = ("database.sql_alchemy_conn", "database.sql_alchemy_conn_async")
        return dict.fromkeys(names, self.address)

    def __enter__(self) -> PostgreSql:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        if os.getuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
            os.chown(secret, NOBODY, NOBODY)
        login = ("-U", self.user, "-A", "scram-sha-256", "--pwfile", str(secret))
        self._run("initdb", "-D", self._data, "-E", "UTF8", *login)
        options = f"-p {self.port} -k {self._folder} -c listen_addresses={ADDRESS} -c fsync=off"
        # A killed scheduler's workers keep its connection open, and with it the rows it has locked.
        options += " -c idle_in_transaction_session_timeout=20s"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-o", options, "-l", log, "start")

    def _run(self, program: str, *arguments: str) -> None:
        # It refuses to run as root.
        nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            env={**os.environ, "HOME": str(self._folder), "LC_ALL": "C.UTF-8"},
            # Not a pipe: the server would hold it open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            timeout=120,
            check=False,
            **(nobody if os.getuid() == 0 else {}),
        )
        if done.returncode:
            log = self._folder / "log"
            said = (done.stderr or b"").decode() or (log.read_text() if log.exists() else "")
            raise RuntimeError(f"{program} ended with code {done.returncode}: {said[-2000:]}")


def find_programs() -> Path:
    """The folder that has initdb and pg_ctl; Debian keeps it out of PATH."""
    for folder in sorted(DEBIAN.glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is None or shutil.which("pg_ctl") is None:
        raise NotInstalledError("PostgreSQL is not installed: make servers")
    return Path(found).resolve().parent

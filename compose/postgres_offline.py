"""Starts PostgreSQL as the public image does, in the image that scripts/compose_images.py makes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NOBODY = 65534


def main(words: list[str]) -> None:
    """Makes the database where there is none, and becomes the server."""
    data = Path(os.environ.get("PGDATA", "/var/lib/postgresql/data"))
    data.mkdir(parents=True, exist_ok=True)
    for folder in (data, Path("/run")):
        os.chown(folder, NOBODY, NOBODY)
    data.chmod(0o700)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if not (data / "PG_VERSION").exists():
        make_database(data)
    options = ["-D", str(data), "-c", "listen_addresses=*", "-k", "/run"]
    server = shutil.which("postgres")
    assert server is not None
    os.execv(server, ["postgres", *options, *words])


def make_database(data: Path) -> None:
    """A cluster with the user and the database that the container's variables name."""
    user, name = os.environ["POSTGRES_USER"], os.environ["POSTGRES_DB"]
    secret = Path("/tmp/password")
    secret.write_text(os.environ["POSTGRES_PASSWORD"])
    login = ["-U", user, "--pwfile", str(secret), "--auth-host=scram-sha-256"]
    subprocess.run(["initdb", "-D", str(data), *login, "-E", "UTF8", "--locale=C"], check=True)
    secret.unlink()
    with (data / "pg_hba.conf").open("a") as stream:
        stream.write("host all all all scram-sha-256\n")
    statement = f'CREATE DATABASE "{name}";\n'
    subprocess.run(
        ["postgres", "--single", "-D", str(data), "postgres"],
        input=statement.encode(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])

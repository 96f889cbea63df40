"""Make the images of docker-compose.yaml of what is installed on this machine, without a registry.

``python -m scripts.compose_images > .env`` makes them in the engine that ``DOCKER_HOST`` names, and
writes the variables by which ``docker compose up`` takes them. It needs ``make servers`` first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.docker_image import make_image
from scripts.postgresql import find_programs
from scripts.templates import PROJECT
from scripts.test_servers import AZURITE, NotInstalledError

SITE = f"/usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
POSTGRES_START = PROJECT / "compose" / "postgres_offline.py"
ASKED = ("azure", "environments")
WITH_CELERY = ("apache-airflow-providers-celery", "celery<5.7", "psycopg[binary]")


def main() -> int:
    """Makes them all and prints what names them; the exit code."""
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        for variable, tag in make_all(engine).items():
            print(f"{variable}={tag}", flush=True)
    except (NotInstalledError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make_all(engine: str) -> dict[str, str]:
    """The images by the variables of docker-compose.yaml.

    Raises:
        NotInstalledError: one of the programs is not on this machine.
        RuntimeError: uv or the engine refuses.
    """
    images: dict[str, Callable[[str, str], None]] = {
        "AML_IMAGE": airflow_image,
        "POSTGRES_IMAGE": postgres_image,
        "REDIS_IMAGE": redis_image,
        "AZURITE_IMAGE": azurite_image,
    }
    made = {}
    for variable, make in images.items():
        made[variable] = f"{variable.partition('_')[0].lower()}-offline:1"
        make(made[variable], engine)
    return made


def airflow_image(tag: str, engine: str) -> None:
    """Airflow, this package, and what the templates' scripts import, as uv.lock pins them."""
    with tempfile.TemporaryDirectory(prefix="aml-image-") as name:
        folder = Path(name)
        wanted = folder / "requirements.txt"
        extras = [word for each in ASKED for word in ("--extra", each)]
        locked = uv(
            "export", "--frozen", "--no-hashes", "--no-emit-project", "--all-groups", *extras
        )
        wanted.write_text(locked)
        direct = folder / "direct.txt"
        direct.write_text("\n".join([f".[{','.join(ASKED)}]", *WITH_CELERY, *demo_packages()]))
        site = folder / "site"
        uv(
            "pip", "install", "--quiet", "--compile-bytecode", "--target", str(site),
            "--python", sys.executable, "--constraint", str(wanted), "--requirement", str(direct),
        )  # fmt: skip
        make_image(tag, engine, more={SITE: site, "/usr/local/bin/uv": site / "bin" / "uv"})


def demo_packages() -> list[str]:
    """What the templates' scripts import, as the project lists it."""
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(project["dependency-groups"]["demo"])


def postgres_image(tag: str, engine: str) -> None:
    """PostgreSQL, started as the public image is: by its user, password and database."""
    programs = find_programs()
    shared = Path("/usr/share/postgresql") / programs.parent.name
    zones = Path("/usr/share/zoneinfo")
    make_image(
        tag,
        engine,
        more={
            str(programs.parent): programs.parent,
            str(shared): shared,
            str(zones): zones,
            "/usr/local/bin/docker-entrypoint.py": POSTGRES_START,
        },
        variables={"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"},
        entrypoint=["python3", "/usr/local/bin/docker-entrypoint.py"],
    )


def redis_image(tag: str, engine: str) -> None:
    """Redis and its command line."""
    names = ("redis-server", "redis-cli")
    make_image(tag, engine, False, more={f"/usr/bin/{name}": program(name) for name in names})


def azurite_image(tag: str, engine: str) -> None:
    """Azurite and the Node.js that runs it."""
    if not AZURITE.exists():
        raise NotInstalledError("Azurite is not installed: make servers")
    modules = AZURITE.parents[1]
    start = "/usr/local/bin/azurite-blob"
    with tempfile.TemporaryDirectory(prefix="aml-image-") as name:
        script = Path(name, "azurite-blob")
        main_file = AZURITE.resolve().relative_to(modules.resolve())
        script.write_text(f'#!/bin/sh\nexec node /usr/local/lib/node_modules/{main_file} "$@"\n')
        script.chmod(0o755)
        make_image(
            tag,
            engine,
            False,
            more={
                "/usr/local/lib/node_modules": modules,
                "/usr/local/bin/node": program("node"),
                start: script,
            },
        )


def program(name: str) -> Path:
    """Where a program of this machine is.

    Raises:
        NotInstalledError: it is nowhere.
    """
    found = shutil.which(name)
    if found is None:
        raise NotInstalledError(f"{name} is not installed: make servers")
    return Path(found)


def uv(*arguments: str) -> str:
    """What uv prints."""
    beside = Path(sys.executable).with_name("uv")
    command = [str(beside) if beside.exists() else "uv", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

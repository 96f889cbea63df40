"""A Docker engine for tests and benchmarks, with an image that has this machine's Python.

All who use it at once share one; the last one to go ends it. Its images and containers are in a
folder of its own, which goes with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.docker_image import make_image
from scripts.test_servers import NotInstalledError

IMAGE = "aml-python:test"
BARE_IMAGE = "aml-bare:test"

_PATIENCE = 60.0


@dataclass(frozen=True)
class DockerEngine:
    """A running engine.

    Attributes:
        address: of the engine, for ``DOCKER_HOST``.
    """

    address: str

    def docker(self, *words: str) -> str:
        """What Docker's own command line answers.

        Raises:
            RuntimeError: it fails.
        """
        done = subprocess.run(
            ["docker", "-H", self.address, *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def answers(self) -> bool:
        """Whether it is there."""
        with suppress(RuntimeError):
            self.docker("version")
            return True
        return False


@contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    """The engine, started where nobody else has.

    Raises:
        NotInstalledError: there is no Docker engine, or this user cannot start one.
    """
    if os.getuid() or not shutil.which("dockerd") or not shutil.which("docker"):
        raise NotInstalledError("there is no Docker engine that this user can start: make servers")
    folder = Path(tempfile.gettempdir(), "aml-docker-engine")
    folder.mkdir(exist_ok=True)
    engine = DockerEngine(f"unix://{folder}/docker.sock")
    with (folder / "users").open("w") as users:
        with _alone(folder):
            if not engine.answers():
                _start(engine, folder)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield engine
        finally:
            with _alone(folder):
                fcntl.flock(users, fcntl.LOCK_UN)
                with suppress(BlockingIOError):  # somebody else still uses it
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _stop(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(engine: DockerEngine, folder: Path) -> None:
    _remove(folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "dockerd",
                "--host", engine.address,
                "--data-root", folder / "data",
                "--exec-root", folder / "exec",
                "--pidfile", folder / "pid",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _PATIENCE
    while not engine.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / "log").read_text()[-500:]
            raise NotInstalledError(f"the Docker engine does not start here: {said}")
        time.sleep(0.1)
    make_image(IMAGE, engine.address)
    make_image(BARE_IMAGE, engine.address, python=False)


def _stop(folder: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int((folder / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while (folder / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    _remove(folder)


def _remove(folder: Path) -> None:
    for name in ("data", "exec"):
        shutil.rmtree(folder / name, ignore_errors=True)

"""A Redis of a test's own, as Celery's broker; it keeps nothing and forgets all when it stops."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress

from scripts.airflow_home import ADDRESS, free_port
from scripts.test_servers import NotInstalledError

_SECONDS_TO_START = 30


class Redis:
    """A running server; ``with`` ends it.

    Raises:
        NotInstalledError: Redis is not installed.
    """

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise NotInstalledError("Redis is not installed: make servers")
        self.port = free_port()
        self.password = secrets.token_urlsafe()
        self._folder = tempfile.mkdtemp(prefix="aml-redis-")
        self._process = subprocess.Popen(
            [program, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise

    @property
    def address(self) -> str:
        """Where it is."""
        return f"redis://:{self.password}@{ADDRESS}:{self.port}/0"

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        settings = {
            "bind": ADDRESS,
            "port": self.port,
            "requirepass": self.password,
            "dir": self._folder,
            "save": '""',
            "appendonly": "no",
        }
        assert self._process.stdin is not None
        # Not as arguments: those can be read by everybody on the machine.
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        self._process.stdin.write(text.encode())
        self._process.stdin.close()
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis did not start (code {self._process.poll()})")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection((ADDRESS, self.port), 1) as client:
            client.settimeout(5)
            client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2 and (more := client.recv(64)):
                said += more
            return said == b"+OK\r\n+PONG\r\n"
        return False

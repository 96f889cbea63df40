"""Object stores for tests and benchmarks: Azurite (Azure Blob Storage) and moto (S3).

Each is a process of its own on a free port, forgets everything when it stops, and stops with
``with``. ``python -m scripts.test_servers s3 PORT`` is what the S3 process runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
AZURITE = ROOT / ".tools/azurite/node_modules/.bin/azurite-blob"
_SECONDS_TO_START = 60

# Microsoft's published account of every emulator, not a secret.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class NotInstalledError(RuntimeError):
    """The server is not installed; the text says how to."""


class Server:
    """A running server.

    Attributes:
        url: its address.
        options: fsspec's storage options for a store in it.
    """

    def __init__(self, command: list[str], port: int, url: str, options: dict[str, Any]) -> None:
        self.port = port
        self.url = url
        self.options = options
        self._command = command
        self._folder = Path(tempfile.mkdtemp(prefix="aml-server-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def options_at(self, port: int) -> dict[str, Any]:
        """The options of a client that reaches it at another port."""
        changed: dict[str, Any] = {
            name: value.replace(f":{self.port}", f":{port}") if isinstance(value, str) else value
            for name, value in self.options.items()
        }
        return changed

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = [each.replace("{folder}", str(self._folder)) for each in self._command]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )
        deadline = time.monotonic() + _SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                text = (self._folder / "log").read_text(errors="replace")
                raise RuntimeError(f"{command[0]} did not start:\n{text[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def cpu_seconds(self) -> float:
        """What it has taken of the processors since it started."""
        import psutil  # type: ignore[import-untyped]

        assert self._process is not None
        first = psutil.Process(self._process.pid)
        used = [each.cpu_times() for each in (first, *first.children(recursive=True))]
        return float(sum(each.user + each.system for each in used))

    def _answers(self) -> bool:
        try:
            urlopen(self.url, timeout=5).close()
        except HTTPError:
            return True
        except (URLError, OSError):
            return False
        return True


def azurite() -> Server:
    """Azure Blob Storage.

    Raises:
        NotInstalledError: Azurite is not in .tools.
    """
    if not AZURITE.exists():
        raise NotInstalledError("Azurite is not installed: make servers")
    port = free_port()
    url = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
        f"BlobEndpoint={url};"
    )
    command = [str(AZURITE), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", "{folder}"]
    return Server(command, port, url, {"connection_string": connection})


def s3() -> Server:
    """S3.

    Raises:
        NotInstalledError: moto is not installed.
    """
    try:
        import moto.server  # noqa: F401
    except ImportError:
        raise NotInstalledError("moto is not installed: uv sync --group test") from None
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "key": "AKIDTESTTESTTEST",
        "secret": "test-secret-of-nobody",
        "endpoint_url": url,
        "client_kwargs": {"region_name": "eu-west-1"},
    }
    command = [sys.executable, "-m", "scripts.test_servers", "s3", str(port)]
    return Server(command, port, url, options)


def make_container(server: Server, name: str) -> str:
    """Makes a container or bucket and returns its store's URL."""
    if "connection_string" in server.options:
        from azure.storage.blob import ContainerClient

        with ContainerClient.from_connection_string(
            server.options["connection_string"], name
        ) as client:
            client.create_container()
        return f"abfs://{name}"
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="eu-west-1",
        aws_access_key_id=server.options["key"],
        aws_secret_access_key=server.options["secret"],
    )
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return f"s3://{name}"


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _serve_s3(port: int) -> None:
    """Serves S3. Requests are answered one by one: moto looks whether a key is there and then
    writes it, which S3 does in one step, so two conditional writes at once would both succeed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    application = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def serialised(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with one_at_a_time:
            answer: Iterable[bytes] = list(application(environ, start_response))
            return answer

    class KeepAlive(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: object) -> None:
            """Says nothing about requests that were answered."""

    run_simple("127.0.0.1", port, serialised, threaded=True, request_handler=KeepAlive)


if __name__ == "__main__":
    _serve_s3(int(sys.argv[2]))

"""An MLflow server of a test's own, as a site has one: SQLite behind it, artifacts in a folder.

It listens on a free port of the loopback address and forgets everything when it stops.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from scripts.airflow_home import ADDRESS, free_port
from scripts.test_servers import ROOT, NotInstalledError

PROGRAM = ROOT / ".tools/mlflow/bin/mlflow"
_SECONDS_TO_START = 180


class MlflowServer:
    """A running server; ``with`` ends it.

    Raises:
        NotInstalledError: MLflow's server is not installed.
    """

    def __init__(self) -> None:
        if not PROGRAM.exists():
            raise NotInstalledError("MLflow's server is not installed: make servers")
        self.uri = f"http://{ADDRESS}:{free_port()}"
        self._folder = Path(tempfile.mkdtemp(prefix="aml-mlflow-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MlflowServer:
        command = [str(PROGRAM), "server", "--host", ADDRESS, "--port", self.uri.rpartition(":")[2]]
        command += ["--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db", "--workers", "1"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"MLflow did not start: {(self._folder / 'log').read_text()[-2000:]}")

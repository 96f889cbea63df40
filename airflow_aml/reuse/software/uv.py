"""Running uv, and telling its own explanation where it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.runtime.environment import inherited

_MAY_PASS = (
    "Failed to fetch",
    "error sending request",
    "HTTP status server error",
    "No space left on device",
    "Could not resolve host",
    "Connection reset",
    "timed out",
)
"""What uv says where trying again may help: nothing is wrong with what was asked for."""


def find_uv() -> str:
    """The path of uv: beside this interpreter, else on ``PATH``.

    Raises:
        UserErrorException: it is nowhere.
    """
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "uv")
    found = beside if os.path.isfile(beside) else shutil.which("uv")
    if not found:
        raise UserErrorException(
            "steps with packages of their own need uv, which is not on this machine.",
            hint="Install airflow-provider-aml[environments], or put uv on PATH; or set [aml] "
            "environments = worker, so that all steps run with the worker's packages.",
        )
    return found


def run_uv(
    arguments: Sequence[str], failed: str, *, given: str = "", held: Sequence[int] = ()
) -> str:
    """What uv prints.

    Args:
        failed: begins the error, if there is one.
        given: its standard input.
        held: descriptors that stay open as long as it works.

    Raises:
        UserErrorException: it cannot do what it is asked; the text is uv's own.
        WorkspaceException: the network or the disk is in its way, so a later try may do.
    """
    environ = {
        **inherited(os.environ),
        "UV_PYTHON_DOWNLOADS": "manual",  # by "uv python install" alone
        "UV_PYTHON_INSTALL_BIN": "0",
        "UV_NO_PROGRESS": "1",
    }
    # In quiet, "uv python install" does not even say why it fails.
    quiet = [] if arguments[0] == "python" else ["--quiet"]
    done = subprocess.run(
        [find_uv(), *quiet, *arguments],
        input=given,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        cwd="/",  # no project's settings
        env=environ,
        check=False,
        pass_fds=tuple(held),
    )
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip() or f"uv ended with {done.returncode} and said nothing"
    text = f"{failed}. uv says:\n{said}"
    unwrapped = " ".join(said.split())
    if any(each in unwrapped for each in _MAY_PASS):
        raise WorkspaceException(text)
    raise UserErrorException(text)

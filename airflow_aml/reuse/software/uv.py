"""uv, which locks Python packages and builds environments of them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.software.programs import said_by

_MAY_PASS = (
    "Failed to fetch",
    "error sending request",
    "HTTP status server error",
    "No space left on device",
    "Could not resolve host",
    "Connection reset",
    "timed out",
)

_VARIABLES = {
    "UV_PYTHON_DOWNLOADS": "manual",  # by "uv python install" alone
    "UV_PYTHON_INSTALL_BIN": "0",
    "UV_NO_PROGRESS": "1",
}


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
    """What uv prints; see :func:`said_by`.

    Raises:
        UserErrorException: it cannot do what it is asked; the text is uv's own.
        WorkspaceException: the network or the disk is in its way, so a later try may do.
    """
    # In quiet, "uv python install" does not even say why it fails.
    quiet = [] if arguments[0] == "python" else ["--quiet"]
    return said_by(
        [find_uv(), *quiet, *arguments],
        failed,
        may_pass=_MAY_PASS,
        variables=_VARIABLES,
        given=given,
        held=held,
    )

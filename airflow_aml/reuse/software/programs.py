"""Running uv and micromamba, and telling their own explanation where they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.runtime.environment import inherited


def said_by(
    command: Sequence[str],
    failed: str,
    *,
    may_pass: Sequence[str],
    variables: Mapping[str, str] = {},
    given: str = "",
    held: Sequence[int] = (),
) -> str:
    """What a program prints, run outside any project's folder.

    Args:
        failed: begins the error, if there is one.
        may_pass: what it says where nothing is wrong with what it was asked for.
        variables: what its environment has besides this process's.
        given: its standard input.
        held: descriptors that stay open as long as it works.

    Raises:
        UserErrorException: it cannot do what it is asked; the text is its own.
        WorkspaceException: the network or the disk is in its way, so a later try may do.
    """
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        cwd="/",
        env={**inherited(os.environ), **variables},
        check=False,
        pass_fds=tuple(held),
    )
    if done.returncode == 0:
        return done.stdout
    name = os.path.basename(command[0])
    said = done.stderr.strip() or done.stdout.strip()
    said = said or f"{name} ended with {done.returncode} and said nothing"
    text = f"{failed}. {name} says:\n{said}"
    unwrapped = " ".join(said.split())
    if any(each in unwrapped for each in may_pass):
        raise WorkspaceException(text)
    raise UserErrorException(text)

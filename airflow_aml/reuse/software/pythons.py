"""The Python interpreters that a machine has, or may download."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.software.uv import run_uv
from airflow_aml.workspace.configuration import is_true, setting

OLDEST = (3, 8)
"""What travels with a step needs that much."""

_NEWEST = 20

_VERSION = re.compile(r"(\d+)\.(\d+)")


def own_version() -> str:
    """The version of the interpreter that runs this: ``3.11``."""
    return "{}.{}".format(*sys.version_info[:2])


def short(version: str) -> str:
    """``3.8`` of ``3.8.13``: what decides which packages fit; the machine's newest 3.8 is taken.

    Raises:
        UserErrorException: it is no version.
    """
    found = _VERSION.match(version.strip())
    if found is None:
        raise UserErrorException(
            f"{version!r} is not a Python version.", hint="Write it like '3.11'."
        )
    return f"{found.group(1)}.{found.group(2)}"


def find_python(version: str, say: Callable[[str], None] = lambda sentence: None) -> str:
    """The path of an interpreter of that version: this one, or another that the machine has.

    Where ``[aml] python_downloads`` is set, uv downloads one that it has not.

    Args:
        say: hears that one is downloaded, which takes time.

    Raises:
        UserErrorException: this machine has none and gets none; the text says which there are.
        WorkspaceException: the network or the disk is in the way of the download.
    """
    path = try_python(version)
    if path is not None:
        return path
    there = ", ".join(sorted(installed(), key=_numbers))
    missing = f"Python {version} is asked for, and this machine has none; it has {there}"
    instead = f'[aml] python_versions = {{"{version}": "{own_version()}"}}'
    if is_true(setting(os.environ, "python_downloads")):
        say(f"downloading Python {version}")
        try:
            run_uv(["python", "install", version], f"{missing}, and none can be downloaded")
        except UserErrorException as error:
            raise UserErrorException(
                error.message, hint=f"Name another one to be used for it: {instead}."
            ) from error
        return installed()[version]
    raise UserErrorException(
        f"{missing}.",
        hint=f"Install it ('uv python install {version}' does), let uv download it by [aml] "
        f"python_downloads = True, or name another one to be used for it: {instead}.",
    )


def try_python(version: str) -> str | None:
    """The path of an interpreter of that version, if the machine has one."""
    return sys.executable if version == own_version() else installed().get(version)


def installed() -> dict[str, str]:
    """Version -> path of each interpreter that steps can use: this one's, pyenv's, uv's, PATH's."""
    found = {own_version(): sys.executable}
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    pyenv = os.environ.get("PYENV_ROOT") or "~/.pyenv"
    managed = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    for folder, names in ((os.path.join(pyenv, "versions"), "3.*"), (managed, "cpython-3.*")):
        paths = Path(folder).expanduser().glob(f"{names}/bin/python3.*[0-9]")
        for path in sorted(paths, key=lambda each: _numbers(each.parts[-3]), reverse=True):
            version = path.name[len("python") :]
            if f"{version}." in path.parts[-3] and os.access(path, os.X_OK):
                found.setdefault(version, str(path))
    for minor in range(OLDEST[1], _NEWEST):
        path_of = shutil.which(f"python3.{minor}")
        # pyenv's shims are on PATH for versions that they do not start.
        if path_of and f"{os.sep}shims{os.sep}" not in path_of:
            found.setdefault(f"3.{minor}", path_of)
    return {version: path for version, path in found.items() if _numbers(version) >= OLDEST}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version))

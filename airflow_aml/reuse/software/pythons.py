"""The Python interpreters that a machine has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.software.uv import find_uv

OLDEST = (3, 8)
"""What travels with a step needs that much."""

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


def find_python(version: str) -> str:
    """The path of an interpreter of that version: this one, pyenv's, or any that uv knows of.

    Raises:
        UserErrorException: this machine has none; the text says which there are.
    """
    path = try_python(version)
    if path is not None:
        return path
    there = ", ".join(sorted(installed(), key=_numbers))
    raise UserErrorException(
        f"Python {version} is asked for, and this machine has none; it has {there}.",
        hint=f"Install it ('uv python install {version}' does), or name another one to be used "
        f'for it: [aml] python_versions = {{"{version}": "{own_version()}"}}.',
    )


def try_python(version: str) -> str | None:
    """The path of an interpreter of that version, if the machine has one."""
    if version == own_version():
        return sys.executable
    pyenv = _of_pyenv()
    return pyenv.get(version) or _asked("find", version) or None


def installed() -> dict[str, str]:
    """Version -> path of each interpreter that steps can use."""
    listed = (line.split() for line in _asked("list", "--only-installed").splitlines())
    found: dict[str, str] = {}
    for words in listed:
        match = re.match(r"cpython-(\d+\.\d+)\.\d+-", words[0]) if len(words) > 1 else None
        if match:
            found.setdefault(match.group(1), words[1])
    found.update(_of_pyenv())
    found[own_version()] = sys.executable
    return {version: path for version, path in found.items() if _numbers(version) >= OLDEST}


def _of_pyenv() -> dict[str, str]:
    """pyenv's versions: its shims on PATH answer for only one of them."""
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    found: dict[str, str] = {}
    paths = [path for path in root.glob("3.*/bin/python") if os.access(path, os.X_OK)]
    for path in sorted(paths, key=lambda each: _numbers(each.parts[-3])):
        if re.fullmatch(r"[\d.]+", path.parts[-3]):
            found[short(path.parts[-3])] = str(path)
    return found


def _asked(*arguments: str) -> str:
    """What ``uv python`` answers; nothing where it finds none."""
    done = subprocess.run(
        [find_uv(), "python", *arguments],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version))

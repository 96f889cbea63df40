"""Conda packages that are no Python packages, by micromamba: programs beside an environment.

They are in a prefix of their own inside the environment, which stays uv's: ``openjdk`` and
``graphviz`` are called by a script, and not imported.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.software.programs import said_by
from airflow_aml.workspace.caches import cache_folder

_SPEC = re.compile(r"[A-Za-z0-9._/-]+::[A-Za-z0-9_]")
_FILE = re.compile(r"(.+)-([^-]+)-([^-]+?)(\.conda|\.tar\.bz2)")
_MAY_PASS = (
    "Download error",
    "Multi-download failed",
    "Could not resolve host",
    "Connection refused",
    "Timeout",
    "No space left on device",
)
_ITS_OWN = ("CONDA_", "MAMBA_", "PS1", "PWD", "OLDPWD", "SHLVL", "_")
"""What an activated shell says to itself."""


@dataclass(frozen=True)
class Activation:
    """What a script needs to find the programs of a prefix.

    Attributes:
        path: folders for the front of ``PATH``.
        variables: what packages set when they are activated, such as ``JAVA_HOME``.
    """

    path: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """It as plain JSON."""
        return {"path": list(self.path), "variables": self.variables}


def is_conda(requirement: str) -> bool:
    """Whether it is written as conda writes packages of a channel: ``bioconda::samtools=1.20``."""
    return _SPEC.match(requirement) is not None


def find_micromamba() -> str | None:
    """The path of micromamba: ``MAMBA_EXE``, else on ``PATH``; None where a machine has none."""
    named = os.environ.get("MAMBA_EXE", "")
    if os.path.basename(named) == "micromamba" and os.access(named, os.X_OK):
        return named
    return shutil.which("micromamba")


def lock_conda(specs: Sequence[str], channels: Sequence[str]) -> tuple[str, ...]:
    """All packages that these come to, as lines of an ``@EXPLICIT`` file, in its order.

    Raises:
        UserErrorException: no channel has them, or not together; the text is micromamba's.
        WorkspaceException: a channel cannot be reached.
    """
    asked = ", ".join(specs)
    with tempfile.TemporaryDirectory(prefix="aml-conda-") as there:
        text = _run(
            [
                "create",
                "--dry-run",
                "--json",
                *["--yes", "--override-channels"],
                *["--prefix", os.path.join(there, "prefix")],
                *[word for channel in channels for word in ("--channel", channel)],
                *specs,
            ],
            f"conda's {asked} cannot be had",
        )
    try:
        found = json.loads(text)["actions"]["LINK"]
        return tuple(f"{each['url']}#{_checksum(each)}" for each in found)
    except (ValueError, LookupError, TypeError) as error:
        raise UserErrorException(
            f"conda's {asked} cannot be had: micromamba's answer is not understood "
            f"({type(error).__name__}: {error}).",
            hint="'micromamba create --dry-run --json' must list actions.LINK, each with a url.",
        ) from error


def named_packages(urls: Sequence[str]) -> dict[str, str]:
    """What URLs of packages stand for: ``conda:<name>`` -> ``<version>=<build>``."""
    found = {}
    for url in urls:
        parts = _FILE.fullmatch(url.partition("#")[0].rpartition("/")[2])
        if parts:
            found[f"conda:{parts.group(1)}"] = f"{parts.group(2)}={parts.group(3)}"
    return found


def install_conda(urls: Sequence[str], prefix: str, held: int) -> Activation:
    """Makes a prefix of just these packages.

    Raises:
        UserErrorException: micromamba is not here, or cannot; the text is its own.
        WorkspaceException: a channel or the disk is in the way.
    """
    wanted = f"{prefix}.txt"
    with open(wanted, "w", encoding="utf-8") as stream:
        stream.write("\n".join(["@EXPLICIT", *urls, ""]))
    _run(
        ["create", "--yes", "--quiet", "--always-copy", "--prefix", prefix, "--file", wanted],
        "its conda packages cannot be installed",
        held=[held],
    )
    return _activation(prefix)


def _activation(prefix: str) -> Activation:
    shown = _run(["run", "--prefix", prefix, "env", "-0"], "its conda packages cannot be activated")
    before = os.environ
    after = dict(each.split("=", 1) for each in shown.split("\0") if "=" in each)
    known = before.get("PATH", "").split(os.pathsep)
    path = [each for each in after.pop("PATH", "").split(os.pathsep) if each not in known]
    changed = {
        name: value
        for name, value in after.items()
        if before.get(name) != value and name.isidentifier() and not name.startswith(_ITS_OWN)
    }
    programs = os.path.join(prefix, "bin")
    return Activation(
        tuple(dict.fromkeys([programs, *filter(None, path)])), {**changed, "CONDA_PREFIX": prefix}
    )


def _run(arguments: Sequence[str], failed: str, held: Sequence[int] = ()) -> str:
    program = find_micromamba()
    if program is None:
        raise UserErrorException(
            f"{failed}: micromamba is not on this machine.",
            hint="The machine that planned the run has it: put it on PATH of all workers.",
        )
    root = os.path.join(cache_folder(), "micromamba")
    first, *rest = arguments
    command = [program, first, "--root-prefix", root, *rest]
    return said_by(command, failed, may_pass=_MAY_PASS, held=held)


def _checksum(package: dict[str, Any]) -> str:
    return str(package.get("md5") or package["sha256"])

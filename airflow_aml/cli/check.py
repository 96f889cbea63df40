"""``airflow-aml check``: what v1 programs use, and what becomes of it. Nothing is executed."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_aml.azureml_compat.checking import Use, uses
from airflow_aml.azureml_compat.serving import SERVED
from airflow_aml.cli.tables import counted
from airflow_aml.errors import UserErrorException

REFUSED = 3
"""The exit code where something is not served."""

_V1 = b"azureml"


@dataclass(frozen=True)
class Checked:
    """One file; ``error``: why it cannot be read."""

    file: str
    uses: list[Use]
    error: str = ""


def add_check(verbs: Any) -> None:
    """Adds ``check PATH...``."""
    parser = verbs.add_parser("check", help="what v1 programs use, and whether it is served")
    parser.add_argument("paths", metavar="PATH", nargs="+")
    parser.add_argument("--all", action="store_true", help="what is served as it was, too")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_check)


def _check(arguments: argparse.Namespace) -> int:
    import airflow_aml.azureml_compat  # noqa: F401 - what is served is found by looking

    files = [_checked(path) for root in arguments.paths for path in python_files(root)]
    found = [use for file in files for use in file.uses]
    served = sum(use.status == SERVED for use in found)
    score = round(100 * served / len(found)) if found else 100
    if arguments.json:
        document = {
            "score": score,
            "files": [
                {"file": file.file, "error": file.error, "uses": [asdict(use) for use in file.uses]}
                for file in files
            ],
        }
        print(json.dumps(document))
    else:
        said: set[str] = set()
        for file in files:
            _print(file, said, everything=arguments.all)
        print(
            f"{counted(len(files), 'file')}, {counted(len(found), 'use')} of SDK v1, "
            f"{len(found) - served} not served: {score} % served"
        )
    return REFUSED if served < len(found) or any(file.error for file in files) else 0


def python_files(path: str) -> Iterator[Path]:
    """The file, or the Python files of the folder that name SDK v1, sorted.

    Raises:
        UserErrorException: there is nothing at ``path``.
    """
    if os.path.isfile(path):
        yield Path(path)
    elif os.path.isdir(path):
        for file in sorted(Path(path).rglob("*.py")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if not hidden and _V1 in file.read_bytes():
                yield file
    else:
        raise UserErrorException(f"there is no file or folder {path}.")


def _checked(path: Path) -> Checked:
    try:
        return Checked(str(path), uses(path.read_bytes()))
    except SyntaxError as error:
        return Checked(f"{path}:{error.lineno}", [], f"SyntaxError: {error.msg}")
    except ValueError as error:
        return Checked(str(path), [], str(error))


def _print(file: Checked, said: set[str], *, everything: bool) -> None:
    """Its lines; a difference is told where it is first met."""
    if file.error:
        print(f"{file.file}: {file.error}")
    for use in file.uses:
        different = use.status == SERVED and use.note and use.name not in said
        if use.status == SERVED and not (different or everything):
            continue
        said.add(use.name)
        word = "served, with a difference" if different else use.status
        text = ". ".join(part.rstrip(".") for part in (use.note, use.instead) if part)
        print(f"{file.file}:{use.line}: {use.name}: {word}{f': {text}' if text else ''}")

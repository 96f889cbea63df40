"""``airflow-aml check``: what v1 programs use, and what becomes of it. Nothing is executed."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from airflow_aml.azureml_compat.checking import Use, uses
from airflow_aml.azureml_compat.serving import SERVED
from airflow_aml.cli.tables import counted
from airflow_aml.definition.broken import magic_hint
from airflow_aml.definition.programs import NOTEBOOK
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

    paths = [path for root in arguments.paths for path in v1_files(root, notebooks=True)]
    files = [checked for path in paths for checked in _checked(path)]
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
            f"{counted(len(paths), 'file')}, {counted(len(found), 'use')} of SDK v1, "
            f"{len(found) - served} not served: {score} % served"
        )
    return REFUSED if served < len(found) or any(file.error for file in files) else 0


def v1_files(path: str, notebooks: bool = False) -> Iterator[Path]:
    """The file, or the Python files of the folder that name SDK v1, sorted.

    Raises:
        UserErrorException: there is nothing at ``path``, or a notebook and none is wanted.
    """
    endings = (".py", NOTEBOOK) if notebooks else (".py",)
    if os.path.isfile(path):
        if path.endswith(NOTEBOOK) and not notebooks:
            raise UserErrorException(f"{path} is a notebook; a Python file is expected.")
        yield Path(path)
    elif os.path.isdir(path):
        for file in sorted(Path(path).rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            wanted = file.suffix in endings and not hidden and file.is_file()
            if wanted and _V1 in file.read_bytes():
                yield file
    else:
        raise UserErrorException(f"there is no file or folder {path}.")


def _checked(path: Path) -> list[Checked]:
    """The file; of a notebook each cell that uses anything."""
    if path.suffix == NOTEBOOK:
        return _checked_cells(path)
    try:
        return [Checked(str(path), uses(path.read_bytes()))]
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        return [Checked(f"{path}{line}", [], _mistake(error))]
    except ValueError as error:
        return [Checked(str(path), [], str(error))]


def _checked_cells(path: Path) -> list[Checked]:
    from airflow_aml.azureml_compat.notebooks import code_cells

    try:
        cells = code_cells(path.read_bytes(), str(path))
    except UserErrorException as error:
        return [Checked(str(path), [], error.message)]
    places = [
        (f"{path}, cell {cell.number}", line)
        for cell in cells
        for line in range(1, cell.source.count("\n") + 2)
    ]
    try:
        found = uses("\n".join(cell.source for cell in cells).encode())
    except SyntaxError as error:
        file, line = places[(error.lineno or 1) - 1]
        return [Checked(f"{file}:{line}", [], _mistake(error))]
    by_cell: dict[str, list[Use]] = {}
    for use in found:
        file, line = places[use.line - 1]
        by_cell.setdefault(file, []).append(replace(use, line=line))
    return [Checked(file, each) for file, each in by_cell.items()]


def _mistake(error: SyntaxError) -> str:
    hint = magic_hint(error)
    return f"SyntaxError: {error.msg}{f'. {hint}' if hint else ''}"


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

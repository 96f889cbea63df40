"""What is wrong with a pipeline file that cannot be loaded: one sentence that names the line."""

from __future__ import annotations

import ast
import os
import sys
import traceback
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Iterator, List, Optional

from airflow_aml.errors import AirflowAmlError, UserErrorException

_OURS = "airflow_aml"
_V1 = "azureml"
_MAGIC = (
    "The line is a notebook's magic: take it out, or keep the notebook (.ipynb), which "
    "`airflow-aml exec` runs."
)
_AS_IT_IS = "As it stands the file works with `airflow-aml exec`, and with an AmlDagBundle."


def cannot_work(source: bytes) -> bool:
    """Whether a file is broken in a way that shows without executing it.

    It is no Python, or asks this package for what it does not have.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return True
    return any(not _is_served(name) for name in _imported(tree, _OURS))


def what_is_wrong(path: str, error: BaseException) -> UserErrorException:
    """The error that a person is shown for one that came up while the file was executed."""
    name = os.path.basename(path)
    frames = traceback.extract_tb(error.__traceback__)
    at = next((each.lineno for each in reversed(frames) if each.filename == path), None)
    where = name if at is None else f"{name}:{at}"
    if isinstance(error, AirflowAmlError):
        text = str(error)
        if text.startswith(f"{name}:"):
            where, _, text = text.partition(": ")
        return UserErrorException(text, where=where)
    if isinstance(error, OSError) and error.filename == path:
        return UserErrorException(f"the file cannot be read: {error.strerror}.", where=name)
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        broken = os.path.basename(error.filename or path)
        line = "" if error.lineno is None else f":{error.lineno}"
        hint = magic_hint(error)
        return UserErrorException(f"SyntaxError: {error.msg}.", where=f"{broken}{line}", hint=hint)
    if isinstance(error, SystemExit):
        message = f"the file ends the program (SystemExit: {error})"
    if frames and frames[-1].filename != path and not frames[-1].filename.startswith("<frozen "):
        message += f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})"
    return UserErrorException(f"{message}.", where=where, hint=_hint(path, at, error))


def magic_hint(error: BaseException) -> Optional[str]:
    """What to do where a program has a line that only notebooks have; None for other mistakes."""
    if isinstance(error, SyntaxError):
        return _MAGIC if (error.text or "").lstrip().startswith(("%", "!")) else None
    return _MAGIC if isinstance(error, NameError) and "'get_ipython'" in str(error) else None


def _hint(path: str, line: Optional[int], error: BaseException) -> Optional[str]:
    if isinstance(error, NameError):
        return magic_hint(error)
    if not isinstance(error, ImportError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    if package == _V1 and isinstance(error, ModuleNotFoundError):
        if error.name != _V1:  # others of its modules can be had
            return f"docs/compatibility.md lists what {_OURS} serves of SDK v1."
        return _instead(_names_at(path, line))
    if package == _OURS:
        wrong = [name for name in _names_at(path, line) if not _is_served(name)]
        alike = [match for name in wrong for match in get_close_matches(name, _served(), 1)]
        return f"Is {alike[0]} meant?" if alike else None
    return _started_elsewhere(path, package) if isinstance(error, ModuleNotFoundError) else None


def _started_elsewhere(path: str, package: str) -> Optional[str]:
    """Where a program of a repository is to be started, if a folder above has what it imports."""
    folder = os.path.dirname(os.path.abspath(path))
    while os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        wanted = os.path.join(folder, package)
        if os.path.isfile(f"{wanted}.py") or os.path.isfile(os.path.join(wanted, "__init__.py")):
            return (
                f"{package} is in {folder}: start the program there, by `airflow-aml exec -m`, or "
                'by "start_in" of an AmlDagBundle.'
            )
    return None


def _instead(names: List[str]) -> str:
    """Which import to write in place of one of SDK v1's."""
    served = [name for name in names if name in _served()]
    if not served:
        return (
            f"{_OURS} has what it serves of SDK v1 by the same names: from {_OURS} import ... "
            f"{_AS_IT_IS}"
        )
    text = f"Write instead: from {_OURS} import {', '.join(served)}"
    missing = [name for name in names if name not in served]
    if missing:
        text += f" (not served yet: {', '.join(missing)})"
    return f"{text}. {_AS_IT_IS}"


def _names_at(path: str, line: Optional[int]) -> List[str]:
    """What the import statement at that line asks for."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    return [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.lineno == line
        for alias in node.names
        if alias.name != "*"
    ]


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == package and not node.level:
            for alias in node.names:
                yield alias.name


def _is_served(name: str) -> bool:
    return name == "*" or name in _served() or find_spec(f"{_OURS}.{name}") is not None


def _served() -> List[str]:
    return dir(sys.modules[_OURS])

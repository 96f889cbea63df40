"""Reading a pipeline file outside Airflow: what does it declare?"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import CodeType
from typing import Iterator, List, Optional

from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.engine import using
from airflow_aml.definition.names import slug
from airflow_aml.definition.origin import loading
from airflow_aml.errors import AirflowAmlError, UserErrorException

_MARKS = (b"Pipeline", b"airflow_aml")


class _Loader(SourceFileLoader):
    """Compiles what is in the file now.

    Python's cached bytecode tells a change by size and whole seconds alone: a value that a program
    edits and one that it edits again would be the same.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def load_file(path: str, root: Optional[str] = None) -> Declarations:
    """Executes a pipeline file and returns what it declares. Nothing runs.

    Args:
        root: the folder that ids start at; the file's own by default.

    Raises:
        UserErrorException: the file cannot be read, raises, or ends the program.
    """
    path = os.path.abspath(path)
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        raise UserErrorException(f"{path} is a folder; a pipeline file is expected.")
    if not os.path.isfile(path):
        raise UserErrorException(f"there is no file {path}.")
    if not path.endswith(".py"):
        raise UserErrorException(f"{path} is not a Python file.")
    declarations = Declarations(path, os.path.abspath(root) if root else folder)
    name = f"airflow_aml_loaded_{slug(declarations.stem)}"
    loader = _Loader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    try:
        with loading(path), using(declarations), _importable([folder, root or folder]):
            sys.modules[name] = module
            loader.exec_module(module)
    except AirflowAmlError as error:
        name = os.path.basename(path)
        where = None if str(error).startswith(f"{name}:") else name
        raise UserErrorException(str(error), where=where) from error
    except SyntaxError as error:
        raise UserErrorException(
            f"SyntaxError: {error.msg} (line {error.lineno}).",
            where=os.path.basename(path),
        ) from error
    except (Exception, SystemExit) as error:
        import traceback

        line = traceback.extract_tb(error.__traceback__)[-1]
        raise UserErrorException(
            f"{type(error).__name__}: {error} ({os.path.basename(line.filename)}:{line.lineno}).",
            where=os.path.basename(path),
        ) from error
    finally:
        sys.modules.pop(name, None)
    return declarations


def pipeline_files(path: str) -> Iterator[str]:
    """The files at or below ``path`` that look as if they declared a pipeline, sorted.

    Raises:
        UserErrorException: there is nothing at ``path``.
    """
    if os.path.isfile(path):
        yield path
        return
    if not os.path.isdir(path):
        raise UserErrorException(f"there is no file or folder {path}.")
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        for name in sorted(files):
            full = os.path.join(folder, name)
            if name.endswith(".py") and may_declare(full):
                yield full


def may_declare(path: str) -> bool:
    """Whether a Python file mentions both this package and a Pipeline."""
    with open(path, "rb") as file:
        content = file.read()
    return all(mark in content for mark in _MARKS)


@contextmanager
def _importable(folders: List[str]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = list(dict.fromkeys(folders))
    try:
        yield
    finally:
        sys.path[:] = before

"""Reading a pipeline file outside Airflow: what does it declare?"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import CodeType
from typing import Callable, Iterator, List, Optional

from airflow_aml.definition.broken import cannot_work, what_is_wrong
from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.engine import using
from airflow_aml.definition.names import slug
from airflow_aml.definition.origin import loading
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.threads import inheriting
from airflow_aml.errors import UserErrorException

YAML = (".yml", ".yaml")
PIPELINE_YAML = (".pipeline.yml", ".pipeline.yaml")
_PACKAGE, _PIPELINE = b"airflow_aml", b"Pipeline"
_SCRIPT_ALONE = (b"ScriptRunConfig", b"Experiment")


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
        raise UserErrorException(
            f"{path} is a folder; a pipeline file is expected.",
            hint="airflow-aml list shows which there are in a folder.",
        )
    if not os.path.isfile(path):
        raise UserErrorException(f"there is no file {path}.")
    if not path.endswith((".py", *YAML)):
        raise UserErrorException(f"{path} is neither a Python file nor YAML.")
    declarations = Declarations(path, os.path.abspath(root) if root else folder)
    if path.endswith(YAML):
        with loading(path), using(declarations):
            Pipeline.load_yaml(None, path)
        return declarations
    name = f"airflow_aml_loaded_{slug(declarations.stem)}"
    loader = _Loader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    try:
        importable = _importable([folder, root or folder])
        with loading(path), using(declarations), inheriting(), importable:
            sys.modules[name] = module
            loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise what_is_wrong(path, error) from error
    finally:
        sys.modules.pop(name, None)
    return declarations


def pipeline_files(path: str, also: Callable[[str], bool] = lambda _: False) -> Iterator[str]:
    """The files at or below ``path`` that look as if they declared a pipeline, sorted.

    Args:
        also: whether another Python file is wanted, too.

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
            if name.startswith("."):
                continue
            is_python = name.endswith(".py")
            if name.endswith(PIPELINE_YAML) or (is_python and (may_declare(full) or also(full))):
                yield full


def may_declare(path: str) -> bool:
    """Whether a Python file speaks of a pipeline, or mentions this package and has a mistake."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return True  # who loads it is told what is wrong
    return speaks_of_pipeline(content) or (_PACKAGE in content and cannot_work(content))


def speaks_of_pipeline(content: bytes) -> bool:
    """Whether a Python file mentions this package and a Pipeline, or an Experiment and a script.

    A step's script mentions the package, too, and is not to be executed: one that submits others
    as child runs has a ScriptRunConfig, but no Experiment.
    """
    if _PACKAGE not in content:
        return False
    return _PIPELINE in content or all(mark in content for mark in _SCRIPT_ALONE)


@contextmanager
def _importable(folders: List[str]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = list(dict.fromkeys(folders))
    try:
        yield
    finally:
        sys.path[:] = before

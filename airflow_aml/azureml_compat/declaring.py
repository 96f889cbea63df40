"""Executing a v1 program so that it only declares; the process is afterwards as it was."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType
from typing import Iterator, Set

from airflow_aml.azureml_compat.ending import coming_to_an_end
from airflow_aml.azureml_compat.finder import install
from airflow_aml.definition.broken import what_is_wrong
from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.engine import using
from airflow_aml.definition.origin import as_program
from airflow_aml.definition.runs.declared import PLACEHOLDER
from airflow_aml.definition.threads import inheriting
from airflow_aml.errors import RunEnvironmentException


def declare_program(
    program: str, declared: Declarations, *, root: str, start_in: str, cached: bool = True
) -> None:
    """Executes a program; what it submits, publishes, uploads and registers is declared.

    Args:
        declared: hears of all that.
        root: the folder whose modules are the program's own.
        start_in: the folder that the program is started in.
        cached: Python's cached bytecode will do, which tells a change by size and whole seconds.

    Raises:
        UserErrorException: the program fails before its end; the text names the line.
    """
    install()
    try:
        alone = _as_if_alone(program, root, start_in)
        with using(declared), as_program(program), inheriting(), alone, coming_to_an_end(declared):
            _execute(program, cached)
    except (Exception, SystemExit) as error:
        if not (declared.declared() and _ends(error)):
            raise what_is_wrong(program, error) from error


def _ends(error: BaseException) -> bool:
    """Whether a program ends this way that has gone as far as it can before any run."""
    if isinstance(error, (SystemExit, RunEnvironmentException)):
        return True
    return PLACEHOLDER in str(error)  # a call of an endpoint that is not there yet


def _execute(program: str, cached: bool) -> None:
    main = ModuleType("__main__")
    main.__dict__.update(__file__=program, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    exec(_code(program, cached), main.__dict__)  # noqa: S102 - that is what is asked for


def _code(program: str, cached: bool) -> CodeType:
    loader = SourceFileLoader("__main__", program)
    if cached:
        code = loader.get_code("__main__")
        assert code is not None
        return code
    compiled: CodeType = loader.source_to_code(loader.get_data(program), program)
    return compiled


@contextmanager
def _as_if_alone(program: str, root: str, start_in: str) -> Iterator[None]:
    """Inside, the process is as ``python program.py < /dev/null`` has it; after it, as it was."""
    importable = dict.fromkeys([os.path.dirname(program), start_in, root])
    before, main, stdin = os.getcwd(), sys.modules["__main__"], sys.stdin
    argv, path, environ = list(sys.argv), list(sys.path), dict(os.environ)
    loaded = set(sys.modules)
    try:
        os.chdir(start_in)
        sys.argv[:], sys.path[:], sys.stdin = [program], [*importable, *path], io.StringIO()
        yield
    finally:
        sys.stdin, sys.modules["__main__"] = stdin, main
        sys.argv[:], sys.path[:] = argv, path
        if dict(os.environ) != environ:
            os.environ.clear()
            os.environ.update(environ)
        os.chdir(before)
        _forget(set(sys.modules) - loaded, root)


def _forget(names: Set[str], root: str) -> None:
    """Unloads the program's own modules: another program may have others of the same names."""
    inside = os.path.join(root, "")
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.abspath(file).startswith(inside):
            del sys.modules[name]

"""What a shim of ``AmlDagBundle`` does: it loads its YAML file, or executes its v1 program.

Nothing but declaring comes of that, and the process is afterwards as it was.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import ModuleType

from airflow_aml.airflow.discovery import ParsedFile
from airflow_aml.azureml_compat.finder import install
from airflow_aml.definition.broken import what_is_wrong
from airflow_aml.definition.engine import using
from airflow_aml.definition.loading import YAML
from airflow_aml.definition.origin import as_program, loading
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.runs.declared import PLACEHOLDER
from airflow_aml.errors import STANDS_FOR, RunEnvironmentException


def declare(program: str, root: str, start_in: str, shim: str) -> None:
    """Executes a program; what it submits or publishes becomes DAGs of the shim.

    Args:
        root: the folder that DAG ids start at.
        start_in: the folder that the program is started in.
        shim: the name of the shim's module.

    Raises:
        UserErrorException: the program fails before its end; the text names the line.
    """
    install()
    vars(sys.modules[shim])[STANDS_FOR] = program
    declared = ParsedFile(program, root, sys.modules[shim])
    try:
        if program.endswith(YAML):
            with using(declared), loading(program):
                Pipeline.load_yaml(None, program)
            return
        with using(declared), as_program(program), _as_if_alone(program, root, start_in):
            _execute(program)
    except (Exception, SystemExit) as error:
        if not (declared.declared() and _ends(error)):
            raise what_is_wrong(program, error) from error


def _ends(error: BaseException) -> bool:
    """Whether a program ends this way that has gone as far as it can before any run."""
    if isinstance(error, (SystemExit, RunEnvironmentException)):
        return True
    return PLACEHOLDER in str(error)  # a call of an endpoint that is not there yet


def _execute(program: str) -> None:
    main = ModuleType("__main__")
    main.__dict__.update(__file__=program, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    code = SourceFileLoader("__main__", program).get_code("__main__")
    assert code is not None
    exec(code, main.__dict__)  # noqa: S102 - that is what a shim is for


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


def _forget(names: set[str], root: str) -> None:
    """Unloads the program's own modules: another program may have others of the same names."""
    inside = os.path.join(root, "")
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.abspath(file).startswith(inside):
            del sys.modules[name]

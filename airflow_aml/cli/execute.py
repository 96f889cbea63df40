"""``airflow-aml exec``: runs a v1 program as it stands."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.broken import magic_hint
from airflow_aml.definition.engine import noting_runs, works_with_airflow
from airflow_aml.definition.origin import as_program
from airflow_aml.definition.programs import NOTEBOOK
from airflow_aml.definition.runs.waiting import ENDED
from airflow_aml.definition.threads import inheriting
from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.environment import V1_NAMES

if TYPE_CHECKING:
    from airflow_aml.definition.runs.pipelinerun import PipelineRun

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def add_exec(verbs: Any) -> None:
    """Adds ``exec PROGRAM [ARGS]``."""
    parser = verbs.add_parser("exec", help="run a program or notebook of SDK v1 as it stands")
    parser.add_argument(
        "-m", dest="module", action="store_true", help="PROGRAM is a module's name, as of python -m"
    )
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument(
        "arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="the program's own"
    )
    parser.set_defaults(verb=_exec)


def _exec(arguments: argparse.Namespace) -> int:
    import airflow_aml.azureml_compat  # noqa: F401 - from here on `import azureml` works

    package, shown = None, arguments.program
    if arguments.module:
        shown = _file_of_module(arguments.program)
        package = arguments.program.rpartition(".")[0]
    program = os.path.abspath(shown)
    source = _read(program)

    # What the program starts has v1's names, too.
    inherited = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [inherited, V1_NAMES]))
    with noting_runs() as runs:
        code = _run(program, source, [shown, *arguments.arguments], package)
        sys.stdout.flush()
        for run in runs:
            _see_to_its_end(run)
    return code


def _file_of_module(name: str) -> str:
    """The file that ``python -m name`` would run; the working directory is importable then.

    Raises:
        UserErrorException: there is no such module, or it is not Python.
    """
    sys.path[0:0] = [os.getcwd()]
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{name}.__main__")
    except ModuleNotFoundError:
        spec = None
    if spec is None or not str(spec.origin).endswith(".py"):
        raise UserErrorException(
            f"there is no module {name!r} that could be run.",
            hint=f"It is looked for in {os.getcwd()} first. A file is given without -m.",
        )
    return str(spec.origin)


def _read(program: str) -> bytes:
    try:
        with open(program, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserErrorException(f"{program} cannot be read: {error.strerror}.") from error


def _run(program: str, source: bytes, argv: list[str], package: str | None) -> int:
    """Executes the program in this process, as ``python program.py`` would.

    Args:
        package: of ``python -m``, whose modules the program may import by a dot.
    """
    main = ModuleType("__main__")
    main.__package__ = package
    codes = _codes(program, source, argv[0], main.__dict__)
    # For good: threads, pickles and what ends with the process still look for them.
    sys.modules["__main__"] = main
    sys.argv[:] = argv
    if package is None:
        sys.path[0:0] = [os.path.dirname(program)]
    try:
        with as_program(program), inheriting():
            for code in codes:
                exec(code, main.__dict__)  # noqa: S102 - what exec is for
    except SystemExit as end:
        sys.last_value = end  # for what is called when this process ends
        return _exit_code(end)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - shown as Python shows it
        sys.last_value = error
        _show(error)
        return 1
    return 0


def _codes(program: str, source: bytes, shown: str, names: dict[str, Any]) -> Iterator[CodeType]:
    """The code of a program, or of each cell of a notebook; ``names`` are its module's.

    A notebook is started in its own folder, as Jupyter does it.

    Raises:
        UserErrorException: it is no notebook.
    """
    names["__builtins__"] = __builtins__
    if program.endswith(NOTEBOOK):
        from airflow_aml.azureml_compat.notebooks import code_cells, executed

        cells = code_cells(source, shown)
        os.chdir(os.path.dirname(program))
        return executed(cells, shown, names)
    names["__file__"] = shown
    return _compiled(source, shown)


def _compiled(source: bytes, shown: str) -> Iterator[CodeType]:
    yield compile(source, shown, "exec")


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return int(end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """The traceback from the program's first frame on."""
    ours = error.__traceback__
    while ours is not None and ours.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        ours = ours.tb_next
    traceback.print_exception(type(error), error, ours)
    hint = magic_hint(error)
    if hint:
        print(f"airflow-aml: {hint}", file=sys.stderr)


def _see_to_its_end(run: PipelineRun) -> None:
    """Waits for a run that the program has only begun, where it would end with this process' host.

    In a running Airflow it goes on by itself, as it did on Azure.
    """
    if works_with_airflow() or run.get_status() in ENDED:
        return
    print(f"airflow-aml: the program has ended; its run {run.id} goes on", file=sys.stderr)
    status = run.wait_for_completion(show_output=True, raise_on_error=False)
    print(f"airflow-aml: the run {run.id} is {status}", file=sys.stderr)

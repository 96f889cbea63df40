"""Which file defines what is being built: relative paths start at its folder.

v1 resolved ``source_directory`` against the working directory, which is the program's folder when
a program is run by hand and anything at all inside Airflow. Here it is the folder of the file that
is being loaded (a DAG file, a program given to ``airflow-aml``), else of the file whose code makes
the call, else (a notebook, an interactive session) the working directory. A v1 program that runs
as it stands has v1's rule.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from opcode import opname
from types import FrameType
from typing import Iterator, Optional, Tuple, Union

from airflow_aml.errors import user_frame

_LOADING: ContextVar[Optional[str]] = ContextVar("airflow_aml_loading", default=None)
_AS_PROGRAM: ContextVar[bool] = ContextVar("airflow_aml_as_program", default=False)


@contextmanager
def loading(path: str) -> Iterator[None]:
    """While this is open, ``path`` is the defining file of everything that is built."""
    token = _LOADING.set(os.path.abspath(path))
    try:
        yield
    finally:
        _LOADING.reset(token)


@contextmanager
def as_program(path: str) -> Iterator[None]:
    """While this is open, ``path`` is a program of v1: its relative paths start where it works."""
    token = _AS_PROGRAM.set(True)
    try:
        with loading(path):
            yield
    finally:
        _AS_PROGRAM.reset(token)


def loading_file() -> Optional[str]:
    """Absolute path of the file that a loader is executing just now, if one is."""
    return _LOADING.get()


def defining_folder(parsed_file: Optional[str] = None) -> str:
    """Absolute path of the folder that relative paths start at.

    Args:
        parsed_file: the file that Airflow is parsing, where the caller knows one.
    """
    if _AS_PROGRAM.get():
        return os.getcwd()
    path = defining_file(parsed_file)
    return os.path.dirname(path) if path else os.getcwd()


def beside(path: Union[str, os.PathLike[str]]) -> str:
    """A path as an author writes it, absolute: a relative one starts at the defining folder."""
    return os.path.normpath(os.path.join(defining_folder(), os.path.expanduser(path)))


def defining_file(parsed_file: Optional[str] = None) -> Optional[str]:
    """Absolute path of the file that defines what is being built; None where there is none."""
    path = _LOADING.get() or parsed_file or _caller_file()
    return os.path.abspath(path) if path else None


def assignment_target() -> Optional[str]:
    """The variable that the running call's result is stored in: ``x`` in ``x = Pipeline(...)``.

    Read from the byte code that follows the call, through functions that only return it; None
    where it is not a plain assignment of a module.
    """
    frame = user_frame()
    while frame is not None:
        operation, name = _next_operation(frame)
        if operation in ("STORE_NAME", "STORE_GLOBAL"):
            return name
        if operation != "RETURN_VALUE":
            return None
        frame = frame.f_back
    return None


def _next_operation(frame: FrameType) -> Tuple[str, str]:
    """What happens to the result of the call that a frame is in, and the name it concerns."""
    code = frame.f_code
    after = frame.f_lasti + 2
    argument = 0
    while after + 1 < len(code.co_code):
        operation = opname[code.co_code[after]]
        argument = argument << 8 | code.co_code[after + 1]
        after += 2
        if operation == "CACHE":
            argument = 0
        elif operation != "EXTENDED_ARG":
            is_name = operation in ("STORE_NAME", "STORE_GLOBAL")
            return operation, code.co_names[argument] if is_name else ""
    return "", ""


def _caller_file() -> Optional[str]:
    frame = user_frame()
    path = frame.f_code.co_filename if frame is not None else None
    return path if path and os.path.exists(path) else None

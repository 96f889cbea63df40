"""What a shim of ``AmlDagBundle`` does: it loads its YAML file, or executes its v1 program.

Nothing but declaring comes of that, and the process is afterwards as it was.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_aml.airflow.discovery import ParsedFile
from airflow_aml.azureml_compat.declaring import declare_program
from airflow_aml.definition.broken import what_is_wrong
from airflow_aml.definition.engine import using
from airflow_aml.definition.loading import YAML
from airflow_aml.definition.origin import loading
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.errors import STANDS_FOR

_PR_SET_CHILD_SUBREAPER = 36


def declare(program: str, root: str, start_in: str, shim: str) -> None:
    """Executes a program; what it submits or publishes becomes DAGs of the shim.

    Args:
        root: the folder that DAG ids start at.
        start_in: the folder that the program is started in.
        shim: the name of the shim's module.

    Raises:
        UserErrorException: the program fails before its end; the text names the line.
    """
    vars(sys.modules[shim])[STANDS_FOR] = program
    declared = ParsedFile(program, root, sys.modules[shim])
    if program.endswith(YAML):
        _load(program, declared)
    else:
        with _ending_what_it_starts():
            declare_program(program, declared, root=root, start_in=start_in)


@contextmanager
def _ending_what_it_starts() -> Iterator[None]:
    """Processes that are begun inside and go on end with it.

    Airflow waits for all who have what its parser writes to, and a file is parsed again and again.
    """
    before = _children()
    try:
        yield
    finally:
        if _children() - before:
            _end_all_but(before)


def _end_all_but(kept: set[int]) -> None:
    """Kills this process' other children, and theirs, which become its own by that."""
    import ctypes

    control = ctypes.CDLL(None).prctl
    control(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        while ended := _children() - kept:
            for process in ended:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(process, 0)
    finally:
        control(_PR_SET_CHILD_SUBREAPER, 0)


def _children() -> set[int]:
    """The processes that this one has begun; empty where the system does not tell."""
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that ends just now
            found.update(map(int, file.read_text().split()))
    return found


def _load(file: str, declared: ParsedFile) -> None:
    try:
        with using(declared), loading(file):
            Pipeline.load_yaml(None, file)
    except Exception as error:
        raise what_is_wrong(file, error) from error

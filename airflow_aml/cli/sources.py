"""The files that verbs are given: pipelines written for this package, v1 programs, YAML."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.loading import load_file, pipeline_files
from airflow_aml.definition.programs import NOTEBOOK, is_program, names_v1
from airflow_aml.errors import UserErrorException


def load_source(path: str, root: str | None = None) -> Declarations:
    """Executes a file, or reads it, and returns what it declares. Nothing runs.

    A v1 program is started in its own folder, without arguments, as in an ``AmlDagBundle``.

    Args:
        root: the folder that ids start at; the file's own by default.

    Raises:
        UserErrorException: the file cannot be read, raises, or ends before it declares anything;
            or it is no pipeline's.
    """
    if not is_v1(path):
        return load_file(path, root)
    from airflow_aml.azureml_compat.declaring import declare_program

    path = os.path.abspath(path)
    folder = os.path.dirname(path)
    top = os.path.abspath(root) if root else folder
    declared = Declarations(path, top)
    declare_program(path, declared, root=top, start_in=folder, cached=False)
    return declared


def is_v1(path: str) -> bool:
    """Whether a file is a program of SDK v1; nothing is executed.

    Raises:
        UserErrorException: it is a notebook, or imports SDK v1 and is no pipeline's.
    """
    if path.endswith(NOTEBOOK):
        raise UserErrorException(
            f"{path} is a notebook: its cells may do anything.",
            hint=f"airflow-aml exec {path} runs it as it stands.",
        )
    source = _source(path)
    if names_v1(source) and not is_program(source):
        raise UserErrorException(
            "the file imports azureml, and neither builds nor submits a pipeline.",
            where=os.path.basename(path),
            hint="airflow-aml exec runs a program as it stands.",
        )
    return names_v1(source)


def source_files(path: str) -> Iterator[str]:
    """The files at or below ``path`` that look as if they declared a pipeline, sorted.

    Raises:
        UserErrorException: there is nothing at ``path``.
    """
    return pipeline_files(path, lambda file: is_program(_source(file)))


def _source(path: str) -> bytes:
    """What a Python file holds; nothing of what cannot be read, or is no Python file."""
    try:
        return Path(path).read_bytes() if path.endswith(".py") else b""
    except OSError:
        return b""  # who loads it says what is wrong

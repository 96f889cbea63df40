"""What a shim of ``AmlDagBundle`` does: it loads its YAML file, or executes its v1 program.

Nothing but declaring comes of that, and the process is afterwards as it was.
"""

from __future__ import annotations

import sys

from airflow_aml.airflow.discovery import ParsedFile
from airflow_aml.azureml_compat.declaring import declare_program
from airflow_aml.definition.broken import what_is_wrong
from airflow_aml.definition.engine import using
from airflow_aml.definition.loading import YAML
from airflow_aml.definition.origin import loading
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.errors import STANDS_FOR


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
        declare_program(program, declared, root=root, start_in=start_in)


def _load(file: str, declared: ParsedFile) -> None:
    try:
        with using(declared), loading(file):
            Pipeline.load_yaml(None, file)
    except Exception as error:
        raise what_is_wrong(file, error) from error

"""What the package shows to the outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_aml

PACKAGE = Path(airflow_aml.__file__).parent


def run(*words):
    """stdout of a Python program or of a command beside this interpreter."""
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


def test_all_is_what_can_be_imported():
    """Every name of __all__ exists, once; beside them there are the operators, if asked for."""
    assert sorted(airflow_aml.__all__) == sorted(set(airflow_aml.__all__))
    assert set(dir(airflow_aml)) - set(airflow_aml.__all__) == {"PythonScriptStepOperator"}
    assert all(getattr(airflow_aml, name) is not None for name in dir(airflow_aml))


def test_an_unknown_name_says_so():
    """A v1 name that is not served is an error that tells it apart from a typing error."""
    with pytest.raises(AttributeError, match="has no 'AutoMLStep'"):
        _ = airflow_aml.AutoMLStep
    with pytest.raises(ImportError, match="AutoMLStep"):
        exec("from airflow_aml import AutoMLStep")
    with pytest.raises(ImportError, match=r"ParallelRunStep comes with the parallel run release"):
        exec("from airflow_aml import ParallelRunStep")


def test_authoring_imports_neither_airflow_nor_data_libraries():
    """A definition in a bare interpreter costs the standard library only."""
    program = (
        "import sys\n"
        "from airflow_aml import *\n"
        "from airflow_aml import Pipeline, PythonScriptStep, OutputFileDatasetConfig\n"
        "heavy = {'airflow', 'fsspec', 'pandas', 'numpy', 'pathspec', 'attr', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    assert run(sys.executable, "-c", program) == "[]\n"


def test_what_travels_with_a_step_is_written_for_python_3_8():
    """The floors below the line parse with the oldest grammar that steps may run on."""
    travels = [PACKAGE / name for name in ("__init__.py", "codec.py", "errors.py")]
    for floor in ("azureml_compat", "definition", "runtime", "workspace"):
        travels.extend((PACKAGE / floor).rglob("*.py"))

    for path in travels:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 8))


def test_no_module_is_long():
    """500 lines is the limit for a module, 60 for a function."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 500, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert (node.end_lineno or 0) - node.lineno < 60, (path, node.name)


def test_airflow_knows_the_provider_and_the_plugin():
    """`airflow providers list` and `airflow plugins` show what is installed."""
    airflow = str(Path(sys.executable).with_name("airflow"))

    assert "airflow-provider-aml" in run(airflow, "providers", "list", "--output", "json")
    assert "airflow_aml.airflow.plugin" in run(airflow, "plugins", "--output", "json")
    assert run(airflow, "config", "get-value", "aml", "workspaces").strip() == "{}"

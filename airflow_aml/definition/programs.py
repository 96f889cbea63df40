"""Which Python files are v1 programs: by what they say, without executing them."""

from __future__ import annotations

import ast
from typing import Iterator, Set

NOTEBOOK = ".ipynb"
"""How the names of notebooks end."""

_V1 = b"azureml"
_PIPELINE = "Pipeline"
_CONTEXT = "get_context"
_NATIVE = frozenset(["airflow", "airflow_aml"])


def is_program(source: bytes) -> bool:
    """Whether a file names SDK v1 and builds, loads or submits a pipeline.

    A file that is no Python counts if it speaks of both: who executes it is told what is wrong. A
    step's script does not: it asks for its run's context. Nor does a file that was written for
    Airflow, which Airflow's own bundles load.
    """
    if _V1 not in source:
        return False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return _PIPELINE.encode() in source
    if not _imports_v1(tree):
        return False
    called = {name for node in ast.walk(tree) for name in _called(node)}
    if _PIPELINE in called or f"{_PIPELINE}.load_yaml" in called:
        return True
    return "submit" in called and "Experiment" in called and _CONTEXT not in called


def names_v1(source: bytes) -> bool:
    """Whether a file imports SDK v1 and was not written for Airflow."""
    if _V1 not in source:
        return False
    try:
        return _imports_v1(ast.parse(source))
    except (SyntaxError, ValueError):
        return False


def _imports_v1(tree: ast.AST) -> bool:
    packages = {module.split(".")[0] for module in _modules(tree)}
    return _V1.decode() in packages and not packages & _NATIVE


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _called(node: ast.AST) -> Set[str]:
    """``Pipeline`` of ``core.Pipeline(...)``; of ``Pipeline.load_yaml(...)`` both forms."""
    if not isinstance(node, ast.Call):
        return set()
    function = node.func
    if isinstance(function, ast.Name):
        return {function.id}
    if not isinstance(function, ast.Attribute):
        return set()
    above = function.value
    name = getattr(above, "id", None) or getattr(above, "attr", "")
    return {function.attr, f"{name}.{function.attr}"}

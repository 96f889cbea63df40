"""``airflow-aml list`` and ``airflow-aml graph``: what files declare. Airflow is not imported."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import redirect_stdout
from typing import Any

from airflow_aml.cli.sources import load_source, source_files
from airflow_aml.definition.declarations import Declaration, Declarations
from airflow_aml.definition.render import dot, mermaid
from airflow_aml.errors import UserErrorException


def add_list(verbs: Any) -> None:
    """Adds ``list PATH``."""
    parser = verbs.add_parser("list", help="the pipelines that a file or folder declares")
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_list)


def add_graph(verbs: Any) -> None:
    """Adds ``graph FILE``."""
    parser = verbs.add_parser("graph", help="a pipeline as a Mermaid or DOT graph")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--name", help="which pipeline, where the file declares several")
    parser.add_argument("--format", choices=["mermaid", "dot"], default="mermaid")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_graph)


def _list(arguments: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    root = arguments.path if os.path.isdir(arguments.path) else os.path.dirname(arguments.path)
    for path in source_files(arguments.path):
        try:
            with redirect_stdout(sys.stderr):  # what a file prints is no answer of ours
                declared = load_source(path, root or ".").declared()
            rows.extend(_row(path, dag_id, item) for dag_id, item in declared)
        except UserErrorException as error:
            errors.append({"file": path, "error": str(error)})
    if arguments.json:
        print(json.dumps({"pipelines": rows, "errors": errors}))
    else:
        _print_rows(rows)
        for each in errors:
            print(f"airflow-aml: {_located(each['file'], each['error'])}", file=sys.stderr)
    return 1 if errors else 0


def _located(path: str, error: str) -> str:
    """The error with the file's whole path, once."""
    if error.startswith(f"{os.path.basename(path)}:"):
        return os.path.join(os.path.dirname(path), error)
    return f"{path}: {error}"


def _row(path: str, dag_id: str, item: Declaration) -> dict[str, Any]:
    spec = item.pipeline.spec
    return {
        "dag_id": dag_id,
        "file": path,
        "steps": [node.name for node in spec.nodes],
        "parameters": {p.name: item.parameters.get(p.name, p.default) for p in spec.parameters},
        "description": spec.description,
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("no pipelines")
    for row in rows:
        print(f"{row['dag_id']}  ({row['file']})")
        print(f"    steps: {', '.join(row['steps']) or 'none'}")
        if row["parameters"]:
            pairs = ", ".join(f"{name}={value!r}" for name, value in row["parameters"].items())
            print(f"    parameters: {pairs}")


def _graph(arguments: argparse.Namespace) -> int:
    with redirect_stdout(sys.stderr):
        dag_id, declaration = one_pipeline(load_source(arguments.file), arguments.name)
    draw = mermaid if arguments.format == "mermaid" else dot
    text = draw(declaration.pipeline.spec)
    if arguments.json:
        text = json.dumps({"dag_id": dag_id, "format": arguments.format, "graph": text}) + "\n"
    sys.stdout.write(text)
    return 0


def one_pipeline(declarations: Declarations, name: str | None) -> tuple[str, Declaration]:
    """The pipeline that is meant.

    Raises:
        UserErrorException: the file declares none, or several and none is named.
    """
    found = declarations.find(name)
    if found is not None:
        return found
    known = [dag_id for dag_id, _ in declarations.declared()]
    where = os.path.basename(declarations.path)
    if not known:
        raise UserErrorException("no pipeline is declared here.", where=where)
    if name is None:
        raise UserErrorException(
            f"several pipelines are declared here: {', '.join(known)}.",
            where=where,
            hint="Say which with --name.",
        )
    raise UserErrorException(
        f"no pipeline {name!r} here; there is {', '.join(known)}.", where=where
    )

"""``airflow-aml``: the terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_aml._version import __version__
from airflow_aml.errors import AirflowAmlError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``airflow-aml`` command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.verb(arguments)
    except AirflowAmlError as error:
        print(f"airflow-aml: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("airflow-aml: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    from airflow_aml.cli import files, plan, run

    parser = argparse.ArgumentParser(
        prog="airflow-aml", description="Azure ML SDK v1 pipelines, running on Apache Airflow."
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    files.add_list(verbs)
    files.add_graph(verbs)
    run.add_run(verbs)
    plan.add_plan(verbs)
    return parser

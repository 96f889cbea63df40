"""``airflow-aml``: the terminal."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from importlib import import_module

from airflow_aml._version import __version__
from airflow_aml.errors import AirflowAmlError

_VERBS = {
    "list": "files",
    "graph": "files",
    "plan": "plan",
    "run": "run",
    "explain": "history",
    "runs": "history",
    "gc": "garbage",
}
"""Verb -> the module that has it, as ``add_<verb>``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``airflow-aml`` command; returns its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    code = _done(_parsed(words))
    if argv is None:
        gc.freeze()  # the process ends: what it holds goes with it, uncounted
    return code


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    # Of what is imported nothing is garbage; looking for some would be a tenth of a plan's time.
    gc.disable()
    try:
        return _parser(words).parse_args(words)
    finally:
        gc.enable()


def _done(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.verb(arguments)
    except AirflowAmlError as error:
        print(f"airflow-aml: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("airflow-aml: interrupted", file=sys.stderr)
        return 130
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="airflow-aml", description="Azure ML SDK v1 pipelines, running on Apache Airflow."
    )
    parser.add_argument("--version", action="version", version=__version__)
    # Without a name here argparse writes a help text to find one, and imports what that takes.
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB", prog="airflow-aml")
    # Modules of other verbs are not imported: plan is to answer at once.
    asked = [word for word in words[:1] if word in _VERBS]
    for name in asked or _VERBS:
        module = import_module(f"airflow_aml.cli.{_VERBS[name]}")
        getattr(module, f"add_{name}")(verbs)
    return parser

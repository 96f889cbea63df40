"""``airflow-aml environments``: what is locked, and locking anew."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import redirect_stdout
from typing import Any

from airflow_aml.cli.tables import counted
from airflow_aml.definition.homes import home_of
from airflow_aml.reuse.software.conda import named_packages
from airflow_aml.reuse.software.locking import lock_steps
from airflow_aml.reuse.software.locks import Lock, kept_locks
from airflow_aml.workspace.home import default_url, open_home


def add_environments(verbs: Any) -> None:
    """Adds ``environments [FILE]``."""
    parser = verbs.add_parser(
        "environments", help="the packages that steps are locked to, and locking them anew"
    )
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="the pipeline whose steps are told; without it, all locks of the workspace",
    )
    parser.add_argument("--name", help="which pipeline, where the file declares several")
    parser.add_argument(
        "--lock", action="store_true", help="lock FILE's environments anew, as releases are now"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_environments)


def _environments(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        return _all(arguments)
    from airflow_aml.cli.files import one_pipeline
    from airflow_aml.cli.sources import load_source
    from airflow_aml.reuse.pending import pending_environments

    with redirect_stdout(sys.stderr):  # what a file prints is no answer of ours
        _, declaration = one_pipeline(load_source(arguments.file), arguments.name)
        spec = declaration.pipeline.spec
        locks = lock_steps(
            spec.nodes,
            home_of(spec.workspace, create=arguments.lock),
            say=_note,
            keep=arguments.lock,
            anew=arguments.lock,
            pending=pending_environments(declaration.setup),
        )
    rows = [
        {"step": node.name, **(_row(locks[node.id]) if node.id in locks else {"python": None})}
        for node in spec.nodes
    ]
    if arguments.json:
        print(json.dumps({"steps": rows}))
        return 0
    for node in spec.nodes:
        lock = locks.get(node.id)
        print(f"{node.name}: {_told(lock) if lock else 'the packages of the worker'}")
    return 0


def _all(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ), create=False)
    kept = kept_locks(home)
    rows = [{"asked": list(asked), **_row(lock)} for asked, lock in kept]
    if arguments.json:
        print(json.dumps({"locks": rows}))
        return 0
    for asked, lock in kept:
        print(f"{', '.join(asked) or 'no packages'}: {_told(lock)}")
    print(counted(len(rows), "lock"))
    return 0


def _row(lock: Lock) -> dict[str, Any]:
    packages = dict(lock.environment.packages)
    return {"python": lock.python, "packages": packages, "digest": lock.digest}


def _told(lock: Lock) -> str:
    conda = [f"{name}={version}" for name, version in named_packages(lock.conda).items()]
    return " ".join([f"Python {lock.python},", *lock.requirements, *conda]).rstrip(",")


def _note(sentence: str) -> None:
    print(f"airflow-aml: {sentence}", file=sys.stderr)

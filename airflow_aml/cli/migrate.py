"""``airflow-aml migrate``: imports of SDK v1 become ours, and nothing else changes."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

from airflow_aml.cli.check import v1_files
from airflow_aml.cli.tables import counted
from airflow_aml.errors import AirflowAmlError, UserErrorException


def add_migrate(verbs: Any) -> None:
    """Adds ``migrate PATH...``."""
    parser = verbs.add_parser("migrate", help="rewrite imports of SDK v1 to airflow_aml")
    parser.add_argument("paths", metavar="PATH", nargs="+")
    parser.add_argument("--diff", action="store_true", help="show what would change, and stop")
    parser.set_defaults(verb=_migrate)


def _migrate(arguments: argparse.Namespace) -> int:
    rewrite = _rewriter()
    files = [path for root in arguments.paths for path in v1_files(root)]
    # All are read before one is written: a file that cannot be leaves the others alone.
    texts = [(path, *_rewritten(path, rewrite)) for path in files]
    changed = [(path, before, after) for path, before, after in texts if before != after]
    for path, before, after in changed:
        if arguments.diff:
            sys.stdout.write(_diff(path, before, after))
        else:
            _write(path, after)
    done = "would change" if arguments.diff else "changed"
    print(f"{counted(len(changed), 'file')} of {len(files)} {done}", file=sys.stderr)
    return 0


def _rewriter() -> Any:
    try:
        from airflow_aml.cli.rewriting import rewritten
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise AirflowAmlError(
            "migrate needs the package libcst.", hint="pip install libcst"
        ) from error
    return rewritten


def _rewritten(path: Path, rewrite: Any) -> tuple[bytes, bytes]:
    before = path.read_bytes()
    try:
        return before, rewrite(before)
    except SyntaxError as error:
        raise UserErrorException(
            f"SyntaxError: {error.msg}.", where=f"{path}:{error.lineno}", hint="No file is changed."
        ) from error


def _diff(path: Path, before: bytes, after: bytes) -> str:
    old, new = (each.decode("utf-8", "replace").splitlines(True) for each in (before, after))
    return "".join(difflib.unified_diff(old, new, fromfile=str(path), tofile=str(path)))


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserErrorException(f"{path} cannot be written: {error.strerror}.") from error

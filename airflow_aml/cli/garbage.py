"""``airflow-aml gc``: removes what a workspace needs no more."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_aml.cli.tables import counted
from airflow_aml.reuse.gc import collect, plan
from airflow_aml.reuse.roots import Keep
from airflow_aml.workspace.home import default_url, open_home

if TYPE_CHECKING:
    from airflow_aml.reuse.gc import Item

_WITHOUT_PLURAL = ("data", "staging")
_UNITS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def add_gc(verbs: Any) -> None:
    """Adds ``gc``."""
    parser = verbs.add_parser("gc", help="remove old runs, results and what only they needed")
    parser.add_argument(
        "--older-than",
        type=_age,
        default="30d",
        metavar="AGE",
        help="what is younger stays: 12h, 30d (the default), 8w",
    )
    parser.add_argument(
        "--keep-last",
        type=_count,
        default=1,
        metavar="N",
        help="so many of the newest runs of each DAG and results of each step stay; 1 by default",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_gc)


def _gc(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ))
    found = plan(home, Keep(arguments.older_than, arguments.keep_last))
    for warning in found.warnings:
        print(f"airflow-aml: {warning}", file=sys.stderr)
    failed: tuple[str, ...] = ()
    items, freed = found.items, found.bytes
    if not arguments.dry_run:
        done = collect(home, found)
        items, freed, failed = done.items, done.bytes, done.failed
    for sentence in failed:
        print(f"airflow-aml: {sentence}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(_answer(items, freed, failed, arguments.dry_run)))
    else:
        if arguments.dry_run:
            for each in items:
                print(f"{each.kind:<11}  {shown_bytes(each.bytes):>9}  {each.path}")
        would = "would be " if arguments.dry_run else ""
        print(f"{_counted(items)} {would}removed, {shown_bytes(freed)} {would}freed")
    return 1 if failed else 0


def _answer(
    items: Iterable[Item], freed: int, failed: tuple[str, ...], dry_run: bool
) -> dict[str, Any]:
    rows = [{"kind": each.kind, "path": each.path, "bytes": each.bytes} for each in items]
    return {"dry_run": dry_run, "bytes": freed, "items": rows, "failed": list(failed)}


def _counted(items: Iterable[Item]) -> str:
    counts = Counter(each.kind for each in items)
    words = [
        f"{count} {kind}" if kind in _WITHOUT_PLURAL else counted(count, kind)
        for kind, count in sorted(counts.items())
    ]
    return ", ".join(words) or "nothing"


def shown_bytes(count: float) -> str:
    """A size for people: ``312 B``, ``4.0 MB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _age(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 12h, 30d or 8w")
    return int(number) * _UNITS[unit]


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)

"""``airflow-aml``: the terminal."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from airflow_aml._version import __version__
from airflow_aml.errors import AirflowAmlError

_VERBS = {
    "list": "files",
    "graph": "files",
    "plan": "plan",
    "run": "run",
    "exec": "execute",
    "check": "check",
    "migrate": "migrate",
    "explain": "history",
    "runs": "history",
    "runs show": "runs",
    "runs compare": "runs",
    "runs plot": "plot",
    "schedule": "schedules",
    "environments": "environments",
    "gc": "garbage",
}
"""Verb -> the module that has it, as ``add_<verb>``, with ``_`` for a space."""

_HANDS_ON = frozenset(["exec", "schedule"])
"""Verbs whose last words, options too, are those of a program that they run or of a verb below."""

NOBODY_READS = 141
"""The exit code when the reader of our output has gone: that of a program ended by SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``airflow-aml`` command; returns its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None:
        _occupy_standard_streams()
    try:
        try:
            code = _done(_parsed(words))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        code = NOBODY_READS
    if argv is None:
        gc.freeze()  # the process ends: what it holds goes with it, uncounted
    return code


def _occupy_standard_streams() -> None:
    """Where one is closed what we say goes nowhere, and not into the next file that is opened."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as long as the process is
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _nobody_reads() -> bool:
    """Whether whoever read our output has gone, as ``head -1`` does; it is then told no more."""
    from select import POLLERR, poll

    gone = False
    for stream in (sys.stdout, sys.stderr):
        asked = poll()
        asked.register(stream.fileno(), 0)
        if any(event & POLLERR for _, event in asked.poll(0)):
            gone = True
            # What is still in the stream goes nowhere, so nothing complains at the process' end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return gone


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    # Of what is imported nothing is garbage; looking for some would be a tenth of a plan's time.
    gc.disable()
    words = _with_verb(words)
    try:
        parser, verbs = _parsers(words)
        verb = verbs.get(words[0]) if words else None
        if verb is None or words[0] in _HANDS_ON:
            return parser.parse_args(words)
        # Options may stand before, between and after what a verb is told.
        return verb.parse_intermixed_args(words[1:])
    finally:
        gc.enable()


def _with_verb(words: Sequence[str]) -> list[str]:
    """The words, with a verb of two words as one: ``runs show RUN``.

    ``runs show`` alone lists the runs of an experiment of that name, as it does for any other.
    """
    double = " ".join(words[:2])
    told = any(word[:1] != "-" for word in words[2:]) and "--last" not in words
    if double in _VERBS and (told or _asks_help(words[2:])):
        return [double, *words[2:]]
    return list(words)


def _asks_help(words: Sequence[str]) -> bool:
    return any(word in ("-h", "--help") for word in words)


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


def _parsers(
    words: Sequence[str],
) -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser of all words, and that of each verb that may be meant."""
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
        getattr(module, f"add_{name.replace(' ', '_')}")(verbs)
    return parser, verbs.choices

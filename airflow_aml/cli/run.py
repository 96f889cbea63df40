"""``airflow-aml run``: runs a pipeline in this process, through the same DAG."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from airflow_aml.cli.files import one_pipeline
from airflow_aml.cli.given import given_parameters
from airflow_aml.cli.sources import is_v1, load_source
from airflow_aml.cli.tables import counted, labels, plain
from airflow_aml.definition.declarations import Declaration
from airflow_aml.reuse.lookup import duration
from airflow_aml.workspace.home import WORKSPACE_VARIABLE, default_url, open_home

if TYPE_CHECKING:
    from airflow_aml.airflow.inprocess import RunOutcome


def add_run(verbs: Any) -> None:
    """Adds ``run FILE``."""
    parser = verbs.add_parser("run", help="run a pipeline in this process")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--name", help="which pipeline, where the file declares several")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter"
    )
    parser.add_argument("--experiment", help="the run's experiment; the pipeline's id by default")
    parser.add_argument(
        "--continue-on-step-failure", action="store_true", help="let independent branches go on"
    )
    parser.add_argument(
        "--regenerate", action="store_true", help="run every step, whatever results there are"
    )
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.set_defaults(verb=_run)


def _run(arguments: argparse.Namespace) -> int:
    is_v1(arguments.file)  # before Airflow starts, which takes some seconds
    url = default_url(os.environ)
    home = open_home(url)
    os.environ[WORKSPACE_VARIABLE] = url
    from airflow_aml.airflow.inprocess import airflow_home, engine_root

    with _answer_stream() as answer, airflow_home(engine_root(home), _tell):
        dag_id, declaration = one_pipeline(load_source(arguments.file), arguments.name)
        spec = declaration.pipeline.spec
        parameters = {**declaration.parameters, **given_parameters(spec, arguments.parameter)}
        try:
            outcome = _run_declared(dag_id, declaration, parameters, arguments)
        except KeyboardInterrupt:
            _tell("airflow-aml: steps that have finished are kept; the next run reuses them")
            raise
        if arguments.json:
            answer.write(json.dumps(asdict(outcome)) + "\n")
        else:
            _print_outcome(outcome, answer)
    return 0 if outcome.status == "Finished" else 1


def _run_declared(
    dag_id: str, declaration: Declaration, parameters: dict[str, Any], arguments: argparse.Namespace
) -> RunOutcome:
    from airflow_aml.airflow.inprocess import run_pipeline

    settings = dict(declaration.options)
    if arguments.experiment:
        settings["experiment_name"] = arguments.experiment
    if arguments.continue_on_step_failure:
        settings["continue_on_step_failure"] = True
    if arguments.regenerate:
        settings["regenerate_outputs"] = True
    return run_pipeline(
        declaration.pipeline.spec,
        dag_id=dag_id,
        folder=declaration.pipeline.folder,
        parameters=parameters,
        settings=settings,
        setup=declaration.setup,
        tell=_tell,
    )


def _tell(line: str) -> None:
    with suppress(OSError):  # nobody reads it any more; the run goes on
        sys.stderr.write(f"{line}\n")  # at once, as steps that overlap all write here
        sys.stderr.flush()


@contextmanager
def _answer_stream() -> Iterator[IO[str]]:
    """Where the answer goes: stdout, while everything else that writes there goes to stderr."""
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(descriptor, 1)
        os.close(descriptor)


def _print_outcome(outcome: RunOutcome, stream: IO[str]) -> None:
    names = [plain(each) for each in labels((step.name, step.task_id) for step in outcome.steps)]
    width = max(map(len, names), default=0)
    for label, step in zip(names, outcome.steps, strict=True):
        first, *more = step.reason.splitlines() or [""]
        spent = f"{step.seconds:.2f} s" if step.seconds else ""  # a reused step has taken none
        line = f"{step.status:>10}  {label:<{width}}  {spent:>10}  {plain(first)}"
        print(line.rstrip(), file=stream)
        for text in more:
            print(f"            {plain(text)}", file=stream)
        for name, uri in step.outputs.items():
            print(f"            {name}: {uri}", file=stream)
    print(f"{outcome.status} in {outcome.seconds:.1f} s, run {outcome.run_id}", file=stream)
    if outcome.reason:
        print(outcome.reason, file=stream)
    print(reused_and_saved(outcome), file=stream)


def reused_and_saved(outcome: RunOutcome) -> str:
    """``2 of 3 steps reused, 41 s saved``."""
    reused = sum(step.status == "Reused" for step in outcome.steps)
    saved = duration(outcome.saved_seconds)
    return f"{reused} of {counted(len(outcome.steps), 'step')} reused, {saved} saved"

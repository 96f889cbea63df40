"""``airflow-aml plan``: what a run would do now, and why. It runs nothing and imports no Airflow.

It asks the same functions as a run's first task, so a run that is started now does what it says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_aml.cli.files import one_pipeline
from airflow_aml.cli.sources import load_source
from airflow_aml.cli.tables import counted, labels
from airflow_aml.compute import NamedComputes
from airflow_aml.compute.engine import Images, refuse_too_large
from airflow_aml.definition.computes.known import site
from airflow_aml.definition.dataparameters import bind
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.registered import save_definitions
from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.definition.values import regenerates, resolve
from airflow_aml.reuse.absent import Absent, refuse_absent, refuse_absent_datastores
from airflow_aml.reuse.aside import Aside
from airflow_aml.reuse.facts import RunFacts, walk_steps
from airflow_aml.reuse.lookup import decide, duration
from airflow_aml.reuse.walk import DEPENDS, PUBLISH, REUSE, RUN, first_warnings, names_of
from airflow_aml.workspace.snapshots import digest_of

if TYPE_CHECKING:
    from airflow_aml.definition.declarations import Declaration
    from airflow_aml.definition.registered import PinnedDataset
    from airflow_aml.definition.spec import PipelineSpec
    from airflow_aml.reuse.software.locks import Lock
    from airflow_aml.reuse.walk import Decision
    from airflow_aml.workspace.home import Home

NOTHING_TO_DO, STEPS_WOULD_RUN = 0, 3


def add_plan(verbs: Any) -> None:
    """Adds ``plan FILE``."""
    parser = verbs.add_parser("plan", help="what a run would do now, and why; nothing is run")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--name", help="which pipeline, where the file declares several")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter"
    )
    parser.add_argument(
        "--regenerate", action="store_true", help="as if earlier results did not count"
    )
    parser.add_argument(
        "--verify",
        choices=["stamp", "content"],
        default="stamp",
        help="check earlier outputs by size and time, or read them all again",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    with redirect_stdout(sys.stderr):  # what a file prints is no answer of ours
        dag_id, declaration = one_pipeline(load_source(_file(arguments.file)), arguments.name)
        rows = planned(dag_id, declaration, arguments)
    if arguments.json:
        saved = round(sum(row["saved_seconds"] for row in rows), 3)
        print(json.dumps({"dag_id": dag_id, "saved_seconds": saved, "steps": rows}))
    else:
        _print_rows(rows)
    return NOTHING_TO_DO if all(row["decision"] == REUSE for row in rows) else STEPS_WOULD_RUN


def _file(path: str) -> str:
    if not os.path.exists(path) and not path.endswith(".py"):
        from airflow_aml.errors import UserErrorException

        raise UserErrorException(
            f"there is no file {path}.",
            hint="plan reads the file that defines the pipeline; name that, not the DAG id.",
        )
    return path


def planned(
    dag_id: str, declaration: Declaration, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Of every step what a run would do with it (architecture 9).

    ``decision`` is ``reuse``, ``run``, ``depends``, or ``publish``: the result is reused, but the
    step has to start and put it back where its author wants to see it.
    """
    from airflow_aml.cli.given import given_parameters

    spec, folder = declaration.pipeline.spec, declaration.pipeline.folder
    given = {**declaration.parameters, **given_parameters(spec, arguments.parameter)}
    computes = NamedComputes(site(), declaration.setup)
    refuse_too_large(computes, spec.nodes)
    home, aside = home_of(spec.workspace, create=False), Aside()
    if not home.is_made:
        _note(f"there is no workspace at {home.url} yet, so all steps would run")
    values = resolve(spec.parameters, given)
    spec = bind(spec, values, home)
    pinned, pending = _pinned(spec, declaration, home)
    declared = _pending_datastores(declaration, home)
    refuse_absent_datastores(spec, pinned, home, declared)
    spec, locks = _equipped(spec, declaration, home, computes)
    absent: list[Absent] = []
    facts = RunFacts(
        home=home,
        folder=folder,
        snapshots=_snapshots(declaration, home, aside),
        parameters=values,
        pinned=pinned,
        dag_id=dag_id,
        aside=aside,
        warn=_note,
        elsewhere=Images(computes),
        absent=lambda *found: absent.append(found),
        locks=locks,
    )
    steps = walk_steps(spec, facts)
    lasting = [each for each in absent if each[1] not in pending.get(each[0].id, {})]
    refuse_absent(lasting, spec, pinned, home, folder, declared)
    steps = [
        replace(each, pending=next(iter(pending.get(each.id, {}).values()), "")) for each in steps
    ]
    decisions = decide(
        home,
        dag_id,
        steps,
        regenerate=arguments.regenerate or regenerates(declaration.options, given),
        verify=arguments.verify,
        aside=aside,
        experiment=str(declaration.options.get("experiment_name") or dag_id),
    )
    names = names_of(steps)
    for warning, step_id in first_warnings(decisions).items():
        _note(f"step {names[step_id]}: {warning}")
    return [_row(step.name, step.id, decisions[step.id]) for step in steps]


def _pinned(
    spec: PipelineSpec, declaration: Declaration, home: Home
) -> tuple[dict[str, dict[str, PinnedDataset]], dict[str, dict[str, str]]]:
    """What inputs mean now; and of each step the inputs that the run will first make, by what."""
    folder = declaration.pipeline.folder
    if not declaration.setup:
        return save_definitions(spec, home, folder, keep=False), {}
    from airflow_aml.reuse.pending import pending_inputs

    missing: list[str] = []
    pinned = save_definitions(spec, home, folder, keep=False, missing=missing.append)
    pending = pending_inputs(spec, pinned, declaration.setup, home, folder)
    for node in spec.nodes:
        there = {*pinned.get(node.id, {}), *pending.get(node.id, {})}
        if any(
            port.source.kind != "step_output" and port.name not in there for port in node.inputs
        ):
            save_definitions(spec, home, folder, keep=False)  # raises, as it does in a run
    return pinned, pending


def _equipped(
    spec: PipelineSpec, declaration: Declaration, home: Home, computes: NamedComputes
) -> tuple[PipelineSpec, Mapping[str, Lock]]:
    """The pipeline with the environments that are only named, and the workspace's locks.

    Locks that it has not yet are made and not stored.
    """
    spec = computes.equipped(spec)
    if all(node.settings.environment == EnvironmentSpec() for node in spec.nodes):
        return spec, {}
    from airflow_aml.reuse.pending import pending_environments
    from airflow_aml.reuse.software.locking import lock_steps
    from airflow_aml.reuse.software.registered import named_environments

    pending = pending_environments(declaration.setup)
    spec = spec.within(named_environments(spec, home, computes.is_contained, pending=pending))
    return spec, lock_steps(
        spec.nodes, home, keep=False, say=_note, pending=pending, contained=computes.is_contained
    )


def _pending_datastores(declaration: Declaration, home: Home) -> set[str]:
    if not declaration.setup:
        return set()
    from airflow_aml.reuse.pending import pending_datastores

    return pending_datastores(declaration.setup, home)


def _snapshots(declaration: Declaration, home: Home, aside: Aside) -> dict[str, str]:
    taken: dict[str, str] = {}
    for path, nodes in declaration.pipeline.spec.sources.items():
        folder = os.path.join(declaration.pipeline.folder, path)
        digest, files = digest_of(folder, home, [node.script_name for node in nodes])
        taken[path] = digest
        aside.sources[digest] = files
    return taken


def _row(name: str, task_id: str, decision: Decision) -> dict[str, Any]:
    record = decision.record
    return {
        "name": name,
        "task_id": task_id,
        "decision": decision.shown,
        "reason": decision.reason,
        "fingerprint": decision.fingerprint.digest if decision.fingerprint else None,
        "saved_seconds": round(record.seconds, 3) if record else 0.0,
        "source_run": {"dag_id": record.dag_id, "run_id": record.run_id} if record else None,
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    names = labels((row["name"], row["task_id"]) for row in rows)
    width = max(map(len, names), default=0)
    for name, row in zip(names, rows, strict=True):
        print(f"{row['decision']:<7}  {name:<{width}}  {row['reason']}".rstrip())
    print(summary(rows))


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """The line below the table."""
    counts = dict.fromkeys((REUSE, PUBLISH, RUN, DEPENDS), 0)
    for row in rows:
        counts[row["decision"]] += 1
    saved = sum(row["saved_seconds"] for row in rows)
    words = [f"{counts[REUSE] + counts[PUBLISH]} of {counted(len(rows), 'step')} reused"]
    if counts[PUBLISH]:
        words.append(f"{counts[PUBLISH]} of them published again")
    if counts[RUN]:
        words.append(f"{counts[RUN]} to run")
    if counts[DEPENDS]:
        words.append(f"{counts[DEPENDS]} to be seen")
    return f"{', '.join(words)}; reuse saves {duration(saved)}"


def _note(sentence: str) -> None:
    print(f"airflow-aml: {sentence}", file=sys.stderr)

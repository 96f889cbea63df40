"""What the keys of a run need beside its definition: what inputs hold, and where steps run.

Everything is read at the start of a run, once for all its steps. What cannot be told is no error:
the steps that it concerns run, and their reason says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_aml.codec import encode
from airflow_aml.definition.overlaps import sharing
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse import environment
from airflow_aml.reuse.fingerprint import ExternalInput, KeyFacts, NoKey, key_template, unknowable
from airflow_aml.reuse.inputs import NoFiles, content_of
from airflow_aml.reuse.walk import WalkStep
from airflow_aml.workspace.content import digest_paths

if TYPE_CHECKING:
    from airflow_aml.definition.registered import PinnedDataset
    from airflow_aml.definition.spec import NodeSpec, PipelineSpec
    from airflow_aml.reuse.aside import Aside
    from airflow_aml.reuse.software.locks import Lock
    from airflow_aml.workspace.home import Home

Pinned = Mapping[str, Mapping[str, "PinnedDataset"]]
"""Node id -> input name -> the dataset that it means in this run."""


@dataclass(frozen=True)
class RunFacts:
    """What is the same for all steps of one run.

    Attributes:
        folder: absolute; the spec's relative paths start here.
        snapshots: source directory, as the spec has it -> digest.
        parameters: the run's values.
        pinned: what the run's dataset inputs mean.
        dag_id: for steps whose results are shared within their pipeline alone.
        aside: takes in what only helps to explain; without it that is stored in the workspace.
        warn: hears what the author should know.
        elsewhere: what a step runs in that does not run in a Python of this machine; else None. It
            raises NoKey where that cannot be told.
        absent: hears of each input whose files are not there: the step, the input's name, why.
        locks: of the steps that have an environment of their own, by node id.
    """

    home: Home
    folder: str
    snapshots: Mapping[str, str]
    parameters: Mapping[str, Any]
    pinned: Pinned
    dag_id: str = ""
    aside: Aside | None = None
    warn: Callable[[str], None] = field(default=lambda sentence: None, repr=False)
    elsewhere: Callable[[NodeSpec], environment.Environment | None] = field(
        default=lambda node: None, repr=False
    )
    absent: Callable[[NodeSpec, str, str], None] = field(default=lambda *_: None, repr=False)
    locks: Mapping[str, Lock] = field(default_factory=dict)


def walk_steps(spec: PipelineSpec, facts: RunFacts) -> list[WalkStep]:
    """Every step of a pipeline with the template of its key, in the spec's order."""
    known: dict[str, str | NoKey] = {}
    environments: dict[str, str | NoKey] = {}
    unknown = unknowable(spec)
    shared = sharing(spec.nodes)
    return [
        WalkStep(
            id=node.id,
            name=node.name,
            key=key_template(
                node, _key_facts(node, facts, known, environments, unknown.get(node.id, {}))
            ),
            upstream=node.upstream,
            allow_reuse=node.allow_reuse,
            max_age=node.reuse.max_age,
            registers={port.name: encode(port) for port in node.outputs if port.registrations},
            shared=shared.get(node.id, {}),
            asks=dict(_asks(node, facts)),
        )
        for node in spec.nodes
    ]


def _asks(node: NodeSpec, facts: RunFacts) -> Iterator[tuple[str, tuple[str, str]]]:
    """Of each input that a parameter chooses, the parameter and what it names, with its version."""
    for port in node.inputs:
        if port.parameter is not None:
            found = facts.pinned.get(node.id, {}).get(port.name)
            value = str(facts.parameters.get(port.parameter, ""))
            named = f"{found.name}:{found.version}" if found is not None and found.name else value
            yield port.name, (port.parameter, named)


def _key_facts(
    node: NodeSpec,
    facts: RunFacts,
    known: dict[str, str | NoKey],
    environments: dict[str, str | NoKey],
    unknown: Mapping[str, str],
) -> KeyFacts:
    why = dict(unknown)
    inputs: dict[str, ExternalInput] = {}
    for name, pinned in facts.pinned.get(node.id, {}).items():
        if name in why:
            continue
        digest = _remembered(known, pinned.id, partial(_content, pinned, facts))
        if isinstance(digest, NoFiles):
            facts.absent(node, name, str(digest))
            why[name] = f"input {name!r}: {digest}"
        elif isinstance(digest, NoKey):
            why[name] = f"input {name!r} {digest}"
        else:
            inputs[name] = ExternalInput(digest, pinned.definition)
    lock = facts.locks.get(node.id)
    software = _software(node, lock, facts, environments)
    if isinstance(software, NoKey):
        why["environment"], software = str(software), ""
    policy = node.reuse
    return KeyFacts(
        snapshot=facts.snapshots[node.source_directory],
        environment=software,
        parameters=facts.parameters,
        inputs=inputs,
        hash_paths=_hash_paths(node, facts),
        pipeline=facts.dag_id if policy.scope == "pipeline" else None,
        ignored=policy.ignore,
        extra=dict(policy.extra) or None,
        unknown=why,
        locked=lock is not None,
    )


def _software(
    node: NodeSpec, lock: Lock | None, facts: RunFacts, known: dict[str, str | NoKey]
) -> str | NoKey:
    """The digest of what the step runs with: its image, its lock, or an interpreter's packages."""
    try:
        contained = facts.elsewhere(node)
    except NoKey as error:
        return error
    if contained is not None:
        return _kept(contained.with_packages(lock.environment) if lock else contained, facts)
    if lock is not None:
        return _remembered(known, lock.digest, lambda: _kept(lock.environment, facts))
    where = node.settings.environment.interpreter or sys.executable
    return _remembered(known, where, lambda: _kept(environment.of_interpreter(where), facts))


def _remembered(known: dict[str, str | NoKey], name: str, find: Callable[[], str]) -> str | NoKey:
    if name not in known:
        try:
            known[name] = find()
        except NoKey as error:
            known[name] = error
        except (AirflowAmlError, OSError) as error:
            known[name] = NoKey(f"cannot be looked at: {error}")
    return known[name]


def _content(pinned: PinnedDataset, facts: RunFacts) -> str:
    keep = facts.aside is None
    return content_of(pinned.definition, facts.home, facts.folder, keep=keep, aside=facts.aside)


def _kept(found: environment.Environment, facts: RunFacts) -> str:
    if facts.aside is None:
        return environment.keep(found, facts.home)
    digest = found.digest
    facts.aside.environments[digest] = found
    return digest


def _hash_paths(node: NodeSpec, facts: RunFacts) -> dict[str, str | None]:
    """v1's ``hash_paths``: relative to the source folder; what is missing is said, and counts."""
    result: dict[str, str | None] = {}
    for path in node.hash_paths:
        folder = Path(facts.folder, node.source_directory)
        found = digest_paths([path], folder)
        result[path] = None if found.missing else found.digest
        if found.missing:
            facts.warn(
                f"step {node.name!r}: hash_paths names {path!r}, which is not there: its paths"
                f" start at source_directory, which is {os.path.normpath(folder)}."
            )
    return result

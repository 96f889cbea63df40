"""Steps of one pipeline that leave something under one name: which of them has the last word.

v1 takes them all, and of those the one that ends last: where one waits for another, that is the
later one; where neither waits, it is left to chance.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Mapping, Sequence, Set

from airflow_aml.definition.spec import NodeSpec

AFTER = "after"
BESIDE = "beside"

Others = Dict[str, List[str]]
"""Ids of other steps: ``after`` one, directly or not, and ``beside`` it, which wait for neither."""


def sharing(nodes: Sequence[NodeSpec]) -> Dict[str, Dict[str, Others]]:
    """Node id -> name of a dataset that it registers and others do, too -> these others."""
    by_name: Dict[str, List[NodeSpec]] = {}
    for node in nodes:
        for name in dict.fromkeys(_registered(node)):
            by_name.setdefault(name, []).append(node)
    shared = {name: steps for name, steps in by_name.items() if len(steps) > 1}
    if not shared:
        return {}
    upstream = {node.id: node.upstream for node in nodes}
    found: Dict[str, Dict[str, Others]] = {}
    for name, steps in shared.items():
        before = {step.id: _before(step.id, upstream) for step in steps}
        for step in steps:
            others = [other.id for other in steps if other.id != step.id]
            found.setdefault(step.id, {})[name] = {
                AFTER: [other for other in others if step.id in before[other]],
                BESIDE: [
                    other
                    for other in others
                    if step.id not in before[other] and other not in before[step.id]
                ],
            }
    return found


def warnings_of(nodes: Sequence[NodeSpec]) -> Iterator[str]:
    """A sentence for each two steps that register one name while neither waits for the other."""
    names = {node.id: node.name for node in nodes}
    said: Set[str] = set()
    for step, shared in sharing(nodes).items():
        for name, others in shared.items():
            for other in others[BESIDE]:
                if other not in said:
                    yield (
                        f"steps {names[step]!r} and {names[other]!r} both register the dataset "
                        f"{name!r}, and neither waits for the other: which of the two versions "
                        "is the latest is left to chance. Order them with run_after, or give them "
                        "two names."
                    )
        said.add(step)


def _registered(node: NodeSpec) -> Iterator[str]:
    for output in node.outputs:
        for registration in output.registrations:
            yield registration.name


def _before(step: str, upstream: Mapping[str, Sequence[str]]) -> Set[str]:
    reached: Set[str] = set()
    waiting = [step]
    while waiting:
        for each in upstream[waiting.pop()]:
            if each not in reached:
                reached.add(each)
                waiting.append(each)
    return reached

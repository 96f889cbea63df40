"""From a pipeline's steps to an ordered, checked graph (reference 2.1, 2.2). No recursion."""

from __future__ import annotations

import heapq
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from airflow_aml.definition.outputs import OutputFileDatasetConfig, PipelineData
from airflow_aml.definition.parameters import PipelineParameter
from airflow_aml.definition.step import PipelineStep, StepSequence
from airflow_aml.errors import NotAStepError, PipelineDefinitionError


class Graph:
    """The steps of a pipeline in the author's order, and for each the steps it waits for.

    Args:
        steps: what ``Pipeline(steps=)`` was given.
        resolve_closure: add producers and predecessors that are not listed.

    Raises:
        PipelineDefinitionError: a producer is missing or doubled, parameters clash.
        NotAStepError: something in ``steps`` that cannot be a step.
    """

    def __init__(self, steps: Sequence[Any], resolve_closure: bool = True):
        if isinstance(steps, (StepSequence, PipelineStep, PipelineData)):
            steps = [steps]
        if not isinstance(steps, (list, tuple)):
            raise NotAStepError(f"Can not add object of type {type(steps)} to Pipeline.")
        sequenced: List[Tuple[PipelineStep, PipelineStep]] = []
        listed = _flatten(list(steps), sequenced)
        self.steps: List[PipelineStep] = _closure(listed, resolve_closure)
        self._index = {id(step): number for number, step in enumerate(self.steps)}
        self._check_producers()
        self.parameters = _parameters(self.steps)
        self.after: List[List[int]] = [[] for _ in self.steps]
        for before, later in sequenced:
            self._link(before, later)
        for step in self.steps:
            for before in step.predecessors:
                self._link(before, step)
        self.upstream: List[List[int]] = [
            list(dict.fromkeys([*self._producers(step), *self.after[number]]))
            for number, step in enumerate(self.steps)
        ]

    def number(self, step: PipelineStep) -> int:
        """The position of a step in :attr:`steps`."""
        return self._index[id(step)]

    def _link(self, before: PipelineStep, later: PipelineStep) -> None:
        before_number, after = self.number(before), self.after[self.number(later)]
        if before_number not in after:
            after.append(before_number)

    def _producers(self, step: PipelineStep) -> Iterable[int]:
        for port in step.ports.inputs:
            if port.producer is not None and port.producer.step is not None:
                yield self.number(port.producer.step)

    def _check_producers(self) -> None:
        owners: Dict[int, PipelineStep] = {}
        for step in self.steps:
            for port in step.ports.outputs:
                owner = owners.setdefault(id(port.data.producer), step)
                if owner is not step:
                    raise PipelineDefinitionError(
                        f"Step output {port.name} can not be used as an output for step "
                        f"{step.name}, as it is already an output of step {owner.name}.",
                        where=step.where,
                    )
        for step in self.steps:
            for read in step.ports.inputs:
                if read.producer is not None and id(read.producer) not in owners:
                    raise PipelineDefinitionError(
                        f"Input {read.name} on step {step.name} is not connected to any previous "
                        "step",
                        where=step.where,
                        hint="List it in the outputs of the step that writes it.",
                    )

    def order(self) -> List[int]:
        """Step numbers in topological order; where several could be next, the author's order.

        Raises:
            PipelineDefinitionError: there is a cycle; the text names its steps.
        """
        waiting = [len(before) for before in self.upstream]
        downstream: List[List[int]] = [[] for _ in self.steps]
        for number, before in enumerate(self.upstream):
            for each in before:
                downstream[each].append(number)
        ready = [number for number, count in enumerate(waiting) if count == 0]
        result: List[int] = []
        while ready:
            number = heapq.heappop(ready)
            result.append(number)
            for later in downstream[number]:
                waiting[later] -= 1
                if waiting[later] == 0:
                    heapq.heappush(ready, later)
        if len(result) < len(self.steps):
            cycle = self._cycle({n for n, count in enumerate(waiting) if count})
            names = " -> ".join(self.steps[number].name for number in cycle)
            raise PipelineDefinitionError(
                f"Cycle detected including node {self.steps[cycle[0]].name}: {names}",
                where=self.steps[cycle[0]].where,
            )
        return result

    def _cycle(self, stuck: Set[int]) -> List[int]:
        """One cycle among the steps that can never start, in running order."""
        number = min(stuck)
        seen: Dict[int, int] = {}
        path: List[int] = []
        while number not in seen:
            seen[number] = len(path)
            path.append(number)
            number = next(before for before in self.upstream[number] if before in stuck)
        cycle = path[seen[number] :][::-1]
        start = cycle.index(min(cycle))
        return [*cycle[start:], *cycle[: start + 1]]


def _flatten(
    steps: List[Any], sequenced: List[Tuple[PipelineStep, PipelineStep]]
) -> List[PipelineStep]:
    """All steps of nested lists and sequences, each once; sequences' edges go to ``sequenced``."""
    members: Dict[int, List[PipelineStep]] = {}
    kept: List[Any] = []  # keeps groups alive so that their ids stay theirs
    stack: List[Tuple[Any, bool]] = [(steps, False)]
    while stack:
        item, visited = stack.pop()
        parts = item.steps if isinstance(item, StepSequence) else item
        if isinstance(item, PipelineStep):
            members[id(item)] = [item]
        elif isinstance(item, PipelineData):
            members[id(item)] = [_producer_of(item)]
        elif not isinstance(item, (list, StepSequence)):
            raise NotAStepError(
                f"Can not add object of type {type(item)} to Pipeline.",
                hint="Call as_input() in the step that reads it."
                if isinstance(item, OutputFileDatasetConfig)
                else None,
            )
        elif not visited:
            stack.append((item, True))
            stack.extend((part, False) for part in reversed(parts))
        else:
            groups = [members[id(part)] for part in parts]
            if isinstance(item, StepSequence):
                filled = [group for group in groups if group]
                for before, later in zip(filled, filled[1:]):
                    sequenced.extend((b, a) for b in before for a in later)
            unique = {id(step): step for group in groups for step in group}
            members[id(item)] = list(unique.values())
        kept.append(item)
    return members[id(steps)]


def _producer_of(item: PipelineData) -> PipelineStep:
    if item.producer.step is None:
        raise PipelineDefinitionError(
            f"Cannot build graph as step output [{item.name}] does not have a producer. Please add "
            "to the outputs list of the step that produces it"
        )
    return item.producer.step


def _closure(listed: List[PipelineStep], resolve: bool) -> List[PipelineStep]:
    steps = {id(step): step for step in listed}
    pending = list(listed)
    while pending:
        step = pending.pop()
        wanted = [p.producer.step for p in step.ports.inputs if p.producer is not None]
        for before in [*wanted, *step.predecessors]:
            if before is None or id(before) in steps:
                continue
            if not resolve:
                raise PipelineDefinitionError(
                    f"step {step.name!r} needs step {before.name!r}, which is not in the "
                    "pipeline's steps, and resolve_closure is False.",
                    where=step.where,
                )
            steps[id(before)] = before
            pending.append(before)
    return list(steps.values())


def _parameters(steps: Iterable[PipelineStep]) -> List[PipelineParameter]:
    known: Dict[str, PipelineParameter] = {}
    for step in steps:
        for parameter in step.ports.parameters.values():
            first: Optional[PipelineParameter] = known.setdefault(parameter.name, parameter)
            if first is not None and first is not parameter and first.spec != parameter.spec:
                raise PipelineDefinitionError(
                    f"Graph already has pipeline parameter with same name {parameter.name} but "
                    f"different default values {first.default_value!r}, "
                    f"{parameter.default_value!r}",
                    where=step.where,
                )
    return list(known.values())

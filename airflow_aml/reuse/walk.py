"""The walk: which steps are done already, which have to run, and which depend on those.

One function with three callers: a run's first task asks for the whole pipeline, a step that has
finished asks for what is below it, the terminal asks without running anything.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.fingerprint import Fingerprint, NoKey, Outputs, complete
from airflow_aml.reuse.records import StepRecord, age

REUSE = "reuse"
RUN = "run"
DEPENDS = "depends"
PUBLISH = "publish"
"""What people read of a decision ``run`` that only puts an earlier result into place again."""

_CLOCKS_DIFFER = 300.0
"""So many seconds the clocks of two machines may be apart without anything being wrong."""


@dataclass(frozen=True, slots=True)
class WalkStep:
    """One step as the walk sees it.

    Attributes:
        id: the task id.
        name: v1's step name, for sentences.
        key: its template (:func:`~airflow_aml.reuse.fingerprint.key_template`).
        upstream: ids of all steps that it waits for, for data or not (``NodeSpec.upstream``).
        max_age: of a result that may be reused, in seconds; None: any age.
        pending: what has still to happen before its inputs are known, as in "depends on ...": for
            those who ask before a run has begun.
        registers: its outputs that are to become registered datasets, name -> the output as a
            document. It is no part of the key: a result that is there can be registered later.
        shared: names of datasets that other steps of the pipeline register, too
            (:func:`~airflow_aml.definition.overlaps.sharing`).
        asks: of inputs that a pipeline parameter chooses, that parameter and what it names. It is
            no part of the key either: what counts is what is there.
    """

    id: str
    name: str
    key: Mapping[str, Any]
    upstream: Sequence[str] = ()
    allow_reuse: bool = True
    max_age: float | None = None
    pending: str = ""
    registers: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the walk says of one step.

    Attributes:
        decision: ``reuse``, ``run`` or ``depends`` (on steps that have not finished).
        reason: one sentence without a full stop.
        fingerprint: where the key is complete.
        record: of the result to use. With the decision ``run`` the step has to start, publish that
            result again, and return it as reused.
        warnings: what was passed over on the way.
    """

    decision: str
    reason: str
    fingerprint: Fingerprint | None = None
    record: StepRecord | None = None
    warnings: tuple[str, ...] = ()

    @property
    def publishes(self) -> bool:
        """Whether the step has to start only to put its earlier result into place again."""
        return self.decision == RUN and self.record is not None

    @property
    def shown(self) -> str:
        """The decision as people read it: ``reuse``, ``publish``, ``run`` or ``depends``."""
        return PUBLISH if self.publishes else self.decision


class Records(Protocol):
    """Where records are found: :class:`~airflow_aml.reuse.index.Index`."""

    def find(self, fingerprint: str, warn: Callable[[str], None]) -> Iterable[StepRecord]:
        """Newest first; ``warn`` hears what was passed over."""


class Checks(Protocol):
    """What checks them: :class:`~airflow_aml.reuse.verify.Verifier`."""

    def wrong_with(self, record: StepRecord) -> str | None:
        """Why that result cannot be used."""


Why = Callable[[WalkStep, Fingerprint], str]
"""Says why there is no result for a key: :meth:`~airflow_aml.reuse.explain.Explainer.miss`."""

InPlace = Callable[[WalkStep, StepRecord], "str | None"]
"""Why a result has to be published again: :func:`~airflow_aml.reuse.effects.still_in_place`."""


@dataclass(frozen=True)
class Rules:
    """What holds for all steps of one walk.

    Attributes:
        regenerate: every step runs; nothing is looked up.
        failed: ids of steps that failed in this run.
        rejected: step-run ids whose records do not count: those of the run that was cleared.
        why: tells why a key has no result; without it the sentence is "no earlier result".
        in_place: tells why a result has to be published again.
        at: the moment that ages are measured at; None: now.
        now: gives a step the inputs that it has when the steps it waits for have finished.
    """

    regenerate: bool = False
    failed: Container[str] = ()
    rejected: Container[str] = ()
    why: Why | None = None
    in_place: InPlace | None = None
    at: datetime | None = None
    now: Callable[[WalkStep], WalkStep] | None = None


def walk(
    steps: Iterable[WalkStep],
    settled: Outputs,
    index: Records,
    verifier: Checks,
    rules: Rules = Rules(),
) -> dict[str, Decision]:
    """Decides the steps that are given, in their order.

    Args:
        steps: those to decide, in topological order: all of a pipeline, or the descendants of a
            step that has finished (:func:`below`).
        settled: steps that finished or were skipped in this run: id -> output name -> digest.
            They are not decided again. A predecessor that is neither settled nor a hit of this
            walk has still to finish.

    Returns:
        Step id -> decision, in the order of ``steps``.

    A step is a hit only when all its predecessors are settled, so it can be skipped at once; its
    outputs are then known to the steps below. What goes wrong with one record or one look-up is a
    reason to run the step.
    """
    steps = list(steps)
    names = names_of(steps)
    known: dict[str, Mapping[str, str]] = dict(settled)
    decisions: dict[str, Decision] = {}
    for step in steps:
        if step.id in settled:
            continue
        decision = _decide(step, known, index, verifier, rules, names)
        decisions[step.id] = decision
        if decision.decision == REUSE and decision.record is not None:
            known[step.id] = decision.record.digests
    return decisions


def names_of(steps: Sequence[WalkStep]) -> dict[str, str]:
    """Step id -> what sentences call it: the name that its author gave it, in quotes.

    Where several steps have one name it is the id.
    """
    named: dict[str, list[str]] = {}
    for step in steps:
        named.setdefault(step.name or step.id, []).append(step.id)
    return {
        each: repr(name if len(ids) == 1 else each) for name, ids in named.items() for each in ids
    }


def first_warnings(decisions: Mapping[str, Decision]) -> dict[str, str]:
    """Each warning with the id of the first step that it was heard at: it is said once."""
    found: dict[str, str] = {}
    for step_id, decision in decisions.items():
        for warning in decision.warnings:
            found.setdefault(warning, step_id)
    return found


def below(steps: Iterable[WalkStep], step_id: str) -> list[WalkStep]:
    """All steps that wait for one step, directly or not, in their order."""
    reached = {step_id}
    result = []
    for step in steps:
        if step.id != step_id and not reached.isdisjoint(step.upstream):
            reached.add(step.id)
            result.append(step)
    return result


def look_up(
    step: WalkStep,
    known: Outputs,
    index: Records,
    verifier: Checks,
    rules: Rules = Rules(),
    names: Mapping[str, str] = {},
) -> Decision:
    """``reuse`` or ``run`` for one step whose inputs are all there, whatever its policies are.

    A step without a plan decides by this, and so does one that has waited for another run.

    Args:
        names: what sentences call other steps (:func:`names_of`).
    """
    try:
        fingerprint = complete(step.key, known, names)
    except NoKey as error:
        return Decision(RUN, _bare(str(error)))
    warnings: list[str] = []
    wrong: str | None = None
    try:
        for record in index.find(fingerprint.digest, warnings.append):
            if record.step_run_id in rules.rejected:
                wrong = wrong or "its earlier result was set aside"
                continue
            problem = _too_old(step, record, rules.at) or verifier.wrong_with(record)
            if problem is None:
                return _hit(step, fingerprint, record, rules, tuple(warnings))
            wrong = wrong or problem
        reason = wrong or (warnings[0] if warnings else None)
        if reason is None:
            reason = rules.why(step, fingerprint) if rules.why else "no earlier result"
    except (AirflowAmlError, OSError) as error:
        reason = f"earlier results could not be looked up: {error}"
    return Decision(RUN, _bare(reason), fingerprint, None, tuple(warnings))


def _decide(
    step: WalkStep,
    known: Mapping[str, Mapping[str, str]],
    index: Records,
    verifier: Checks,
    rules: Rules,
    names: Mapping[str, str],
) -> Decision:
    if rules.regenerate:
        return Decision(RUN, "regenerate_outputs was asked for")
    if not step.allow_reuse:
        return Decision(RUN, "the author says allow_reuse=False")
    if step.pending:
        return Decision(DEPENDS, f"depends on {step.pending}")
    for sentence in step.key.get("unknown", ()):
        return Decision(RUN, _bare(str(sentence)))
    waits = [each for each in step.upstream if each not in known]
    if waits:
        return Decision(DEPENDS, _waiting(waits, rules, names))
    if rules.now is not None:
        step = rules.now(step)
    return look_up(step, known, index, verifier, rules, names)


def _waiting(waits: Sequence[str], rules: Rules, names: Mapping[str, str]) -> str:
    said = {each: names.get(each, repr(each)) for each in waits}
    for each in waits:
        if each in rules.failed:
            return f"step {said[each]}, which it waits for, has failed"
    return f"depends on {_listed(list(said.values()))}"


def _hit(
    step: WalkStep,
    fingerprint: Fingerprint,
    record: StepRecord,
    rules: Rules,
    warnings: tuple[str, ...],
) -> Decision:
    moved = rules.in_place(step, record) if rules.in_place else None
    if moved is not None:
        reason = f"nothing changed, but {_bare(moved)}: it is published again"
        return Decision(RUN, reason, fingerprint, record, warnings)
    reason = f"nothing changed since run {record.run_id!r} of {record.dag_id!r}"
    return Decision(REUSE, reason, fingerprint, record, warnings)


def _too_old(step: WalkStep, record: StepRecord, at: datetime | None) -> str | None:
    if step.max_age is None:
        return None
    seconds = age(record, at)
    if -_CLOCKS_DIFFER <= seconds <= step.max_age:
        return None
    most = _duration(step.max_age)
    if seconds < 0:
        ahead = f"the earlier result is dated {_duration(-seconds)} from now"
        return f"{ahead}, so its age is not known, and max_age is {most}"
    return f"the earlier result is {_duration(seconds)} old, and max_age is {most}"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {unit}{'' if number == '1' else 's'}"
    number = f"{seconds:.0f}"
    return f"{number} second{'' if number == '1' else 's'}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _bare(sentence: str) -> str:
    return sentence.rstrip().removesuffix(".")

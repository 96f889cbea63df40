"""The walk with everything that it needs of one workspace, for those who ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from airflow_aml.reuse.ahead import asked_ahead
from airflow_aml.reuse.effects import still_in_place
from airflow_aml.reuse.explain import Explainer
from airflow_aml.reuse.fingerprint import Outputs
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.verify import STAMP, Verifier
from airflow_aml.reuse.walk import RUN, Decision, Rules, WalkStep, look_up, walk

if TYPE_CHECKING:
    from airflow_aml.reuse.aside import Aside
    from airflow_aml.reuse.records import StepRecord
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.plans import PlannedStep


def decide(
    home: Home,
    dag_id: str,
    steps: Iterable[WalkStep],
    settled: Outputs | None = None,
    *,
    regenerate: bool = False,
    verify: str = STAMP,
    explain: bool = True,
    aside: Aside | None = None,
    experiment: str = "",
    now: Callable[[WalkStep], WalkStep] | None = None,
) -> dict[str, Decision]:
    """What the walk says of these steps. It never raises: who cannot decide lets steps run.

    Args:
        dag_id: whose earlier runs reasons are told from.
        settled: see :func:`~airflow_aml.reuse.walk.walk`.
        verify: how results are checked; see :class:`~airflow_aml.reuse.verify.Verifier`.
        explain: whether a miss is compared with earlier results to say what changed.
        aside: what reasons are told from beside the workspace.
        experiment: of the run that is decided.
        now: see :class:`~airflow_aml.reuse.walk.Rules`.
    """
    steps = list(steps)
    try:
        asked = home if regenerate else asked_ahead(home, dag_id, steps)
        index, verifier, rules = _asked(
            asked,
            dag_id,
            Verifier(asked, verify, experiment),
            regenerate=regenerate,
            explain=explain,
            aside=aside,
            now=now,
        )
        return walk(steps, settled or {}, index, verifier, rules)
    except Exception as error:  # noqa: BLE001 - a run never fails for a reason of reuse
        return {each.id: _undecided(error) for each in steps}


def decide_one(
    home: Home,
    dag_id: str,
    step: WalkStep,
    known: Outputs,
    rejected: Iterable[str] = (),
    *,
    explain: bool = True,
    experiment: str = "",
) -> Decision:
    """``reuse`` or ``run`` for a step whose inputs are all there. It never raises.

    Args:
        known: the outputs that it reads.
        rejected: step-run ids whose results do not count.
        explain, experiment: as in :func:`decide`.
    """
    try:
        verifier = Verifier(home, experiment=experiment)
        index, verifier, rules = _asked(
            home, dag_id, verifier, rejected=frozenset(rejected), explain=explain
        )
        return look_up(step, known, index, verifier, rules)
    except Exception as error:  # noqa: BLE001 - see above
        return _undecided(error)


def walk_step(step_id: str, planned: PlannedStep) -> WalkStep:
    """A step as the run's plan has it."""
    return WalkStep(
        step_id,
        planned.name,
        planned.key,
        planned.upstream,
        planned.allow_reuse,
        planned.max_age,
        registers=planned.registers,
        shared=planned.shared,
        asks=planned.asks,
    )


def duration(seconds: float) -> str:
    """A span of time for people: ``0.4 s``, ``41 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _asked(
    home: Home,
    dag_id: str,
    verifier: Verifier,
    *,
    regenerate: bool = False,
    rejected: frozenset[str] = frozenset(),
    explain: bool = True,
    aside: Aside | None = None,
    now: Callable[[WalkStep], WalkStep] | None = None,
) -> tuple[Index, Verifier, Rules]:
    index = Index(home)

    def in_place(step: WalkStep, record: StepRecord) -> str | None:
        return still_in_place(record, home, verifier.places, step.registers, step.shared)

    rules = Rules(
        regenerate=regenerate,
        rejected=rejected,
        why=Explainer(home, index, dag_id, aside=aside).miss if explain else None,
        in_place=in_place,
        now=now,
    )
    return index, verifier, rules


def _undecided(error: Exception) -> Decision:
    text = " ".join(str(error).split())
    return Decision(RUN, f"it could not be decided ({type(error).__name__}: {text})")


def digests(outputs: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Output name -> digest, of XCom references."""
    return {name: str(reference["digest"]) for name, reference in outputs.items()}

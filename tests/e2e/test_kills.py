"""kill -9 at each stage of a step, on a real Airflow: no wrong hit, and the next run completes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from airflow_aml.reuse.layout import ROOT
from airflow_aml.reuse.records import StepRecord
from airflow_aml.reuse.verify import CONTENT, Verifier
from scripts.local_airflow import LocalAirflow
from tests.e2e import killing
from tests.e2e.killing import STAGES, STEPS, ChainRun, Kill

FILES = 2000
AT_ONCE = 4
EACH_KIND_ONCE = [
    Kill("all", "committed"),
    Kill("task", "planned"),
    Kill("task", "started"),
    Kill("task", "written"),
    Kill("task", "committing"),
    Kill("task", "recorded"),
    Kill("script", "script"),
]
MANY_KILLS = 40

Round = Callable[..., str]


@pytest.fixture(scope="module")
def struck(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Runs the chain, kills something of it, runs it again, and looks at everything."""
    killing.know_chain(airflow, "chain")
    folder = tmp_path_factory.mktemp("kills")
    numbers = count(1)

    def play(what: Kill, pause: float = 0.0) -> str:
        notes = folder / f"round-{next(numbers)}"
        notes.mkdir()
        first = ChainRun(airflow, notes, FILES, pause=pause).begin()
        reached = killing.kill(first, what)
        state = first.end()
        second = ChainRun(airflow, notes, FILES, pause=pause).begin()
        assert second.end() == "success"
        # A script that ends by a signal has failed; everything else is tried again.
        assert state == ("failed" if what.victim == "script" else "success")
        whole = killing.undisturbed(notes, FILES, folder / f"alone-{notes.name}")
        for run in (first, second) if state == "success" else (second,):
            killing.outputs_are(run, whole)
        for run in (first, second):
            killing.nothing_is_left(run)
        ran = killing.executions(notes)
        statuses = [second.status(step) for step in STEPS]
        for step, status in zip(STEPS, statuses, strict=True):
            # A loaded machine may lose a try by itself.
            most = first.tries_of(step) + (second.tries_of(step) if status == "Finished" else 0)
            assert ran[step] <= most, ran
        return f"{what} (then {reached}): {state}, scripts ran {ran}, next run {statuses}"

    return play


@pytest.fixture(scope="module")
def rounds(struck: Round) -> Iterator[dict[Kill, Future[str]]]:
    """Each kind of kill, all at once; each test takes its own."""
    with ThreadPoolExecutor(len(EACH_KIND_ONCE)) as pool:
        yield {what: pool.submit(struck, what) for what in EACH_KIND_ONCE}


@pytest.mark.parametrize("what", EACH_KIND_ONCE, ids=str)
def test_killed(rounds: dict[Kill, Future[str]], what: Kill) -> None:
    """The run recovers or the next one does; files, manifests and references agree."""
    print(f"\n{rounds[what].result()}")


def test_killed_scheduler(rounds: dict[Kill, Future[str]], struck: Round) -> None:
    """A scheduler that is killed in a commit and started again takes nothing with it."""
    for each in rounds.values():
        each.exception()  # it takes from all of them

    print(f"\n{struck(Kill('scheduler', 'committing'))}")


def test_records_tell_the_truth(airflow: LocalAirflow, rounds: dict[Kill, Future[str]]) -> None:
    """After all of that every record names results that are there, byte for byte."""
    for each in rounds.values():
        each.exception()

    assert untrue_records(airflow) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_kills(airflow: LocalAirflow, struck: Round) -> None:
    """Every victim at every stage, then any of them at any, of any step."""
    victims = ("task", "supervisor", "all", "scheduler")
    kills = [Kill(victim, stage) for stage in STAGES for victim in victims]
    kills += [Kill("script", "script", step) for step in STEPS]
    chance = random.Random(MANY_KILLS)
    while len(kills) < MANY_KILLS:
        kills.append(Kill(*map(chance.choice, (victims[:3], STAGES[1:], STEPS))))
    alone = [each for each in kills if each.victim == "scheduler"]
    together = [each for each in kills if each.victim != "scheduler"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [*pool.map(lambda each: problem_of(struck, each), together)]
    wrong += [problem_of(struck, each) for each in alone]

    assert [each for each in wrong if each] == []
    assert untrue_records(airflow) == []


@pytest.mark.soak
def test_two_tries_at_once(airflow: LocalAirflow, struck: Round) -> None:
    """A scheduler that finds a step of the killed one's begins a second try beside the first."""
    told = struck(Kill("scheduler", "script"), pause=90.0)

    print(f"\n{told}")
    assert "'turn': 2" in told
    assert untrue_records(airflow) == []


def problem_of(struck: Round, what: Kill) -> str:
    """What went wrong in one round; empty if nothing did. Tells how it went."""
    try:
        print(f"\n{struck(what)}", flush=True)
    except (AssertionError, OSError, TimeoutError, RuntimeError) as error:
        print(f"\n{what} WENT WRONG: {error}", flush=True)
        return f"{what}: {error!r}"
    return ""


def untrue_records(airflow: LocalAirflow) -> list[str]:
    """What is wrong with records of the chain's steps, all bytes of their outputs read."""
    home = killing.open_home(str(airflow.home.workspace))
    verifier = Verifier(home, CONTENT)
    found = []
    for path in sorted(Path(home.path(ROOT)).glob("??/*/*.json")):
        record = StepRecord.from_bytes(path.read_bytes())
        wrong = verifier.wrong_with(record) if record.dag_id == "chain" else None
        found += [f"{path.name}: {wrong}"] if wrong else []
    return found

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_aml.definition.spec import OutputSpec
from airflow_aml.reuse import layout
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.records import StepRecord
from airflow_aml.reuse.verify import Verifier
from airflow_aml.reuse.walk import WalkStep, below, first_warnings
from airflow_aml.workspace.uris import path_of_uri
from tests.reuse.conftest import FACTS, World

EDITED = replace(FACTS, snapshot="sha256:edited")


def chain(world: World) -> World:
    world.step("prepare")
    world.step("train", reads=("prepare",))
    world.step("evaluate", reads=("train",))
    return world


def test_nothing_is_reused_the_first_time(world: World) -> None:
    """In an empty workspace the roots run and the rest depends on them."""
    chain(world)
    assert world.decisions() == {"prepare": "run", "train": "depends", "evaluate": "depends"}
    assert world.ask()["train"].reason == "depends on 'prepare'"


def test_sentences_call_a_step_by_its_authors_name(world: World) -> None:
    """Task ids are for Airflow; they stand in only where several steps have one name."""
    world.step("prepare_data")
    world.step("train", reads=("prepare_data",))
    world.nodes[0] = replace(world.nodes[0], name="Prepare data")
    assert world.ask()["train"].reason == "depends on 'Prepare data'"
    world.step("prepare_data_2")
    world.nodes[2] = replace(world.nodes[2], name="Prepare data")
    assert world.ask()["train"].reason == "depends on 'prepare_data'"
    failed = world.ask(failed={"prepare_data"})["train"].reason
    assert failed == "step 'prepare_data', which it waits for, has failed"


def test_an_unchanged_pipeline_is_reused_whole(world: World) -> None:
    """One walk finds all results, each through the digests of those above it."""
    chain(world).run()
    decisions = world.ask()
    assert {each.decision for each in decisions.values()} == {"reuse"}
    assert decisions["train"].reason == "nothing changed since run 'run-1' of 'dag'"
    assert decisions["train"].record is not None
    assert decisions["train"].record.task_id == "train"


def test_a_changed_step_runs_and_those_below_wait_for_its_bytes(world: World) -> None:
    """An edit in the middle: above it all is reused, below it nothing is known yet."""
    chain(world).run()
    world.facts["train"] = EDITED
    assert world.decisions() == {"prepare": "reuse", "train": "run", "evaluate": "depends"}


def test_the_same_bytes_from_a_changed_step_cut_off_what_is_below(world: World) -> None:
    """Early cut-off: after the changed step has finished, the walk goes on with what it wrote."""
    chain(world).run()
    world.facts["prepare"] = EDITED
    assert world.decisions()["train"] == "depends"
    wrote_the_same = {"prepare": world.run()["prepare"].digests}
    after = below(world.steps, "prepare")
    assert world.decisions(wrote_the_same, after) == {"train": "reuse", "evaluate": "reuse"}


def test_other_bytes_from_a_changed_step_are_not_cut_off(world: World) -> None:
    """What really changed below runs."""
    chain(world).run()
    settled = {"prepare": {"out": "sha256:something-else"}}
    assert world.decisions(settled) == {"train": "run", "evaluate": "depends"}


def test_a_hit_whose_control_predecessor_has_to_run_is_not_skipped_yet(world: World) -> None:
    """run_after counts: a step waits for one that runs although no data comes from it."""
    world.step("clean")
    world.step("load", after=("clean",))
    world.run()
    world.facts["clean"] = EDITED
    assert world.decisions() == {"clean": "run", "load": "depends"}
    assert world.decisions({"clean": {}}) == {"load": "reuse"}


def test_a_join_is_reused_only_when_both_arms_are_settled(world: World) -> None:
    """Of a diamond with one changed arm the join waits; with both arms settled it is a hit."""
    world.step("a")
    world.step("left", reads=("a",))
    world.step("right", reads=("a",))
    world.step("join", reads=("left", "right"))
    results = world.run()
    world.facts["left"] = EDITED
    decisions = world.ask()
    assert decisions["join"].reason == "depends on 'left'"
    assert decisions["right"].decision == "reuse"
    settled = {each: results[each].digests for each in ("a", "left", "right")}
    assert world.decisions(settled) == {"join": "reuse"}


def test_a_step_that_says_allow_reuse_false_always_runs(world: World) -> None:
    """It is never looked up, those below depend on it, and its own bytes may cut them off."""
    world.step("fetch", allow_reuse=False)
    world.step("use", reads=("fetch",))
    results = world.run()
    decisions = world.ask()
    assert decisions["fetch"].decision == "run"
    assert decisions["fetch"].reason == "the author says allow_reuse=False"
    assert decisions["use"].decision == "depends"
    assert world.decisions({"fetch": results["fetch"].digests}) == {"use": "reuse"}


def test_regenerate_looks_nothing_up(world: World) -> None:
    """regenerate_outputs runs every step, whatever there is."""
    chain(world).run()
    assert set(world.decisions(regenerate=True).values()) == {"run"}


def test_a_forced_run_can_be_reused_later(world: World) -> None:
    """What a regenerated run made is as good as anything, and newer."""
    world.step("prepare")
    first = world.run()["prepare"]
    world.runs += 1
    step = world.steps[0]
    fingerprint = world.ask()["prepare"].fingerprint
    assert fingerprint is not None
    second = world.execute(step, fingerprint, "made by prepare")
    assert world.ask()["prepare"].record == second != first


def test_a_step_below_a_failure_is_not_skipped(world: World) -> None:
    """A failed predecessor has no outputs, and nothing below it is called done."""
    chain(world).run()
    world.facts["prepare"] = EDITED
    decisions = world.ask(steps=below(world.steps, "prepare"), failed={"prepare"})
    assert decisions["train"].decision == "depends"
    assert "has failed" in decisions["train"].reason


def test_a_key_that_cannot_be_told_makes_the_step_run_and_says_why(world: World) -> None:
    """A step that reads a query runs in every run, and the reason names the query."""
    query = replace(FACTS, unknown={"q": "input 'q' is a query, whose answer may have changed."})
    world.step("read", facts=query)
    assert world.ask()["read"].decision == "run"
    assert world.ask()["read"].reason == "input 'q' is a query, whose answer may have changed"


def test_a_predecessor_without_the_output_makes_the_step_run(world: World) -> None:
    """A skipped task whose XCom is lost is a reason, not an error."""
    chain(world).run()
    decision = world.ask({"prepare": {}}, world.steps[1:2])["train"]
    assert decision.decision == "run"
    assert decision.reason == "input 'prepare': step 'prepare' left no output 'out' in this run"


def test_a_result_beyond_its_age_is_not_used(world: World) -> None:
    """max_age counts from when the result was made."""
    world.step("prepare", max_age=86400.0)
    world.run()
    assert world.decisions() == {"prepare": "reuse"}
    later = datetime.now(UTC) + timedelta(days=3)
    decision = world.ask(at=later)["prepare"]
    assert decision.decision == "run"
    assert decision.reason == "the earlier result is 3 days old, and max_age is 1 day"


def test_a_result_of_a_clock_that_was_set_back_has_no_age(world: World) -> None:
    """Where age counts it is not used, unless it is no more than clocks of machines differ."""
    world.step("prepare", max_age=1.0)
    world.run()
    before = datetime.now(UTC) - timedelta(days=3, seconds=1)
    decision = world.ask(at=before)["prepare"]
    assert decision.decision == "run"
    assert decision.reason == (
        "the earlier result is dated 3 days from now, so its age is not known, and max_age"
        " is 1 second"
    )
    assert world.decisions(at=datetime.now(UTC) - timedelta(minutes=2)) == {"prepare": "reuse"}


def test_a_cleared_step_does_not_find_its_own_record(world: World) -> None:
    """Airflow's Clear means "run this one": the run's own record does not count."""
    world.step("prepare")
    record = world.run()["prepare"]
    decision = world.ask(rejected={record.step_run_id})["prepare"]
    assert decision.decision == "run"
    assert decision.reason == "its earlier result was set aside"


def test_a_deleted_output_is_a_miss_and_heals_itself(world: World) -> None:
    """After an output was deleted by hand its step runs once, and then all is reused again."""
    chain(world)
    record = world.run()["prepare"]
    shutil.rmtree(path_of_uri(record.outputs["out"].uri))
    decision = world.ask()["prepare"]
    assert decision.decision == "run"
    assert decision.reason == "output 'out' of the earlier result was deleted"
    world.run()
    assert set(world.decisions().values()) == {"reuse"}


def test_an_older_result_that_is_whole_is_used_when_the_newest_is_not(world: World) -> None:
    """The newest record that verifies wins."""
    world.step("prepare")
    first = world.run()["prepare"]
    fingerprint = world.ask()["prepare"].fingerprint
    assert fingerprint is not None
    world.runs += 1
    second = world.execute(world.steps[0], fingerprint, "made by prepare")
    shutil.rmtree(path_of_uri(second.outputs["out"].uri))
    assert world.ask()["prepare"].record == first


def test_a_garbled_record_is_a_miss_with_a_warning(world: World) -> None:
    """A record that cannot be read makes its step run and is named; the walk goes on."""
    chain(world)
    record = world.run()["prepare"]
    path = layout.record(record.fingerprint, record.created, record.step_run_id)
    world.home.store.write(path, b"{")
    decision = world.ask()["prepare"]
    assert decision.decision == "run"
    assert path in decision.warnings[0]
    assert decision.warnings[0].endswith("'airflow-aml gc' removes it.")


def test_a_warning_is_said_once_for_all_steps_that_heard_it(world: World) -> None:
    """Two steps that are the same work look at one damaged record; the author reads of it once."""
    world.step("a")
    world.step("b")
    world.nodes[1] = replace(world.nodes[0], id="b")
    record = world.run()["a"]
    path = layout.record(record.fingerprint, record.created, record.step_run_id)
    world.home.store.write(path, b"{")
    decisions = world.ask()
    assert decisions["a"].warnings == decisions["b"].warnings
    assert list(first_warnings(decisions).values()) == ["a"]


def test_a_result_that_is_no_longer_in_place_is_published_again(world: World) -> None:
    """The step starts only to publish; those below wait for it and are then reused."""
    world.step("prepare")
    world.step("train", after=("prepare",))
    results = world.run()

    def in_place(step: WalkStep, record: StepRecord) -> str | None:
        return "'latest' of dataset 'd' is another's." if step.id == "prepare" else None

    decisions = world.ask(in_place=in_place)
    assert decisions["prepare"].decision == "run"
    assert decisions["prepare"].publishes
    assert decisions["prepare"].record == results["prepare"]
    assert "published again" in decisions["prepare"].reason
    assert decisions["train"].decision == "depends"


def test_a_renamed_pipeline_and_step_find_the_same_results(world: World) -> None:
    """Results belong to the workspace: the same work under other names is not done again."""
    chain(world).run()
    renamed = World(world.home, facts=world.facts, policies=world.policies)
    renamed.nodes = [replace(node, name=f"new {node.name}") for node in world.nodes]
    assert set(renamed.decisions().values()) == {"reuse"}


def test_steps_with_one_name_and_one_key_share_a_result(world: World) -> None:
    """Two steps that are the same work are decided each on its own and use the same record."""
    world.step("a")
    world.step("b")
    world.nodes[1] = replace(world.nodes[0], id="b")
    first = world.run()
    decisions = world.ask()
    assert decisions["a"].record == decisions["b"].record == first["a"]


def test_an_index_that_breaks_makes_steps_run(world: World) -> None:
    """A store that fails in the middle is a reason; the walk itself never fails."""
    world.step("prepare")
    world.run()
    folder = world.home.path("reuse")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    assert world.ask()["prepare"].decision == "run"


def test_below_names_all_that_wait_directly_or_not(world: World) -> None:
    """Descendants by data and by run_after, in their order, and nobody else."""
    world.step("a")
    world.step("b", reads=("a",))
    world.step("c", after=("b",))
    world.step("d")
    assert [each.id for each in below(world.steps, "a")] == ["b", "c"]


def test_a_chain_of_two_thousand_steps_is_walked_without_recursion(world: World) -> None:
    """Length costs time in proportion and no stack."""
    world.step("s0", outputs=())
    keys = world.steps[0].key
    steps = [
        WalkStep(f"s{n}", f"s{n}", {**keys, "script": f"{n}.py"}, (f"s{n - 1}",) if n else ())
        for n in range(2000)
    ]
    started = time.process_time()
    decisions = world.ask(steps=steps)
    assert time.process_time() - started < 2
    assert len(decisions) == 2000
    assert len(below(steps, "s0")) == 1999
    settled: dict[str, Any] = {"s0": {}}
    assert world.ask(settled, steps)["s1"].decision == "run"


def test_a_hundred_unchanged_steps_are_decided_at_once(world: World) -> None:
    """100 records are read and 100 outputs are checked in less than a tenth of a second of work."""
    for number in range(100):
        world.step(f"s{number}", reads=(f"s{number - 1}",) if number else ())
    world.run()
    steps, best = world.steps, 9.0
    for _ in range(5):
        started = time.process_time()
        decisions = world.ask(steps=steps)
        best = min(best, time.process_time() - started)
    assert {each.decision for each in decisions.values()} == {"reuse"}
    assert best < 0.1, f"{best * 1000:.0f} ms"
    print(f"100 steps in {best * 1000:.1f} ms")


def test_the_walk_is_imported_without_airflow_and_fsspec() -> None:
    """A terminal that asks what would run waits for neither."""
    program = (
        "import sys, airflow_aml.reuse.walk, airflow_aml.reuse.index, airflow_aml.reuse.verify\n"
        "assert not {'airflow', 'fsspec', 'airflow_aml.definition.spec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_output_that_the_author_renamed_is_other_work(world: World) -> None:
    """Another name of an output is another key, so no record lacks what its step promises."""
    world.step("prepare")
    world.run()
    world.nodes[0] = replace(world.nodes[0], outputs=(OutputSpec("other"),))
    assert world.decisions() == {"prepare": "run"}


@pytest.mark.parametrize("how", ["stamp", "content"])
def test_both_ways_of_checking_accept_what_is_unchanged(world: World, how: str) -> None:
    """The deep check takes longer and says the same."""
    chain(world).run()
    assert set(world.decisions(verifier=Verifier(world.home, how)).values()) == {"reuse"}
    assert next(Index(world.home).find("sha256:00"), None) is None

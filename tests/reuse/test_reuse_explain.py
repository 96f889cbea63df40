from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.definition.spec import (
    EnvironmentSpec,
    Files,
    InputSpec,
    NodeSpec,
    OutputSpec,
    ParameterRef,
    RunSettings,
    StepOutput,
    StoredPath,
    Text,
)
from airflow_aml.reuse import environment
from airflow_aml.reuse.environment import Environment
from airflow_aml.reuse.explain import Explainer, diff
from airflow_aml.reuse.files import keep_files
from airflow_aml.reuse.fingerprint import (
    ExternalInput,
    Fingerprint,
    KeyFacts,
    complete,
    key_template,
)
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.records import StepRecord
from airflow_aml.reuse.walk import WalkStep
from airflow_aml.workspace import snapshots
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.uris import uri_of_path
from tests.reuse.conftest import FACTS, World, record_of
from tests.reuse.test_reuse_verify import keep_manifest

NODE = NodeSpec(
    id="train",
    name="train",
    script_name="train.py",
    arguments=(Text("--lr"), ParameterRef("lr"), Text("--seed"), Text("7")),
    inputs=(InputSpec("raw", Files((StoredPath("", "raw/**"),))),),
    outputs=(OutputSpec("model"),),
    settings=RunSettings(environment_variables={"TOKEN": "secret"}),
)
BASE = KeyFacts(
    snapshot="sha256:51",
    environment="sha256:e1",
    parameters={"lr": 0.01},
    inputs={"raw": ExternalInput("sha256:d1")},
)


def key(node: NodeSpec = NODE, facts: KeyFacts = BASE) -> tuple[WalkStep, Fingerprint]:
    template = key_template(node, facts)
    fingerprint = complete(template, {"prepare": {"out": "sha256:p1"}})
    return WalkStep(node.id, node.name, template, node.upstream), fingerprint


class Story:
    """A step that ran once; :meth:`why` tells why it runs again."""

    def __init__(self, home: Home, place: Path) -> None:
        self.home = home
        self.place = place

    def ran(self, facts: KeyFacts = BASE, **more: Any) -> StepRecord:
        record = record_of(self.home, key(facts=facts)[1], {}, **more)
        Index(self.home).add(record)
        return record

    def why(self, node: NodeSpec = NODE, facts: KeyFacts = BASE, **options: Any) -> str:
        return Explainer(self.home, Index(self.home), "dag", **options).miss(*key(node, facts))

    def sources(self, **files: str | bytes) -> str:
        """The digest of a source folder with these files (``_`` stands for the dot)."""
        folder = self.place / f"src{len(list(self.place.glob('src*')))}"
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return snapshots.take(folder, self.home).digest


@pytest.fixture
def story(home: Home, tmp_path: Path) -> Story:
    return Story(home, tmp_path)


def test_a_step_that_never_ran_says_so(story: Story) -> None:
    """Nothing to compare with is a reason of its own."""
    assert story.why() == "no earlier result of this step"


def test_the_changed_script_is_named(story: Story) -> None:
    """One edited file in the source folder is the whole sentence."""
    story.ran(replace(BASE, snapshot=story.sources(train_py="a", util_py="b")))
    now = replace(BASE, snapshot=story.sources(train_py="c", util_py="b"))
    assert story.why(facts=now) == "train.py changed"


def test_many_changed_files_are_counted_and_the_script_comes_first(story: Story) -> None:
    """Three names at most; added and removed files are told apart from changed ones."""
    old = {f"{name}_py": "1" for name in ("a", "b", "c", "train", "gone")}
    new = {**{name: "2" for name in old if name != "gone_py"}, "pkg__new_py": "1"}
    story.ran(replace(BASE, snapshot=story.sources(**old)))
    now = replace(BASE, snapshot=story.sources(**new))
    said = "train.py, a.py, b.py and 1 more changed; pkg/new.py was added; gone.py was removed"
    assert story.why(facts=now) == said


def test_line_endings_alone_are_hinted_at(story: Story) -> None:
    """A checkout with other line endings is other bytes, and the reason says what happened."""
    story.ran(replace(BASE, snapshot=story.sources(train_py=b"a\nb\n")))
    now = replace(BASE, snapshot=story.sources(train_py=b"a\r\nb\r\n"))
    assert story.why(facts=now) == "train.py changed (line endings only)"


def test_a_snapshot_that_is_gone_is_no_obstacle(story: Story) -> None:
    """Without the old sources the sentence is less precise, and still there."""
    story.ran(replace(BASE, snapshot="sha256:gone"))
    assert story.why() == "the source folder changed"


def variant(**settings: Any) -> NodeSpec:
    return replace(NODE, settings=replace(NODE.settings, **settings))


SENTENCES: dict[str, tuple[NodeSpec, KeyFacts, str]] = {
    "parameter": (
        NODE,
        replace(BASE, parameters={"lr": 0.1}),
        "parameter 'lr' changed from 0.01 to 0.1",
    ),
    "type of a parameter": (
        NODE,
        replace(BASE, parameters={"lr": "0.01"}),
        "parameter 'lr' changed from 0.01 (float) to '0.01' (str)",
    ),
    "argument": (
        replace(NODE, arguments=(*NODE.arguments[:3], Text("8"))),
        BASE,
        "argument --seed changed from '7' to '8'",
    ),
    "order of arguments": (
        replace(NODE, arguments=(*NODE.arguments[2:], *NODE.arguments[:2])),
        BASE,
        "the order of the arguments changed",
    ),
    "new argument": (
        replace(NODE, arguments=(*NODE.arguments, Text("--fast"))),
        BASE,
        "the arguments changed: '--fast' is new",
    ),
    "params": (
        replace(NODE, parameters={"mode": Text("x")}),
        BASE,
        "parameter 'mode' is new ('x')",
    ),
    "input's content": (
        NODE,
        replace(BASE, inputs={"raw": ExternalInput("sha256:d2")}),
        "input 'raw' changed",
    ),
    "input's mode": (
        replace(NODE, inputs=(replace(NODE.inputs[0], mode="download"),)),
        BASE,
        "mode of input 'raw' changed from 'mount' to 'download'",
    ),
    "new input": (
        replace(NODE, inputs=(*NODE.inputs, InputSpec("p", StepOutput("prepare", "out")))),
        BASE,
        "input 'p' is new",
    ),
    "output": (
        replace(NODE, outputs=(OutputSpec("model", path="models"),)),
        BASE,
        "path of output 'model' is 'models' now, and was not set",
    ),
    "new output": (
        replace(NODE, outputs=(*NODE.outputs, OutputSpec("scores"))),
        BASE,
        "output 'scores' is new",
    ),
    "script": (
        replace(NODE, script_name="fit.py"),
        BASE,
        "the script is fit.py, and was train.py",
    ),
    "environment": (NODE, replace(BASE, environment="sha256:e2"), "the environment changed"),
    "variable": (
        variant(environment_variables={"TOKEN": "other"}),
        BASE,
        "environment variable 'TOKEN' changed",
    ),
    "asked": (
        variant(environment=EnvironmentSpec(pip_packages=("x",))),
        BASE,
        "the pip packages that the step asks for changed",
    ),
    "nodes": (variant(node_count=2), BASE, "node_count changed from 1 to 2"),
    "version": (
        replace(NODE, version="2"),
        BASE,
        "the step's version is '2' now, and was not set",
    ),
    "hash_paths": (
        NODE,
        replace(BASE, hash_paths={"c.yaml": "sha256:1"}),
        "c.yaml is new in hash_paths",
    ),
    "missing hash_paths": (
        NODE,
        replace(BASE, hash_paths={"c.yaml": None}),
        "c.yaml of hash_paths is not there",
    ),
    "scope": (NODE, replace(BASE, pipeline="dag"), "the scope of reuse changed"),
    "extra": (NODE, replace(BASE, extra=1), "the author's extra key material changed"),
    "nothing": (NODE, BASE, "the earlier result is not recorded any more"),
}


@pytest.mark.parametrize("change", SENTENCES)
def test_each_component_has_its_words(story: Story, change: str) -> None:
    """Every part of a key that may differ is named in words, with old and new where they help."""
    story.ran()
    node, facts, says = SENTENCES[change]
    assert story.why(node, facts) == says


def test_several_changes_are_joined_and_the_rest_counted(story: Story) -> None:
    """At most three reasons, what the author touched first."""
    story.ran()
    node = replace(
        NODE, version="2", settings=RunSettings(node_count=2), arguments=NODE.arguments[:2]
    )
    now = replace(BASE, parameters={"lr": 1.0}, environment="sha256:e2")
    assert story.why(node, now) == (
        "parameter 'lr' changed from 0.01 to 1.0; "
        "the arguments changed: '--seed' is gone, '7' is gone; "
        "the environment changed; and 3 more"
    )


def test_no_reason_shows_an_environment_variable_or_a_very_long_value(story: Story) -> None:
    """Sentences stand in logs: secrets are not in them, and novels are cut."""
    story.ran()
    said = story.why(variant(environment_variables={"TOKEN": "hunter2"}))
    assert "hunter2" not in said
    assert "secret" not in said
    said = story.why(facts=replace(BASE, parameters={"lr": "x" * 1000}))
    assert len(said) < 200


def test_the_package_that_changed_is_named(story: Story, home: Home) -> None:
    """Two environments of the workspace are compared package by package."""
    old = Environment("cpython", "3.11.7", {"scikit-learn": "1.4", "six": "1"})
    new = Environment("cpython", "3.12.1", {"scikit-learn": "1.5", "new": "2"})
    story.ran(replace(BASE, environment=environment.keep(old, home)))
    now = replace(BASE, environment=environment.keep(new, home))
    said = story.why(facts=now)
    assert said == (
        "Python changed from cpython 3.11.7 to cpython 3.12.1; package new was added (2); "
        "package scikit-learn changed from 1.4 to 1.5; and 1 more"
    )
    image = replace(BASE, environment=environment.keep(environment.of_image("sha256:i"), home))
    assert story.why(facts=image) == "the image changed from none to sha256:i"


def test_the_files_of_an_external_input_that_changed_are_named(story: Story, home: Home) -> None:
    """Their lists are kept by content, so a reason can say which of them differ."""
    files = [(f"data/{name}.csv", 3, f"sha256:{name}") for name in "abcde"]
    keep_files(home, "sha256:d1", files)
    keep_files(home, "sha256:d2", [(path, 4, f"{digest}x") for path, _, digest in files[:4]])
    keep_files(home, "sha256:d3", files[1:])
    story.ran()
    now = replace(BASE, inputs={"raw": ExternalInput("sha256:d2")})
    said = "input 'raw' changed: 5 files (data/a.csv, data/b.csv, data/c.csv, ...)"
    assert story.why(facts=now) == said
    now = replace(BASE, inputs={"raw": ExternalInput("sha256:d3")})
    assert story.why(facts=now) == "input 'raw' changed: 1 file (data/a.csv removed)"


def test_the_files_of_an_upstream_output_that_changed_are_named(world: World) -> None:
    """What a step above wrote differently is named by the manifests beside both outputs."""
    world.step("prepare")
    world.step("train", reads=("prepare",))
    first = world.run()
    world.facts["prepare"] = replace(FACTS, snapshot="sha256:52")
    step = world.steps[0]
    decision = world.ask()["prepare"]
    assert decision.fingerprint is not None
    world.runs += 1
    second = world.execute(step, decision.fingerprint, "other content")
    for record in (first["prepare"], second):
        keep_manifest(world.home, Path(record.outputs["out"].uri.removeprefix("file://")))
    old = replace(first["train"], inputs={"prepare": first["prepare"].outputs["out"].uri})
    Index(world.home).add(replace(old, created="2126-01-01T00:00:00.000000+00:00"))
    explainer = Explainer(world.home, Index(world.home), "dag")
    decisions = world.ask({"prepare": second.digests}, why=explainer.miss)
    assert decisions["train"].reason == "input 'prepare' changed: 1 file (part.txt)"


def test_who_asks_may_search_for_the_most_similar_step(story: Story) -> None:
    """A step in a new DAG is compared with the one that it is most like."""
    story.ran(replace(BASE, snapshot="sha256:far", environment="sha256:e9"), dag_id="far")
    story.ran(dag_id="near", task_id="fit", step="Fit it", step_run_id="s-2")
    now = replace(BASE, parameters={"lr": 0.1})
    assert story.why(facts=now) == "no earlier result of this step"
    assert story.why(facts=now, search=True) == (
        "no earlier result of this step; it is like 'Fit it' of 'near', "
        "but parameter 'lr' changed from 0.01 to 0.1"
    )


@pytest.mark.parametrize(
    "broken", [{}, {"arguments": 5}, {"inputs": [1]}, {"params": {"a": 1}}, {"hash_paths": 3}]
)
def test_an_odd_record_never_stops_a_run(story: Story, broken: dict[str, Any]) -> None:
    """Whatever an earlier record holds, a miss has a sentence."""
    record = story.ran()
    Index(story.home).add(replace(record, key=broken))
    assert isinstance(story.why(), str)


def test_the_diff_of_two_executions_is_a_unified_diff(story: Story) -> None:
    """What airflow-aml explain prints: changed, added and removed text; binary files are named."""
    before = story.sources(train_py="a\nb\nc", gone_py="x\n", data_bin=b"\0\1")
    after = story.sources(train_py="a\nB\nc", new_py="y\n", data_bin=b"\0\2")
    old = story.ran(replace(BASE, snapshot=before))
    new = story.ran(replace(BASE, snapshot=after))
    text = diff(old, new, story.home)
    assert "--- a/train.py\n+++ b/train.py\n" in text
    assert "-b\n+B\n" in text
    assert "-x\n" in text
    assert "+y\n" in text
    assert "Binary files a/data.bin and b/data.bin differ\n" in text
    assert diff(old, old, story.home) == ""
    with pytest.raises(FileNotFoundError):
        diff(story.ran(replace(BASE, snapshot="sha256:gone")), new, story.home)


def test_an_input_list_is_kept_once_and_a_damaged_one_is_no_obstacle(story: Story) -> None:
    """A list that cannot be read makes the sentence shorter."""
    keep_files(story.home, "sha256:d1", [("a", 1, "sha256:1")])
    story.home.store.write("reuse/v1/inputs/sha256-d2.json", json.dumps({"version": 9}).encode())
    story.ran()
    now = replace(BASE, inputs={"raw": ExternalInput("sha256:d2")})
    assert story.why(facts=now) == "input 'raw' changed"
    assert uri_of_path("/x") == "file:///x"

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_aml.codec import encode
from airflow_aml.definition.spec import (
    EnvironmentSpec,
    Files,
    InputRef,
    InputSpec,
    NodeSpec,
    OutputRef,
    OutputSpec,
    ParameterRef,
    PipelineSpec,
    Query,
    Reading,
    Registration,
    RunSettings,
    StepOutput,
    StoredPath,
    Table,
    Text,
)
from airflow_aml.reuse.fingerprint import (
    ExternalInput,
    KeyFacts,
    NoKey,
    complete,
    digest_of,
    key_template,
    unknowable,
)

RAW = Files((StoredPath("", "raw/**"),))
NODE = NodeSpec(
    id="train",
    name="train",
    script_name="train.py",
    arguments=(
        Text("--data"),
        InputRef("raw"),
        Text("--lr"),
        ParameterRef("lr"),
        Text("--model"),
        OutputRef("model"),
    ),
    inputs=(InputSpec("raw", RAW), InputSpec("prepared", StepOutput("prepare", "out"))),
    outputs=(OutputSpec("model"),),
    settings=RunSettings(environment_variables={"TOKEN": "secret"}),
)
FACTS = KeyFacts(
    snapshot="sha256:51",
    environment="sha256:e1",
    parameters={"lr": 0.1},
    inputs={"raw": ExternalInput("sha256:d1", encode(RAW))},
)
OUTPUTS = {"prepare": {"out": "sha256:01"}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def digest(node: NodeSpec = NODE, facts: KeyFacts = FACTS, outputs: Any = OUTPUTS) -> str:
    template = json.loads(json.dumps(key_template(node, facts)))
    return complete(template, outputs).digest


def same_value(one: Any, other: Any) -> bool:
    """Equality that tells 1, 1.0 and True apart, -0.0 from 0.0, and takes NaN as itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one.hex() == other.hex()
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_value(one[k], other[k]) for k in one)
    return bool(one == other)


def test_the_digest_of_a_key_is_the_same_in_every_release() -> None:
    """A golden digest: if it changes, every result of every user is computed again."""
    assert digest() == GOLDEN
    assert len(complete(key_template(NODE, FACTS), OUTPUTS).short) == 12


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "beaa54cf8b07159a57cc7e1a95c6815553320d76598328bc1870bd6f15f612e1"),
        (1, "4c648f26f905cb72058c0230239377e5b447964b230d9f67e544e997a9564491"),
        (0.1, "593accd3b716d6d40c135bd064c1f549d8f5e502e99f57a884a25174b8de3729"),
        (
            {"b": ["é", True], "a": math.nan},
            "1bfc70ccd6d04dc081d101d5678962958960483c09768aa8e0bda0b932f3bbe8",
        ),
    ],
)
def test_the_encoding_of_values_is_the_same_in_every_release(value: Any, expected: str) -> None:
    """Golden digests pin the encoding of single values."""
    assert digest_of(value) == f"sha256:{expected}"


def test_one_is_not_one_point_nought_nor_text_nor_true() -> None:
    """Values that are equal in Python and differ as arguments give different keys."""
    values = [1, 1.0, "1", True, "True", None, "None", "", 0, 0.0, -0.0, False, [], {}, [1], ["1"]]
    assert len({digest_of(value) for value in values}) == len(values)
    with_values = [replace(FACTS, parameters={"lr": each}) for each in (1, 1.0, "1", True)]
    assert len({digest(facts=facts) for facts in with_values}) == 4


@given(JSON, JSON)
def test_different_values_have_different_encodings(one: Any, other: Any) -> None:
    """Two values share a digest exactly if they are the same value in the same types."""
    assert (digest_of(one) == digest_of(other)) == same_value(one, other)


@given(JSON)
def test_a_key_survives_its_document(value: Any) -> None:
    """What was written to plan.json and read again has the same digest."""
    assert digest_of(json.loads(json.dumps(value))) == digest_of(value)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.randoms())
def test_the_order_of_names_does_not_count(value: dict[str, Any], random: Any) -> None:
    """A dict has the same digest in whatever order it was filled."""
    items = list(value.items())
    random.shuffle(items)
    assert digest_of(dict(items)) == digest_of(value)


@given(st.lists(st.text(), min_size=2, max_size=5, unique=True))
def test_the_order_of_arguments_counts(texts: list[str]) -> None:
    """The same arguments in another order are another command line."""
    node = replace(NODE, arguments=tuple(map(Text, texts)))
    turned = replace(NODE, arguments=tuple(map(Text, texts[::-1])))
    assert digest(node) != digest(turned)


def test_nesting_is_unambiguous() -> None:
    """No two nestings of the same texts share a digest."""
    values = [["ab"], ["a", "b"], [["a"], "b"], ["a", ["b"]], [["a", "b"]], {"a": "b"}, "ab"]
    assert len({digest_of(value) for value in values}) == len(values)


def test_half_a_surrogate_is_a_text_like_any_other() -> None:
    """An argument that is not proper Unicode has a key too."""
    assert digest_of("\ud800") != digest_of("\ud801")


CHANGES: dict[str, tuple[NodeSpec, KeyFacts, Any]] = {
    "script": (replace(NODE, script_name="other.py"), FACTS, OUTPUTS),
    "source folder": (NODE, replace(FACTS, snapshot="sha256:52"), OUTPUTS),
    "parameter": (NODE, replace(FACTS, parameters={"lr": 0.2}), OUTPUTS),
    "argument": (replace(NODE, arguments=NODE.arguments[2:]), FACTS, OUTPUTS),
    "input content": (
        NODE,
        replace(FACTS, inputs={"raw": ExternalInput("sha256:d2", encode(RAW))}),
        OUTPUTS,
    ),
    "upstream content": (NODE, FACTS, {"prepare": {"out": "sha256:02"}}),
    "how an input is read": (
        NODE,
        replace(FACTS, inputs={"raw": ExternalInput("sha256:d1", encode(Table(RAW.paths)))}),
        OUTPUTS,
    ),
    "mode of an input": (
        replace(NODE, inputs=(replace(NODE.inputs[0], mode="download"), NODE.inputs[1])),
        FACTS,
        OUTPUTS,
    ),
    "reading of a step's output": (
        replace(
            NODE,
            inputs=(
                NODE.inputs[0],
                InputSpec("prepared", StepOutput("prepare", "out", Reading())),
            ),
        ),
        FACTS,
        OUTPUTS,
    ),
    "destination": (
        replace(NODE, outputs=(OutputSpec("model", path="models/{run-id}"),)),
        FACTS,
        OUTPUTS,
    ),
    "environment": (NODE, replace(FACTS, environment="sha256:e2"), OUTPUTS),
    "environment variable": (
        replace(NODE, settings=RunSettings(environment_variables={"TOKEN": "other"})),
        FACTS,
        OUTPUTS,
    ),
    "packages asked for": (
        replace(
            NODE,
            settings=replace(
                NODE.settings, environment=EnvironmentSpec(pip_packages=("scikit-learn==1.5",))
            ),
        ),
        FACTS,
        OUTPUTS,
    ),
    "number of nodes": (
        replace(NODE, settings=replace(NODE.settings, node_count=2)),
        FACTS,
        OUTPUTS,
    ),
    "version": (replace(NODE, version="2"), FACTS, OUTPUTS),
    "params": (replace(NODE, parameters={"lr": ParameterRef("lr")}), FACTS, OUTPUTS),
    "hash_paths": (NODE, replace(FACTS, hash_paths={"c.yaml": "sha256:c1"}), OUTPUTS),
    "missing hash_paths": (NODE, replace(FACTS, hash_paths={"c.yaml": None}), OUTPUTS),
    "scope": (NODE, replace(FACTS, pipeline="dag"), OUTPUTS),
    "extra": (NODE, replace(FACTS, extra={"salt": 1}), OUTPUTS),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_a_result_changes_the_key(change: str) -> None:
    """Each thing that may change a step's result changes its key."""
    assert digest(*CHANGES[change]) != digest()


def test_no_two_changes_give_the_same_key() -> None:
    """Different changes are different keys."""
    assert len({digest(*change) for change in CHANGES.values()}) == len(CHANGES)


@pytest.mark.parametrize(
    "node",
    [
        replace(NODE, id="x", name="another name"),
        replace(NODE, compute="cluster", after=("other",)),
        replace(NODE, allow_reuse=False),
        replace(NODE, inputs=NODE.inputs[::-1]),
        replace(NODE, outputs=(OutputSpec("model", registrations=(Registration("m"),)),)),
        replace(NODE, source_directory="/home/somebody/src", declared_source=False),
        replace(
            NODE,
            settings=replace(
                NODE.settings,
                max_run_seconds=60.0,
                environment=EnvironmentSpec(name="mine", interpreter="/usr/bin/python3"),
            ),
        ),
    ],
)
def test_names_places_and_limits_do_not_count(node: NodeSpec) -> None:
    """A renamed step on another compute, in another checkout, is the same work."""
    assert digest(node) == digest()


def test_where_a_step_reads_from_does_not_count_but_what_it_reads_does() -> None:
    """An upstream step that was renamed and left the same bytes gives the same key."""
    renamed = replace(NODE, inputs=(NODE.inputs[0], InputSpec("prepared", StepOutput("p2", "o"))))
    assert digest(renamed, outputs={"p2": {"o": "sha256:01"}}) == digest()


def test_an_absolute_hash_path_counts_by_its_last_part() -> None:
    """The same extra file in another checkout does not change the key."""
    here = replace(FACTS, hash_paths={"/home/a/config.yaml": "sha256:c1"})
    there = replace(FACTS, hash_paths={"/mnt/b/config.yaml": "sha256:c1"})
    assert digest(facts=here) == digest(facts=there) != digest()


def test_secrets_in_environment_variables_are_not_kept() -> None:
    """A key that lies in the workspace for years holds no environment variable's value."""
    assert "secret" not in json.dumps(key_template(NODE, FACTS))


@pytest.mark.parametrize("ignored", ["--verbose", "--workers"])
def test_an_ignored_flag_does_not_count(ignored: str) -> None:
    """A flag that the author ignores may come, go, and have any value."""
    facts = replace(FACTS, ignored=(ignored,))
    arguments = [
        NODE.arguments,
        (*NODE.arguments, Text(ignored), Text("4")),
        (Text(ignored), Text("-8"), *NODE.arguments),
        (*NODE.arguments, Text(f"{ignored}=2")),
        (*NODE.arguments, Text(ignored)),
        (Text(ignored), *NODE.arguments),
    ]
    assert len({digest(replace(NODE, arguments=each), facts) for each in arguments}) == 1


def test_an_ignored_parameter_may_have_any_value() -> None:
    """A pipeline parameter that the author ignores does not change the key."""
    ignored = replace(FACTS, ignored=("lr",))
    other = replace(ignored, parameters={"lr": 5})
    assert digest(facts=ignored) == digest(facts=other) != digest()


@pytest.mark.parametrize(
    ("facts", "outputs", "says"),
    [
        (replace(FACTS, inputs={}), OUTPUTS, "content of input 'raw'"),
        (replace(FACTS, parameters={}), OUTPUTS, "no parameter 'lr'"),
        (FACTS, {}, "left no output 'out'"),
        (replace(FACTS, extra={"when": {1, 2}}), OUTPUTS, "set is not JSON"),
        (replace(FACTS, unknown={"raw": "input 'raw' is a query."}), OUTPUTS, "is a query"),
    ],
)
def test_a_key_that_cannot_be_told_says_why(facts: KeyFacts, outputs: Any, says: str) -> None:
    """Nothing is guessed: what is missing is named."""
    with pytest.raises(NoKey, match=says):
        complete(key_template(NODE, facts), outputs)


def test_queries_and_handed_on_datasets_cannot_be_known() -> None:
    """A database's answer and a linked dataset's data are named as what they are."""
    maker = NodeSpec("a", "a", "a.py", outputs=(OutputSpec("out", link=True),))
    reader = NodeSpec(
        "b",
        "b",
        "b.py",
        inputs=(
            InputSpec("q", Query("db", "select 1")),
            InputSpec("l", StepOutput("a", "out")),
            InputSpec("raw", RAW),
        ),
    )
    found = unknowable(PipelineSpec((maker, reader)))
    assert set(found) == {"b"}
    assert set(found["b"]) == {"q", "l"}


GOLDEN = "sha256:1e76db119703d13be5744f628b346398923be354db6bd20cf19f9328a5f6f382"

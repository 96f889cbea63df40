"""What clients send as values of parameters, over REST and to what is published."""

from __future__ import annotations

import pytest

from airflow_aml.definition.spec import ParameterSpec
from airflow_aml.definition.values import from_texts, warned

SPECS = [
    ParameterSpec("rate", "number", 0.1),
    ParameterSpec("count", "integer", 1),
    ParameterSpec("name", "string", "none"),
    ParameterSpec("on", "boolean", False),
]


@pytest.mark.parametrize(
    "given",
    [
        {"rate": 2.0, "count": 3, "name": "7", "on": True},
        {"rate": "2", "count": "3", "name": "7", "on": "True"},
        {"rate": 2, "count": 3.0, "name": 7, "on": "1", "other": 5},
    ],
)
def test_values_of_each_type_are_taken_as_texts_too(given):
    """Whichever way it is sent, a value has its parameter's type; other names are left out."""
    values, wrong = from_texts(SPECS, given)

    assert (values, wrong) == ({"rate": 2.0, "count": 3, "name": "7", "on": True}, [])
    assert [type(each) for each in values.values()] == [float, int, str, bool]


@pytest.mark.parametrize(
    "given",
    [
        {"rate": "fast", "count": "1.5", "on": "maybe"},
        {"rate": True, "count": 1.5, "on": 1},
        {"rate": "nan", "count": True, "on": ""},
        {"rate": [1], "count": {}, "on": None},
    ],
)
def test_all_that_is_wrong_is_told_at_once(given):
    """One sentence for each value that its parameter cannot have; those that can be are kept."""
    values, wrong = from_texts(SPECS, {**given, "name": "kept"})

    assert values == {"name": "kept"}
    told = zip(given, wrong, strict=True)
    assert all(f"the pipeline parameter {name} is" in sentence for name, sentence in told)


@pytest.mark.parametrize("said", [None, 5, "text", {"a": 1}])
def test_warnings_of_a_client_are_a_list_of_texts(said):
    """Whatever stands in a run's conf, its first task has only lines to log."""
    assert warned({"warnings": said}) == []
    assert warned({"warnings": ["a", 1]}) == ["a", "1"]

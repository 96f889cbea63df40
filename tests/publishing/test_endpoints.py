"""An endpoint keeps its name and address while the pipelines behind it change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_aml import Experiment, PipelineEndpoint, PublishedPipeline, Workspace
from airflow_aml.errors import ErrorResponseException, PipelineDefinitionError, UserErrorException


def test_versions_are_numbered_as_they_come(pipeline):
    """The first is "0" and the default; add_default moves it, set_default_version moves it back."""
    ws = Workspace()
    first, second, third = (pipeline.publish(name) for name in "abc")
    endpoint = PipelineEndpoint.publish(ws, name="scoring", description="d", pipeline=first)

    endpoint.add(second)
    endpoint.add_default(third)

    found = PipelineEndpoint.get(ws, name="scoring")
    assert (found.id, found.description, found.status) == (endpoint.id, "d", "Active")
    assert (found.list_versions(), found.default_version) == (["0", "1", "2"], "2")
    assert found.get_pipeline().id == third.id
    assert found.get_pipeline("1").id == second.id
    found.set_default_version("0")
    assert endpoint.get_default_version() == "0"
    endpoint.set_default(second)
    assert found.get_pipeline().id == second.id
    second.disable()
    assert [each.id for each in found.list_pipelines()] == [first.id, third.id]


def test_a_pipeline_is_published_on_its_way_into_an_endpoint(pipeline):
    """A Pipeline gets a name that tells where it is from and when."""
    endpoint = PipelineEndpoint.publish(Workspace(), "scoring", "", pipeline)

    (made,) = PublishedPipeline.list(Workspace())

    assert made.name.startswith("scoring-")
    assert made.name.endswith("-Pipeline")
    assert endpoint.get_pipeline().id == made.id


def test_a_name_belongs_to_one_endpoint(pipeline):
    """It is free again once its endpoint is archived, and can be given back."""
    ws, made = Workspace(), pipeline.publish("p")
    first = PipelineEndpoint.publish(ws, "scoring", "first", made)
    with pytest.raises(ValueError, match="already exists with the given name"):
        PipelineEndpoint.publish(ws, "scoring", "second", made)

    first.archive()
    second = PipelineEndpoint.publish(ws, "scoring", "second", made)
    with pytest.raises(ValueError, match="already exists"):
        first.reactivate("scoring")
    first.reactivate("scoring-old")

    assert PipelineEndpoint.get(ws, name="scoring").id == second.id
    assert {each.name for each in PipelineEndpoint.list(ws)} == {"scoring", "scoring-old"}
    assert len(PipelineEndpoint.list(ws, max_results=1)) == 1


def test_two_clients_with_one_name_at_once(pipeline):
    """One of them gets the name, the others are told; no version added at once is lost."""
    ws = Workspace()
    made = [pipeline.publish(str(number)) for number in range(6)]

    def publish(each):
        try:
            return PipelineEndpoint.publish(ws, "one", "", each)
        except PipelineDefinitionError:
            return None

    with ThreadPoolExecutor(6) as threads:
        (endpoint,) = filter(None, threads.map(publish, made))
        others = [each for each in made if each.id != endpoint.get_pipeline().id]
        versions = list(threads.map(endpoint.add, others))

    assert [each.id for each in PipelineEndpoint.list(ws)] == [endpoint.id]
    assert sorted(versions) == ["1", "2", "3", "4", "5"]


def test_many_enable_and_disable_at_once(pipeline):
    """Nobody's call is broken by another's, and what is said last holds."""
    ws, made = Workspace(), pipeline.publish("p")
    endpoint = PipelineEndpoint.publish(ws, "scoring", "", made)

    def turn(number):
        for _ in range(20):
            for each in (made, endpoint):
                each.disable() if number % 2 else each.enable()
            assert len(PipelineEndpoint.list(ws)) <= 1
            assert len(PublishedPipeline.list(ws)) <= 1

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(turn, range(6)))

    for each in (made, endpoint):
        each.enable()
        assert each.status == "Active"
        each.disable()
        assert each.status == "Disabled"


def test_what_an_endpoint_refuses(pipeline):
    """A version that is none, a pipeline that is there already, a run while it is disabled."""
    ws, made = Workspace(), pipeline.publish("p")
    endpoint = PipelineEndpoint.publish(ws, "scoring", "", made)

    with pytest.raises(ValueError, match=r"no version 0\. Its versions, which are texts: '0'"):
        endpoint.set_default_version(0)
    with pytest.raises(ValueError, match="in this endpoint already"):
        endpoint.add(made)
    with pytest.raises(ValueError, match="either type Pipeline or PublishedPipeline, not str"):
        endpoint.add("p")
    with pytest.raises(ValueError, match="either id or name"):
        PipelineEndpoint.get(ws)
    with pytest.raises(ErrorResponseException, match=r"endpoint named 'scorin'\. Is it 'scoring'"):
        PipelineEndpoint.get(ws, name="scorin")
    with pytest.raises(ErrorResponseException, match="no pipeline endpoint with the id 'x'"):
        PipelineEndpoint.get(ws, id="x")
    endpoint.disable()
    assert PipelineEndpoint.list(ws) == []
    with pytest.raises(UserErrorException, match="Status must be Active, its Disabled"):
        endpoint.submit("experiment")
    endpoint.enable()
    made.disable()
    with pytest.raises(UserErrorException, match="is disabled"):
        endpoint.submit("experiment", pipeline_version="0")
    with pytest.raises(UserErrorException, match="is disabled"):
        Experiment(ws, "experiment").submit(endpoint, pipeline_version="0")
    with pytest.raises(PipelineDefinitionError, match="there is no version '7'"):
        Experiment(ws, "experiment").submit(endpoint, pipeline_version="7")
    with pytest.raises(UserErrorException, match="tags= takes a dict, not 'x'"):
        Experiment(ws, "experiment").submit(endpoint, tags="x")

"""Whatever is sent to v1's REST API, by its own OpenAPI document or against it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from airflow_aml import PipelineEndpoint, Workspace

CALLS = [
    ("POST", "PipelineSubmit/{pipeline_id}"),
    ("POST", "PipelineEndpointSubmit/Id/{endpoint_id}"),
    ("POST", "PipelineEndpointSubmit/Name"),
    ("GET", "Pipeline/{pipeline_id}"),
    ("GET", "{run_id}"),
    ("DELETE", "{run_id}/Execution"),
]
PROMISED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
WORKSPACE = {"subscription": "-", "group": "-", "workspace": "default"}
AIMED = {
    "ParameterAssignments": "rate",
    "DataPathAssignments": "raw",
    "DataSetDefinitionValueAssignments": "sales",
}
TRIED = settings(
    max_examples=20, database=None, suppress_health_check=[*HealthCheck], derandomize=True
)


@pytest.fixture
def described(api, call):
    """The API, as its own document describes it."""
    document = call("GET", "/aml/openapi.json").json()
    return schemathesis.openapi.from_dict(document)


@pytest.fixture
def known(reading, call):
    """Ids of what there is."""
    endpoint = PipelineEndpoint.publish(Workspace(), "scoring", "", reading)
    run = call("POST", reading.endpoint, json={"ExperimentName": "e"}).json()
    return {"pipeline_id": reading.id, "endpoint_id": endpoint.id, "run_id": run["Id"]}


def sent(call, case, **options):
    """The answer to a case; values that it assigns are those of parameters that there are."""
    body = case.body
    for key, name in AIMED.items() if isinstance(body, dict) else ():
        if isinstance(body.get(key), dict) and body[key]:
            body[key][name] = next(iter(body[key].values()))
    request = case.as_transport_kwargs(base_url="http://here/aml")
    request.pop("cookies", None)
    data = request.pop("data", None)
    if data is not None:
        request["content"] = data
    return call(request.pop("method"), request.pop("url"), **request, **options)


def operation(described, method, ending):
    """The operation of that address."""
    (path,) = [each for each in described if each.endswith(f"/PipelineRuns/{ending}")]
    return described[path][method]


def there(known, ending):
    """What is to be in the address so that it is of something."""
    fixed = {"path_parameters": {**WORKSPACE, **known}}
    return {**fixed, "query": {"name": "scoring"}} if ending.endswith("Name") else fixed


@pytest.mark.parametrize("mode", [*GenerationMode])
@pytest.mark.parametrize(("method", "ending"), CALLS)
def test_no_address_breaks_the_server(described, reading, call, method, ending, mode):
    """Of workspaces, pipelines, endpoints and runs that there are not: never a 500."""
    tried = operation(described, method, ending)

    @TRIED
    @given(tried.as_strategy(generation_mode=mode))
    def holds(case):
        assert 400 <= sent(call, case).status_code < 500

    holds()


@pytest.mark.parametrize("mode", [*GenerationMode])
@pytest.mark.parametrize(("method", "ending"), CALLS)
def test_nothing_that_is_sent_breaks_the_server(described, known, call, method, ending, mode):
    """Of what there is: each answer is one that the document promises, and never a 500."""
    tried = operation(described, method, ending)
    load_all_checks()
    checks = CHECKS.get_by_names(PROMISED)
    fixed = there(known, ending if mode is GenerationMode.POSITIVE else "")
    strategy = tried.as_strategy(generation_mode=mode, **fixed)

    seen = set()

    @TRIED
    @given(strategy)
    def holds(case):
        answer = sent(call, case)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=checks)

    holds()
    assert mode is GenerationMode.NEGATIVE or 200 in seen, seen


@pytest.mark.parametrize("role", [None, "viewer"])
@pytest.mark.parametrize(("method", "ending"), [each for each in CALLS if each[0] != "GET"])
def test_nobody_gets_past_who_may_not(described, known, reading, call, method, ending, role):
    """Whatever is sent, without a token or as a user who may only look, begins and ends no run."""
    tried = operation(described, method, ending)
    before = call("GET", f"/api/v2/dags/{reading.dag_id}/dagRuns").json()["dag_runs"]

    @TRIED
    @given(tried.as_strategy(generation_mode=GenerationMode.POSITIVE, **there(known, ending)))
    def refused(case):
        allowed = (401, 403) if role is None else (403,)  # 403: what is no token of Airflow's
        assert sent(call, case, role=role).status_code in allowed

    refused()
    after = call("GET", f"/api/v2/dags/{reading.dag_id}/dagRuns").json()["dag_runs"]
    assert [(run["dag_run_id"], run["state"]) for run in after] == [
        (run["dag_run_id"], run["state"]) for run in before
    ]

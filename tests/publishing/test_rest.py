"""v1's REST API on Airflow's own app: who may, who may not, and what is answered."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import quote

import pytest
from airflow import settings

from airflow_aml import PipelineEndpoint, PipelineRun, Workspace

VIEWER = "viewer"


@pytest.fixture
def made(pipeline, in_airflow):
    """A published pipeline that Airflow has as a DAG."""
    made = pipeline.publish("REST", version="1")
    in_airflow()
    return made


@pytest.fixture
def address(made, call):
    """Where that pipeline is submitted."""
    return made.endpoint


def said(answer):
    """The message of an error in v1's form."""
    return answer.json()["Error"]["Message"]


async def hold_the_database(seconds):
    """A writer that lets go of SQLite's lock when the event loop comes to it."""
    with closing(sqlite3.connect(settings.engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(seconds)
        other.execute("ROLLBACK")


def test_a_writer_that_waits_for_the_event_loop_does_not_stop_the_server(call, address):
    """Airflow writes its audit log inside an event loop: the server's goes on meanwhile, so that
    whoever holds the database's lock there lets it go."""
    answer = call(
        "POST", address, json={"ExperimentName": "e"}, meanwhile=hold_the_database(seconds=0.5)
    )

    assert answer.status_code == 200, answer.text


def test_a_client_of_v1_starts_a_run(made, call, address):
    """It posts what v1's samples post, gets an Id, and asks by it how far the run is."""
    body = {
        "ExperimentName": "My_Pipeline",
        "RunSource": "SDK",
        "ParameterAssignments": {"rate": 0.4, "other": 1},
        "Tags": {"team": "a"},
    }

    answer = call("POST", address, json=body)

    assert answer.status_code == 200, answer.text
    run = answer.json()
    assert (run["PipelineId"], run["RunHistoryExperimentName"]) == (made.id, "My_Pipeline")
    assert (run["ParameterAssignments"], run["TotalRunSteps"]) == ({"rate": "0.4"}, 1)
    assert run["Warnings"] == [
        "ParameterAssignments: 'other' is not known to this pipeline, and ignored."
    ]
    (begun,) = call("GET", f"/api/v2/dags/{made.dag_id}/dagRuns").json()["dag_runs"]
    assert begun["conf"]["_aml"]["warnings"] == run["Warnings"]
    base = address.rpartition("/PipelineSubmit/")[0]
    status = call("GET", f"{base}/{run['Id']}").json()
    assert (status["Id"], status["Status"]["StatusCode"]) == (run["Id"], "NotStarted")
    listed = call("GET", f"{base}/Pipeline/{made.id}", role=VIEWER).json()
    assert [each["Id"] for each in listed] == [run["Id"]]
    (known,) = PipelineRun.get_pipeline_runs(Workspace(), made.id)
    assert (known.id, known.experiment_name) == (run["Id"], "My_Pipeline")


def test_airflows_audit_log_has_who_has_started_a_run(call, address, made):
    """As any other trigger of that DAG; what was refused is not there."""
    for role in ("admin", VIEWER):
        call("POST", address, role=role, json={"ExperimentName": "e"})

    logged = call("GET", f"/api/v2/eventLogs?dag_id={made.dag_id}").json()["event_logs"]
    assert [(each["event"], each["owner"]) for each in logged] == [("trigger_dag_run", "admin")]


def test_an_endpoint_takes_its_default_version_or_the_one_that_is_asked_for(made, call, pipeline):
    """Its address stays; pipelineVersion chooses."""
    endpoint = PipelineEndpoint.publish(Workspace(), "scoring", "", made)
    base = endpoint.endpoint.rpartition("/Id/")[0]
    body = {"ExperimentName": "e"}

    for target in (endpoint.endpoint, f"{base}/Name?name=scoring&pipelineVersion=0"):
        assert call("POST", target, json=body).json()["PipelineId"] == made.id
    assert call("POST", f"{endpoint.endpoint}?pipelineVersion=5", json=body).status_code == 404
    assert call("POST", f"{base}/Name?name=none", json=body).status_code == 404
    endpoint.disable()
    refused = call("POST", endpoint.endpoint, json=body)
    assert (refused.status_code, said(refused)) == (400, "Status must be Active, its Disabled")


def test_a_pipeline_that_was_just_published_is_waited_for(pipeline, call, in_airflow, workspace):
    """v1's programs publish and post at once; what Airflow does not have for long is an error."""
    new, old = pipeline.publish("New"), pipeline.publish("Old")
    document = workspace.root / "registry" / "published" / f"{old.id}.json"
    created = json.loads(document.read_text())["document"]["created"]
    document.write_text(document.read_text().replace(created, "2020-01-01T00:00:00+00:00"))
    body = {"ExperimentName": "e"}

    with ThreadPoolExecutor(1) as elsewhere:
        missing = elsewhere.submit(call, "POST", old.endpoint, json=body).result(timeout=30)
        answer = elsewhere.submit(call, "POST", new.endpoint, json=body)
        in_airflow()

    assert (missing.status_code, "comes into it by an AmlDagBundle" in said(missing)) == (404, True)
    assert answer.result().status_code == 200


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_without_a_token_nothing_is_told(call, address, made, method):
    """No token, one that has expired, one that is none: 401 or 403, whether or not it exists."""
    base = address.rpartition("/PipelineSubmit/")[0]
    known, none = (address, f"{base}/PipelineSubmit/x")
    if method == "GET":
        known, none = f"{base}/Pipeline/{made.id}", f"{base}/x"
    for target in (known, none):
        assert call(method, target, role=None).status_code == 401
        assert call(method, target, seconds=-60).status_code in (401, 403)


def test_who_may_not_trigger_the_dag_may_not_submit(call, address):
    """A viewer is refused before anything is said about the body."""
    answer = call("POST", address, role=VIEWER, json={"ParameterAssignments": {"rate": "fast"}})
    long = call("POST", address, role=VIEWER, content=b"x" * 1_000_000)

    assert (answer.status_code, long.status_code) == (403, 403)
    assert "rate" not in answer.text


def test_who_may_not_trigger_the_dag_is_told_nothing_of_its_endpoint(call, made):
    """Whether it is enabled and has that version is for those who may submit."""
    endpoint = PipelineEndpoint.publish(Workspace(), "scoring", "", made)
    body = {"ExperimentName": "e"}
    targets = (endpoint.endpoint, f"{endpoint.endpoint}?pipelineVersion=5")
    for _ in range(2):
        refused = [call("POST", each, role=VIEWER, json=body).status_code for each in targets]
        assert refused == [403, 403]
        endpoint.disable()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"x" * 1_000_000, 413, "longer than"),
        (b"[" * 100_000, 400, "is not JSON"),
        (b"[1]", 400, "must be a JSON object"),
        (b"\xff\xfe", 400, "is not JSON"),
        (b"{}", 400, "ExperimentName is missing."),
        (json.dumps({"ExperimentName": "../<script>"}).encode(), 400, "ExperimentName"),
        (
            b'{"ExperimentName": "e", "Tags": 3, "ParameterAssignments": {"rate": "fast"}}',
            400,
            "Tags must be an object, not 3. Expected type of the pipeline parameter rate is float",
        ),
        (
            b'{"ExperimentName": "e", "ParameterAssignments": {"rate": NaN}}',
            400,
            "JSON does not know",
        ),
    ],
)
def test_a_bad_body_is_told_all_that_is_wrong(call, address, body, status, message):
    """Whatever is sent, it is an error of the client's, in v1's form."""
    answer = call("POST", address, content=body)

    assert answer.status_code == status
    assert message in said(answer)


def test_what_is_not_there_or_disabled_is_told(call, address, made, in_airflow):
    """Unknown ids are 404, wherever they stand; a disabled pipeline is 400 until it is enabled."""
    base = address.rpartition("/PipelineSubmit/")[0]
    body = {"ExperimentName": "e"}
    for target in ("PipelineSubmit/x", "PipelineSubmit/%2e%2e", "PipelineEndpointSubmit/Id/x"):
        assert call("POST", f"{base}/{target}", json=body).status_code == 404
    for target in ("x", "../../x", made.id, "Pipeline/x"):
        assert call("GET", f"{base}/{target}").status_code == 404

    made.disable()
    assert "disabled" in said(call("POST", address, json=body))
    in_airflow()
    own = f"/api/v2/dags/{made.dag_id}/dagRuns"
    refused = call("POST", own, json={"logical_date": None, "conf": {}})
    assert (refused.status_code, "does not allow manual runs" in refused.text) == (400, True)
    made.enable()
    in_airflow()
    assert call("POST", own, json={"logical_date": None, "conf": {}}).status_code == 200
    assert call("POST", address, json=body).status_code == 200


def test_airflows_own_call_checks_the_values(call, made):
    """`POST /api/v2/dags/.../dagRuns` with a value of the wrong type is 400, too."""
    own = f"/api/v2/dags/{made.dag_id}/dagRuns"

    wrong = call("POST", own, json={"logical_date": None, "conf": {"rate": "fast"}})

    assert (wrong.status_code, "rate" in wrong.text) == (400, True)
    assert call("POST", own, json={"logical_date": None, "conf": {"rate": 0.3}}).status_code == 200


def test_a_parameter_that_the_pipeline_does_not_have_may_be_refused(call, address, monkeypatch):
    """v1 ignores it; with [aml] strict_parameters it is an error, told with all others."""
    monkeypatch.setenv("AIRFLOW__AML__STRICT_PARAMETERS", "True")
    values = {"rate": "fast", "rat": 1}
    body = {"ExperimentName": "e", "ParameterAssignments": values, "DataPathAssignments": {"d": {}}}

    answer = call("POST", address, json=body)

    assert answer.status_code == 400
    details = [each["Message"] for each in answer.json()["Error"]["Details"]]
    assert details[:2] == [
        "ParameterAssignments: 'rat' is no parameter of this pipeline.",
        "DataPathAssignments: 'd' is no parameter of this pipeline.",
    ]
    assert "parameter rate is float" in details[2]
    good = {"ExperimentName": "e", "ParameterAssignments": {"rate": "0.3"}, "Other": 1}
    assert call("POST", address, json=good).json()["Warnings"]


def test_a_run_is_canceled(call, address, made):
    """v1's DELETE ends it, once or twice; it is Canceled for REST and for programs."""
    run_id = call("POST", address, json={"ExperimentName": "e"}).json()["Id"]
    base = address.rpartition("/PipelineSubmit/")[0]
    target = f"{base}/{run_id}/Execution"

    assert call("DELETE", target, role=None).status_code == 401
    assert call("DELETE", target, role=VIEWER).status_code == 403
    assert call("GET", f"{base}/{run_id}").json()["Status"]["StatusCode"] == "NotStarted"
    for _ in range(2):
        assert call("DELETE", target).json()["Status"]["StatusCode"] == "Canceled"
    assert call("GET", f"{base}/{run_id}").json()["Status"]["StatusCode"] == "Canceled"
    assert call("DELETE", f"{base}/{made.id}/Execution").status_code == 404


@pytest.mark.parametrize("name", ["../x", "a/b", "<script>alert(1)</script>", "'; DROP TABLE dag"])
def test_names_in_addresses_are_names(call, address, name):
    """Of an endpoint, a workspace or a run: what is not there is 404, and nothing else happens."""
    base = address.rpartition("/PipelineSubmit/")[0]
    body = {"ExperimentName": "e"}

    by_name = call("POST", f"{base}/PipelineEndpointSubmit/Name", params={"name": name}, json=body)
    assert by_name.status_code == 404
    assert "<script>" not in by_name.headers.get("content-type", "")
    assert by_name.headers["content-type"] == "application/json"
    quoted = quote(name, safe="")
    assert call("GET", f"{base}/{quoted}").status_code == 404
    assert call("POST", f"{base}/PipelineSubmit/{quoted}", json=body).status_code == 404
    assert call("POST", f"{base}/PipelineSubmit/{quoted}", role=None).status_code in (401, 404)


@pytest.mark.parametrize(
    "body",
    [
        '{"ExperimentName": "e", "Tags": {"a": "\\u0000"}}',
        '{"ExperimentName": "e", "Description": "\\ud800"}',
        '{"ExperimentName": "e", "Tags": {"a": ' + "[" * 200 + "]" * 200 + "}}",
        '{"ExperimentName": "e", "ParameterAssignments": {"rate": 1e999}}',
        '{"ExperimentName": "e", "ParameterAssignments": {"rate": ' + "9" * 5000 + "}}",
        '{"ExperimentName": "e", "ParameterAssignments": {"rate": [1]}}',
    ],
)
def test_what_no_database_keeps_is_refused(call, address, body):
    """NUL, half characters, endless nesting, numbers without end: 400, not a broken server."""
    assert call("POST", address, content=body.encode()).status_code == 400


def test_the_api_describes_itself(call):
    """Its OpenAPI document lists the routes, and that they want a token."""
    document = call("GET", "/aml/openapi.json").json()

    calls = [each for path in document["paths"].values() for each in path.values()]
    assert len(document["paths"]) == 6
    assert {tag["name"] for tag in document["tags"]} == {"Runs", "Submit"}
    for each in calls:
        assert each["security"]
        assert each["tags"]
        schema = each["responses"]["400"]["content"]["application/json"]["schema"]
        assert schema["title"] == "ErrorResponse"
        assert {"200", "401", "403", "404"} <= each["responses"].keys()
        assert "422" not in each["responses"]

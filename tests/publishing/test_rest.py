"""v1's REST API on Airflow's own app: who may, who may not, and what is answered.

The app, its auth manager, its database and its DAGs are Airflow's; only no socket is between.
"""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from airflow_aml import PipelineEndpoint, PipelineRun, Workspace
from airflow_aml.airflow.published import refresh

ADMIN, VIEWER = "admin", "viewer"


@pytest.fixture(scope="module")
def api():
    """Airflow's API, with the plugin."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


@pytest.fixture
def call(api, database, monkeypatch):
    """Calls the API with the token of a role; ``None``: without one."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def send(method, address, *, role=ADMIN, seconds=600, **options):
        headers = {}
        if role is not None:
            user = SimpleAuthManagerUser(username=role, role=role)
            token = get_auth_manager().generate_jwt(user, expiration_time_in_seconds=seconds)
            headers["Authorization"] = f"Bearer {token}"

        async def go():
            transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, address, headers=headers, **options)

        return asyncio.run(go())

    monkeypatch.setenv("AIRFLOW_AML_API_URL", "http://here")
    return send


@pytest.fixture
def made(pipeline, workspace, tmp_path, database):
    """A published pipeline that Airflow has as a DAG."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    made = pipeline.publish("REST", version="1")
    folder = tmp_path / "published"
    refresh(workspace, folder)
    DagBundlesManager().sync_bundles_to_db()
    bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return made


@pytest.fixture
def address(made, call):
    """Where that pipeline is submitted."""
    return made.endpoint


def said(answer):
    """The message of an error in v1's form."""
    return answer.json()["Error"]["Message"]


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
    base = address.rpartition("/PipelineSubmit/")[0]
    status = call("GET", f"{base}/{run['Id']}").json()
    assert (status["Id"], status["Status"]["StatusCode"]) == (run["Id"], "NotStarted")
    listed = call("GET", f"{base}/Pipeline/{made.id}", role=VIEWER).json()
    assert [each["Id"] for each in listed] == [run["Id"]]
    (known,) = PipelineRun.get_pipeline_runs(Workspace(), made.id)
    assert (known.id, known.experiment_name) == (run["Id"], "My_Pipeline")


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

    assert answer.status_code == 403
    assert "rate" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"x" * 1_000_000, 413, "longer than"),
        (b"[" * 100_000, 400, "is not JSON"),
        (b"[1]", 400, "must be a JSON object"),
        (b"\xff\xfe", 400, "is not JSON"),
        (b"{}", 400, "ExperimentName"),
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


def test_what_is_not_there_or_disabled_is_told(call, address, made):
    """Unknown ids are 404, wherever they stand; a disabled pipeline is 400 until it is enabled."""
    base = address.rpartition("/PipelineSubmit/")[0]
    body = {"ExperimentName": "e"}
    for target in ("PipelineSubmit/x", "PipelineSubmit/%2e%2e", "PipelineEndpointSubmit/Id/x"):
        assert call("POST", f"{base}/{target}", json=body).status_code == 404
    for target in ("x", "../../x", made.id, "Pipeline/x"):
        assert call("GET", f"{base}/{target}").status_code == 404

    made.disable()
    assert "disabled" in said(call("POST", address, json=body))
    made.enable()
    assert call("POST", address, json=body).status_code == 200


def test_the_api_describes_itself(call):
    """Its OpenAPI document lists the routes, and that they want a token."""
    document = call("GET", "/aml/openapi.json").json()

    assert len(document["paths"]) == 5
    assert all("security" in each for path in document["paths"].values() for each in path.values())

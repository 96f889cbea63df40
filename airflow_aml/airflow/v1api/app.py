"""The routes: each translates, and lets Airflow's own API do it, in the caller's name.

So permissions, checks and the audit log are Airflow's. Who may trigger a pipeline's DAG may submit
it; nobody else learns more of it than that there is one. A token is sent as a header: what a
browser sends by itself does not count.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import httpx
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_aml._version import __version__
from airflow_aml.airflow.settings import open_workspace, strict_parameters
from airflow_aml.airflow.v1api import CORE, PREFIX
from airflow_aml.airflow.v1api.bodies import (
    MOST_BYTES,
    BadBodyError,
    Wanted,
    error_body,
    parsed,
    wanted,
)
from airflow_aml.airflow.v1api.documents import BODY, RUNS, SUBMIT, TAGS, answers
from airflow_aml.airflow.v1api.loops import Loops
from airflow_aml.definition.dataparameters import missing_data
from airflow_aml.definition.published import BASE, dag_id_of
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.definition.values import SETTINGS_KEY, WARNINGS
from airflow_aml.errors import AzureMLException, UserErrorException
from airflow_aml.workspace import layout, published
from airflow_aml.workspace.endpoints import Endpoints
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.published import Published
from airflow_aml.workspace.runs import read_head
from airflow_aml.workspace.submitted import (
    Submitted,
    is_canceled,
    mark_canceled,
    read_submitted,
    write_submitted,
)

_ROUTES = BASE.removeprefix(PREFIX) + "/PipelineRuns"
_MOST_RUNS = 100
_MOST_LOGGED = 20
_NEW_SECONDS, _POLL_SECONDS = 60.0, 1.0
_ENDED = ("success", "failed")
_STATUS = {"queued": "NotStarted", "running": "Running", "success": "Finished", "failed": "Failed"}
Document = dict[str, Any]


def _bearer(request: Request) -> None:
    if not request.headers.get("authorization", "").lower().startswith("bearer "):
        raise HTTPException(401, "Send an Airflow token: Authorization: Bearer <token>.")


Bearer = Annotated[None, Depends(_bearer)]


def make_app() -> FastAPI:
    """The app."""
    app = FastAPI(
        title="Azure ML SDK v1 pipelines",
        description="v1's REST API for published pipelines and endpoints; tokens are Airflow's.",
        version=__version__,
        openapi_tags=TAGS,
    )
    app.state.loops = Loops()
    app.exception_handler(AnyHTTPException)(_http_error)
    app.exception_handler(BadBodyError)(_bad_body)
    app.exception_handler(RequestValidationError)(_bad_query)
    app.exception_handler(UserErrorException)(_not_found)
    app.exception_handler(AzureMLException)(_unavailable)
    submit: Document = {"openapi_extra": BODY, "tags": [SUBMIT], "responses": answers()}
    about: Document = {"tags": [RUNS], "responses": answers()}
    app.post(f"{_ROUTES}/PipelineSubmit/{{pipeline_id}}", **submit)(submit_pipeline)
    app.post(f"{_ROUTES}/PipelineEndpointSubmit/Id/{{endpoint_id}}", **submit)(submit_endpoint)
    app.post(f"{_ROUTES}/PipelineEndpointSubmit/Name", **submit)(submit_endpoint_by_name)
    listed = {**about, "responses": answers(many=True)}
    app.get(f"{_ROUTES}/Pipeline/{{pipeline_id}}", **listed)(runs_of_pipeline)
    app.get(f"{_ROUTES}/{{run_id}}", **about)(run_status)
    app.delete(f"{_ROUTES}/{{run_id}}/Execution", **about)(cancel_run)
    return app


async def submit_pipeline(
    request: Request, workspace: str, pipeline_id: str, _: Bearer, user: GetUserDep
) -> Document:
    """Starts a run of a published pipeline."""
    home = await run_in_threadpool(open_workspace, workspace)
    record = await run_in_threadpool(published.read, home, pipeline_id)
    return await _submit(request, user, home, record)


async def submit_endpoint(
    request: Request,
    workspace: str,
    endpoint_id: str,
    _: Bearer,
    user: GetUserDep,
    version: Annotated[str | None, Query(alias="pipelineVersion")] = None,
) -> Document:
    """Starts a run through an endpoint: of its default version, or of the one that is named."""
    home = await run_in_threadpool(open_workspace, workspace)
    behind = await run_in_threadpool(_behind, home, endpoint_id, version)
    return await _submit(request, user, home, *behind)


async def submit_endpoint_by_name(
    request: Request,
    workspace: str,
    name: Annotated[str, Query(max_length=200)],
    _: Bearer,
    user: GetUserDep,
    version: Annotated[str | None, Query(alias="pipelineVersion")] = None,
) -> Document:
    """The same, of the endpoint of that name."""
    home = await run_in_threadpool(open_workspace, workspace)
    found = await run_in_threadpool(Endpoints(home).named, name)
    behind = await run_in_threadpool(_behind, home, found.id, version)
    return await _submit(request, user, home, *behind)


async def runs_of_pipeline(
    request: Request, workspace: str, pipeline_id: str, _: Bearer, user: GetUserDep
) -> list[Document]:
    """The newest runs of a published pipeline."""
    home = await run_in_threadpool(open_workspace, workspace)
    record = await run_in_threadpool(published.read, home, pipeline_id)
    dag_id = dag_id_of(record)
    await _check(request, user, dag_id, "GET")
    path = f"/dags/{_part(dag_id)}/dagRuns?order_by=-run_after&limit={_MOST_RUNS}"
    found = await _airflow(request, "GET", path)
    return [_entity(home, run, PipelineId=pipeline_id) for run in found["dag_runs"]]


async def run_status(
    request: Request, workspace: str, run_id: str, _: Bearer, user: GetUserDep
) -> Document:
    """How far a run is."""
    home = await run_in_threadpool(open_workspace, workspace)
    known = await run_in_threadpool(_names, home, run_id)
    await _check(request, user, known.dag_id, "GET")
    path = f"/dags/{_part(known.dag_id)}/dagRuns/{_part(known.run_id)}"
    return await _told(home, await _airflow(request, "GET", path), known)


async def cancel_run(
    request: Request, workspace: str, run_id: str, _: Bearer, user: GetUserDep
) -> Document:
    """Ends a run with all that goes on in it; of one that has ended it only tells how."""
    home = await run_in_threadpool(open_workspace, workspace)
    known = await run_in_threadpool(_names, home, run_id)
    await _check(request, user, known.dag_id, "PUT")
    path = f"/dags/{_part(known.dag_id)}/dagRuns/{_part(known.run_id)}"
    found = await _airflow(request, "GET", path)
    if found["state"] not in _ENDED:
        # First, so that nobody who waits takes it for a failure.
        await run_in_threadpool(mark_canceled, home, run_id)
        try:
            found = await _airflow(request, "PATCH", path, {"state": "failed"})
        except BaseException:
            await run_in_threadpool(mark_canceled, home, run_id, canceled=False)
            raise
    return await _told(home, found, known)


async def _told(home: Home, found: Document, known: Submitted) -> Document:
    run = _entity(home, found, RunHistoryExperimentName=known.experiment)
    if run["HasErrors"] and await run_in_threadpool(is_canceled, home, run["Id"]):
        run["Status"]["StatusCode"] = "Canceled"
    return run


def _behind(
    home: Home, identifier: str, version: str | None
) -> tuple[Published, HTTPException | None]:
    """The pipeline whose runs the user has to be allowed to start, and then what is wrong."""
    known = Endpoints(home)
    endpoint = known.get(identifier)
    versions, default = known.versions(endpoint.id), known.default(endpoint.id)
    record = published.read(home, versions.get(version or default, versions[default]))
    if not known.is_enabled(endpoint.id):
        return record, HTTPException(400, "Status must be Active, its Disabled")
    if version is not None and version not in versions:
        return record, HTTPException(404, f"the endpoint has no version {version[:50]!r}.")
    return record, None


def _names(home: Home, identifier: str) -> Submitted:
    if not published.is_id(identifier):
        raise HTTPException(404, "there is no run of that id.")
    known = read_submitted(home, identifier)
    head = read_head(home, identifier) if known is None else None
    if head is not None:
        known = Submitted(head.dag_id, head.run_id, head.experiment)
    if known is None:
        raise HTTPException(404, "there is no run of that id.")
    return known


async def _submit(
    request: Request,
    user: Any,
    home: Home,
    record: Published,
    refusal: HTTPException | None = None,
) -> Document:
    dag_id = dag_id_of(record)
    await _check(request, user, dag_id, "POST")
    if refusal is not None:
        raise refusal
    data = await _body(request)
    if not await run_in_threadpool(published.is_enabled, home, record.id):
        raise HTTPException(400, "the published pipeline is disabled, so that no run begins.")
    spec = PipelineSpec.from_dict(record.spec)
    run = wanted(parsed(data), spec, strict=strict_parameters())
    missing = await run_in_threadpool(missing_data, spec, run.parameters, home)
    if missing:
        raise BadBodyError(*missing)
    name = f"manual__{datetime.now(UTC).isoformat()}_{uuid4().hex[:8]}"
    body = {
        "dag_run_id": name,
        "logical_date": None,
        "conf": {**run.parameters, SETTINGS_KEY: {**run.settings, **_logged(run)}},
        "note": run.description or None,
    }
    started = await _started(request, record, body)
    identity = layout.pipeline_run_id(home.uuid, dag_id, name)
    noted = Submitted(dag_id, name, run.experiment)
    await run_in_threadpool(write_submitted, home, identity, noted)
    return _entity(
        home,
        started,
        PipelineId=record.id,
        Description=run.description or run.experiment,
        ParameterAssignments=run.scalars,
        **run.data,
        RunHistoryExperimentName=run.experiment,
        RunSource=run.source,
        RunType="HTTP",
        TotalRunSteps=len(spec.nodes),
        tags=run.tags,
        HasWarnings=bool(run.warnings),
        Warnings=list(run.warnings),
    )


def _logged(run: Wanted) -> Document:
    """What the run's log is to say, as v1's does: what of the request has had no effect."""
    return {WARNINGS: [*run.warnings[:_MOST_LOGGED]]} if run.warnings else {}


async def _started(request: Request, record: Published, body: Document) -> Document:
    """Airflow's new run. A pipeline's DAG is waited for until that was published a minute ago: v1's
    programs post at once, and Airflow's bundle reads it only shortly after.
    """
    until = time.monotonic() + min(_NEW_SECONDS, _NEW_SECONDS - _age(record))
    while True:
        try:
            path = f"/dags/{_part(dag_id_of(record))}/dagRuns"
            return await _airflow(request, "POST", path, body)
        except HTTPException as error:
            if error.status_code != httpx.codes.NOT_FOUND or time.monotonic() > until:
                raise
        await asyncio.sleep(_POLL_SECONDS)


def _age(record: Published) -> float:
    """Seconds since it was published."""
    try:
        published_at = datetime.fromisoformat(record.created)
    except ValueError:  # somebody has edited the document
        return _NEW_SECONDS
    return datetime.now(UTC).timestamp() - published_at.timestamp()


def _entity(home: Home, run: Document, **more: Any) -> Document:
    """v1's PipelineRunEntity, of a run as Airflow tells it."""
    state = str(run["state"])
    return {
        "Id": layout.pipeline_run_id(home.uuid, run["dag_id"], run["dag_run_id"]),
        "Status": {
            "StatusCode": _STATUS.get(state, "Running"),
            "StatusDetail": None,
            "CreationTime": run.get("queued_at") or run.get("run_after"),
            "EndTime": run.get("end_date"),
        },
        "IsSubmitted": True,
        "HasErrors": state == "failed",
        **more,
    }


async def _check(request: Request, user: Any, dag_id: str, method: Any) -> None:
    """Raises 403 unless Airflow lets that user do that with runs of the DAG."""
    check = requires_access_dag(method, DagAccessEntity.RUN, dag_id)
    await run_in_threadpool(check, request, user)


async def _airflow(
    request: Request, method: str, path: str, body: Document | None = None
) -> Document:
    """One call of Airflow's API, in this process and in the caller's name."""
    call = _called(request, method, path, body)
    answer = await run_in_threadpool(request.app.state.loops.run, call)
    if answer.is_success:
        result: Document = answer.json()
        return result
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise HTTPException(
            404,
            "Airflow does not have that yet, or not any more. What is published comes into it by "
            "an AmlDagBundle in its dag_bundle_config_list that reads this workspace.",
        )
    try:
        detail = answer.json()["detail"]
    except (ValueError, LookupError, TypeError):
        detail = answer.text[:1000]
    status = 400 if answer.status_code == 422 else answer.status_code
    raise HTTPException(status, detail if isinstance(detail, str) else str(detail)[:1000])


async def _called(
    request: Request, method: str, path: str, body: Document | None
) -> httpx.Response:
    transport = httpx.ASGITransport(app=request.scope[CORE], raise_app_exceptions=False)
    headers = {"Authorization": request.headers["authorization"]}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://airflow", trust_env=False
    ) as client:
        return await client.request(method, f"/api/v2{path}", json=body, headers=headers)


async def _body(request: Request) -> bytes:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"the body is longer than {MOST_BYTES} bytes.")
    return data


def _part(text: str) -> str:
    return quote(text, safe="")


async def _http_error(_: Request, error: Any) -> JSONResponse:
    body = error_body(error.status_code, str(error.detail))
    return JSONResponse(body, error.status_code, getattr(error, "headers", None))


async def _bad_body(_: Request, error: Any) -> JSONResponse:
    return JSONResponse(error_body(400, str(error), error.problems), 400)


async def _bad_query(_: Request, error: Any) -> JSONResponse:
    told = tuple(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return JSONResponse(error_body(400, " ".join(told), told), 400)


async def _not_found(_: Request, error: Any) -> JSONResponse:
    return JSONResponse(error_body(404, error.message), 404)


async def _unavailable(_: Request, error: Any) -> JSONResponse:
    return JSONResponse(error_body(503, error.message), 503)

"""v1's REST API under the FAB auth manager: users and roles are in Airflow's database."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from airflow_aml import Pipeline, PipelineEndpoint, PublishedPipeline, PythonScriptStep, Workspace
from airflow_aml.airflow.published import refresh
from airflow_aml.definition.authentication import InteractiveLoginAuthentication
from airflow_aml.workspace.home import open_home
from scripts import templates
from scripts.local_airflow import LocalAirflow
from scripts.postgresql import PostgreSql
from scripts.progress import Progress
from scripts.test_servers import NotInstalledError
from tests.publishing.test_rest_fuzzed import CALLS, PROMISED, WORKSPACE, operation, sent, there

FAB = {
    "core.auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    **templates.AML_SETTINGS,
}
USERS = """
import sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

dag_id, password = sys.argv[1:]
own = [("can_read", f"DAG:{dag_id}"), ("can_edit", f"DAG:{dag_id}")]
runs = [(f"can_{verb}", f"DAG Run:{dag_id}") for verb in ("read", "create", "edit")]
other = [("can_read", "DAG:other"), ("can_edit", "DAG:other"), ("can_create", "DAG Run:other")]
with get_application_builder() as builder:
    builder.sm.bulk_sync_roles(
        [{"role": "Trainer", "perms": own + runs}, {"role": "Stranger", "perms": other}]
    )
    for role in ("Admin", "User", "Viewer", "Trainer", "Stranger"):
        name = role.lower()
        found = builder.sm.find_role(role)
        assert builder.sm.add_user(name, name, name, f"{name}@localhost", found, password)
"""
BODY = {"ExperimentName": "e"}
NAMED = {"name": "scoring"}
FEW = settings(
    max_examples=5, database=None, suppress_health_check=[*HealthCheck], derandomize=True
)


class FabAirflow(LocalAirflow):
    """A local Airflow with users in its database, some with rights on one DAG."""

    def __init__(self, home: Path, dag_id: str, settings: Mapping[str, str]) -> None:
        super().__init__(home, extra_settings={**FAB, **settings})
        self._dag_id = dag_id

    def _prepare_database(self, progress: Progress) -> None:
        super()._prepare_database(progress)
        subprocess.run(
            [sys.executable, "-c", USERS, self._dag_id, self.password],
            env=dict(self.environment),
            cwd=self.home.path,
            check=True,
        )


@dataclass(frozen=True)
class Site:
    """An Airflow under FAB, with a published pipeline and an endpoint for it."""

    url: str
    password: str
    secret: str
    published: PublishedPipeline
    endpoint: PipelineEndpoint

    def header(self, user: str) -> dict[str, str]:
        """What a user's calls are sent with."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_AML_API_URL", self.url)
            patch.setenv("AIRFLOW_AML_API_USER", user)
            patch.setenv("AIRFLOW_AML_API_PASSWORD", self.password)
            return InteractiveLoginAuthentication().get_authentication_header()

    @property
    def runs(self) -> str:
        """Where runs are asked about."""
        return self.submit.partition("/PipelineSubmit/")[0]

    @property
    def submit(self) -> str:
        """Where the pipeline is submitted."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_AML_API_URL", self.url)
            return self.published.endpoint

    @property
    def document(self) -> dict[str, Any]:
        """What the API says of itself."""
        return dict(httpx.get(f"{self.url}/aml/openapi.json", timeout=60).json())

    def known(self) -> dict[str, str]:
        """Ids of what there is, a run that has just begun among them."""
        run = httpx.post(self.submit, json=BODY, headers=self.header("admin"), timeout=60).json()
        return {
            "pipeline_id": self.published.id,
            "endpoint_id": self.endpoint.id,
            "run_id": run["Id"],
        }

    def calls(self, ids: dict[str, str]) -> list[tuple[str, str]]:
        """Method and address of every call of the API's document."""
        return [
            (method, f"{self.url}/aml{path.format(**WORKSPACE, **ids)}")
            for path, operations in self.document["paths"].items()
            for method in operations
        ]

    def token(self, user: str, seconds: float) -> dict[str, str]:
        """A header with a token of a user's that ends so many seconds from now."""
        own = self.header(user)["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(own, options={"verify_signature": False})
        claims |= {"exp": time.time() + seconds, "iat": time.time() - 600, "nbf": time.time() - 600}
        head = jwt.get_unverified_header(own)
        made = jwt.encode(claims, self.secret, algorithm=head["alg"], headers=head)
        return {"Authorization": f"Bearer {made}"}

    def runs_begun(self) -> int:
        """How many runs of the pipeline Airflow has."""
        address = f"{self.url}/api/v2/dags/{self.published.dag_id}/dagRuns"
        answer = httpx.get(address, headers=self.header("admin"), timeout=60)
        return int(answer.json()["total_entries"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One Airflow for these tests; on SQLite, calls that write at once wait for each other."""
    try:
        database = PostgreSql()
    except NotInstalledError as error:
        pytest.skip(str(error))
    home = tmp_path_factory.mktemp("fab")
    source = home / "src"
    source.mkdir()
    (source / "say.py").write_text("print('said')\n")
    with database, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__AML__WORKSPACE", (home / "aml").as_uri())
        step = PythonScriptStep("say.py", name="say", source_directory=str(source))
        published = Pipeline(Workspace(), [step]).publish(name="Rights")
        endpoint = PipelineEndpoint.publish(Workspace(), NAMED["name"], "", published)
        refresh(open_home((home / "aml").as_uri()), home / "dags" / "published")
        with FabAirflow(home, published.dag_id, database.airflow_settings) as airflow:
            airflow.rest.wait_for_dag(published.dag_id)
            secret = airflow.environment["AIRFLOW__API_AUTH__JWT_SECRET"]
            yield Site(airflow.url, airflow.password, secret, published, endpoint)


def test_who_may_trigger_the_dag_may_submit(site: Site) -> None:
    """An admin, a user of all DAGs, and one of this DAG alone; nobody who may look only, nobody
    who may trigger another DAG, and nobody without a token or with one that is none."""
    answers = {
        user: httpx.post(site.submit, json=BODY, headers=site.header(user), timeout=60).status_code
        for user in ("admin", "user", "trainer", "viewer", "stranger")
    }
    headers = [{}, {"Authorization": "Bearer none"}, {"Authorization": "Basic YTpi"}]
    nobody = [httpx.post(site.submit, json=BODY, headers=each).status_code for each in headers]

    assert answers == {"admin": 200, "user": 200, "trainer": 200, "viewer": 403, "stranger": 403}
    assert all(status in (401, 403) for status in nobody), nobody


def test_who_may_see_and_end_a_run(site: Site) -> None:
    """Who may see the DAG's runs is told how far they are; who may change them ends them."""
    trainer, viewer, stranger = map(site.header, ("trainer", "viewer", "stranger"))
    run = httpx.post(site.submit, json=BODY, headers=trainer, timeout=60).json()
    address, listed = f"{site.runs}/{run['Id']}", f"{site.runs}/Pipeline/{site.published.id}"

    for headers, status in ((trainer, 200), (viewer, 200), (stranger, 403), ({}, 401)):
        assert httpx.get(address, headers=headers, timeout=60).status_code == status
        assert httpx.get(listed, headers=headers, timeout=60).status_code == status
    for headers, status in (({}, 401), (stranger, 403), (viewer, 403), (trainer, 200)):
        ended = httpx.delete(f"{address}/Execution", headers=headers, timeout=60)
        assert ended.status_code == status, ended.text
    assert ended.json()["Status"]["StatusCode"] in ("Canceled", "Finished")


def test_every_call_asks_who_one_is(site: Site) -> None:
    """Without a token, with one that is none or has expired: 401 or 403, whatever the address
    is of; a user of another DAG and one who may only look get no further than they may."""
    ids = site.known()
    there_is, there_is_not = site.calls(ids), site.calls(dict.fromkeys(ids, str(uuid4())))
    nobody = [
        {},
        {"Authorization": "Bearer none"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        site.token("trainer", -60),
    ]
    before = site.runs_begun()

    with httpx.Client(params=NAMED, timeout=60) as client:

        def status(method: str, address: str, headers: dict[str, str]) -> int:
            body = BODY if method == "post" else None
            return client.request(method, address, headers=headers, json=body).status_code

        for headers in nobody:
            for call in (*there_is, *there_is_not):
                assert status(*call, headers) in (401, 403), (call, headers)
        assert len(there_is) == 6
        stranger, viewer = site.header("stranger"), site.header("viewer")
        for call in there_is:
            assert status(*call, stranger) == 403, call
            assert status(*call, viewer) == (200 if call[0] == "get" else 403), call
        again = [status(*call, site.token("trainer", 60)) for call in there_is if call[0] == "get"]

    assert again == [200, 200]  # nothing but its end was wrong with the token that has expired
    assert site.runs_begun() == before


@pytest.fixture(scope="module")
def paused(site: Site) -> dict[str, str]:
    """The site's pipeline begins no more runs by itself; ids of what there is."""
    known = site.known()
    address = f"{site.url}/api/v2/dags/{site.published.dag_id}"
    off = {"is_paused": True}
    httpx.patch(address, json=off, headers=site.header("admin"), timeout=60).raise_for_status()
    return known


@pytest.mark.parametrize("user", [None, "stranger", "viewer", "trainer"])
def test_whatever_is_sent_is_answered_as_promised(
    site: Site, paused: dict[str, str], user: str | None
) -> None:
    """By who may: what the document promises, and never a 500; by others: 401 or 403."""
    described = schemathesis.openapi.from_dict(site.document)
    header = site.header(user) if user else {}
    load_all_checks()
    checks = CHECKS.get_by_names(PROMISED)
    before = site.runs_begun()

    with httpx.Client(timeout=60) as client:

        def call(method: str, address: str, *, headers: Any = None, **options: Any) -> Any:
            address = address.replace("http://here", site.url)
            # A token that is empty leaves a space, which no client sends.
            made = {name: value.strip() for name, value in (headers or {}).items()}
            return client.request(method, address, headers={**made, **header}, **options)

        def walk(method: str, ending: str, mode: GenerationMode) -> None:
            fixed = there(paused, ending if mode is GenerationMode.POSITIVE else "")

            @FEW
            @given(operation(described, method, ending).as_strategy(generation_mode=mode, **fixed))
            def holds(case: Any) -> None:
                if user == "trainer":
                    case.validate_response(sent(call, case), checks=checks)
                    return
                looks = user == "viewer" and method == "GET"
                allowed = (200,) if looks else (401, 403) if user is None else (403,)
                assert sent(call, case).status_code in allowed

            holds()

        for method, ending in CALLS:
            walk(method, ending, GenerationMode.POSITIVE)
            if user == "trainer":
                walk(method, ending, GenerationMode.NEGATIVE)

    assert (site.runs_begun() > before) is (user == "trainer")

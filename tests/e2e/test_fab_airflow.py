"""v1's REST API under the FAB auth manager: users and roles are in Airflow's database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from airflow_aml import Pipeline, PublishedPipeline, PythonScriptStep, Workspace
from airflow_aml.airflow.published import refresh
from airflow_aml.definition.authentication import InteractiveLoginAuthentication
from airflow_aml.workspace.home import open_home
from scripts import templates
from scripts.local_airflow import LocalAirflow
from scripts.postgresql import PostgreSql
from scripts.progress import Progress
from scripts.test_servers import NotInstalledError

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
    """An Airflow under FAB, with a published pipeline."""

    url: str
    password: str
    published: PublishedPipeline

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
        refresh(open_home((home / "aml").as_uri()), home / "dags" / "published")
        with FabAirflow(home, published.dag_id, database.airflow_settings) as airflow:
            airflow.rest.wait_for_dag(published.dag_id)
            yield Site(airflow.url, airflow.password, published)


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

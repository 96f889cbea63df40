"""What v1 programs touch around their pipelines: workspaces by all their calls, logins, secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_aml import Experiment, Model, Pipeline, Run, RunConfiguration, Workspace
from airflow_aml.definition.authentication import (
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
)
from airflow_aml.definition.loading import load_file
from airflow_aml.errors import AuthenticationException, AzureMLException, NotServedError


def test_a_workspace_by_every_call_is_the_same_one(tmp_path: Path, monkeypatch):
    """Constructor, get, create and a written config name one workspace."""
    monkeypatch.chdir(tmp_path)
    login = ServicePrincipalAuthentication("tenant", "id", "password")
    created = Workspace.create(
        "team", subscription_id="s", resource_group="g", location="westeurope", exist_ok=True
    )
    created.write_config(path=str(tmp_path), file_name="team.json")

    found = Workspace.from_config(path=str(tmp_path), _file_name=".azureml/team.json", auth=login)
    same = [Workspace("s", "g", "team", auth=login), Workspace.get("team", login, "s", "g"), found]
    facts = {(ws.name, ws.subscription_id, ws.resource_group, ws.location) for ws in same}
    assert facts == {("team", "s", "g", "airflow")}
    assert json.loads((tmp_path / ".azureml" / "team.json").read_text())["workspace_name"] == "team"
    assert found.get_details()["name"] == "team"
    assert "password" not in repr(vars(login)) + repr(login)


def test_the_workspaces_of_a_site_are_listed(monkeypatch):
    """`Workspace.list` has the names that the site maps, and the default one."""
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACES", '{"team-a": "file:///a"}')

    assert sorted(Workspace.list("subscription")) == ["default", "team-a"]


@pytest.mark.parametrize(
    "name", ["webservices", "delete", "images", "sync_keys", "service_context"]
)
def test_what_a_workspace_will_never_do_is_named(name: str):
    """Deployment and the care of Azure's resources are refused by name."""
    with pytest.raises(NotServedError, match=rf"Workspace\.{name} is not served"):
        getattr(Workspace(), name)


def test_a_login_without_an_airflow_says_what_to_set(monkeypatch):
    """A header for a REST call needs an Airflow; v1's except clause catches the error."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", "")

    for login in (InteractiveLoginAuthentication(), MsiAuthentication(), AzureCliAuthentication()):
        with pytest.raises(AuthenticationException, match="Set AIRFLOW_AML_API_URL") as caught:
            login.get_authentication_header()
        assert isinstance(caught.value, AzureMLException)


def test_a_login_is_the_token_of_airflow(monkeypatch):
    """The header that v1 programs put into REST calls carries the token that Airflow takes."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", "http://localhost:1")
    monkeypatch.setenv("AIRFLOW_AML_API_TOKEN", "secret")

    login = InteractiveLoginAuthentication(tenant_id="t", force=True)
    assert login.get_authentication_header() == {"Authorization": "Bearer secret"}
    assert login.get_token("https://management.azure.com/.default") == "secret"


def test_while_a_file_is_loaded_a_login_is_a_placeholder(tmp_path: Path):
    """A definition that builds its header at module level loads without asking anybody."""
    program = tmp_path / "pipeline.py"
    program.write_text(
        "from airflow_aml import Workspace\n"
        "from airflow_aml.definition.authentication import MsiAuthentication\n"
        "header = MsiAuthentication().get_authentication_header()\n"
        "assert header == {'Authorization': 'Bearer declared'}, header\n"
        "Workspace('s', 'g', 'team').write_config()\n"
    )
    load_file(str(program))
    assert not (tmp_path / ".azureml").exists()


def test_a_private_name_that_programs_touch_does_no_harm():
    """MLOpsPython and what descends from it mention `pipeline._set_experiment_name`."""
    pipeline = Pipeline(Workspace(), [])
    assert pipeline._set_experiment_name() is None
    assert Experiment(Workspace(), "e").name == "e"
    run = Run.get_context()
    assert run._run_id == run.id
    assert run.id.startswith("OfflineRun")
    ws = Workspace("s", "g", "team")
    assert (ws._workspace_name, ws._subscription_id, ws._resource_group) == ("team", "s", "g")


def test_python_is_a_framework_in_any_letters():
    """v1's own notebooks write `framework="python"`; another framework is refused by its name."""
    assert RunConfiguration(framework="python").settings.framework == "Python"
    with pytest.raises(NotServedError, match="framework 'PySpark' is not served"):
        _ = RunConfiguration(framework="PySpark").settings


def test_models_are_not_deployed():
    """What deploys a model is refused by its name and why, of the class, too."""
    for name in ("deploy", "package", "profile"):
        with pytest.raises(NotServedError, match=rf"Model\.{name} is not served: models are kept"):
            getattr(Model, name)(Workspace(), "scorer", [])

"""Computes by name, with v1's words: in a program, while Airflow loads a file, in a step."""

from __future__ import annotations

import json

import pytest

from airflow_aml import (
    AmlCompute,
    ComputeTarget,
    ComputeTargetException,
    DatabricksCompute,
    DataFactoryCompute,
    Workspace,
)
from airflow_aml.definition.loading import load_file
from airflow_aml.errors import (
    RunEnvironmentException,
    UserErrorException,
    WorkspaceException,
)
from airflow_aml.workspace.computes import record_of

IDIOM = """
# airflow dag
from airflow_aml import *
ws = Workspace()
name = "cpu-cluster"
if name in ws.compute_targets:
    target = ws.compute_targets[name]
    assert type(target) is AmlCompute
else:
    config = AmlCompute.provisioning_configuration(
        vm_size="STANDARD_NC6", min_nodes=1, max_nodes=4)
    target = ComputeTarget.create(ws, name, config)
    target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
step = PythonScriptStep("a.py", source_directory="src", compute_target=target)
"""


@pytest.fixture
def site(monkeypatch):
    """Sets the site's computes."""

    def define(**documents):
        monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps(documents))

    return define


@pytest.fixture(autouse=True)
def no_airflow_settings(workspace):
    """Each test has a workspace of its own."""


def test_a_program_creates_a_cluster_when_it_is_missing():
    """The idiom of v1's guide: look, create on the exception, look again."""
    ws = Workspace()
    for given in (5, None):
        with pytest.raises(ComputeTargetException, match=f"{given} not found in provided"):
            ComputeTarget(ws, given)
    with pytest.raises(ComputeTargetException, match="cpu-cluster not found in provided"):
        ComputeTarget(workspace=ws, name="cpu-cluster")
    config = AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=4)

    made = ComputeTarget.create(ws, "cpu-cluster", config)
    made.wait_for_completion(show_output=True)

    again = ComputeTarget(workspace=ws, name="cpu-cluster")
    assert type(again) is AmlCompute
    assert again.provisioning_state == "Succeeded"
    assert again.status.serialize() == again.get_status().serialize()
    assert again.get_status().serialize()["scaleSettings"]["maxNodeCount"] == 4
    assert again.get_status().vm_size == "STANDARD_D2_V2"
    assert list(ws.compute_targets) == ["cpu-cluster"]
    assert again.list_nodes() == []
    again.update(max_nodes=8)
    assert ComputeTarget(ws, "cpu-cluster").serialize()["max_nodes"] == 8

    again.delete()

    assert dict(ws.compute_targets) == {}


def test_an_unknown_compute_lists_names_like_it(site):
    """A typing error in a name is told as one."""
    site(**{"gpu-cluster": {}})

    with pytest.raises(ComputeTargetException, match="Did you mean 'gpu-cluster'"):
        ComputeTarget(Workspace(), "gpu-clster")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "max nodes count is mandatory"),
        ({"max_nodes": 1, "min_nodes": 2}, "must be at least 1 and min_nodes"),
        ({"max_nodes": 1, "vm_priority": "cheap"}, "'dedicated' or 'lowpriority'"),
        ({"max_nodes": 1, "vnet_name": "a"}, "together or not"),
    ],
)
def test_what_v1_refuses_of_a_cluster_is_refused(given, said):
    """With v1's exception."""
    with pytest.raises(ComputeTargetException, match=said):
        AmlCompute.provisioning_configuration("STANDARD_D2_V2", **given)


def test_reserved_and_impossible_names_are_refused():
    """As in v1."""
    config = AmlCompute.provisioning_configuration(max_nodes=1)
    for name in ("local", "AmlCompute", "default", "a b", ""):
        with pytest.raises(UserErrorException):
            ComputeTarget.create(Workspace(), name, config)


def test_what_is_secret_of_an_attached_service_is_kept_nowhere(workspace):
    """The token is in no file, and its owner is told where it belongs."""
    with pytest.warns(UserWarning, match="access_token of a Databricks compute is kept nowhere"):
        config = DatabricksCompute.attach_configuration(
            resource_group="rg", workspace_name="dbw", access_token="dapi-0123456789"
        )

    made = ComputeTarget.attach(Workspace(), "bricks", config)

    assert type(made) is DatabricksCompute
    assert made.is_attached
    found = ComputeTarget(Workspace(), "bricks").serialize()
    assert found["settings"] == {"resource_group": "rg", "workspace_name": "dbw"}
    for path in workspace.root.rglob("*"):
        assert not path.is_file() or b"dapi-0123456789" not in path.read_bytes()
    for wrong in ({}, {"resource_group": "rg"}, {"resource_id": "x", "resource_group": "rg"}):
        with pytest.raises(ComputeTargetException, match="resource_group"):
            DataFactoryCompute.attach_configuration(**wrong)


def test_a_data_factory_is_made_by_its_name(workspace):
    """v1 would make one; here the name is known from then on, and nothing was made."""
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(Workspace(), "adf")
    config = DataFactoryCompute.provisioning_configuration(location="westeurope")
    made = ComputeTarget.create(Workspace(), "adf", config)

    made.wait_for_completion(show_output=False)
    found = ComputeTarget(Workspace(), "adf")
    assert type(found) is DataFactoryCompute
    assert found.serialize()["settings"] == {"location": "westeurope"}


def test_the_sites_word_counts_before_a_programs(site):
    """What a program creates under a name of the site's is the site's."""
    site(gpu={"kind": "docker", "image": "team/train:1", "gpu": 2})

    made = ComputeTarget.create(
        Workspace(), "gpu", AmlCompute.provisioning_configuration("STANDARD_NC6", max_nodes=1)
    )

    assert made.serialize()["image"] == "team/train:1"
    assert ComputeTarget(Workspace(), "gpu").serialize()["gpu"] == 2


def test_a_file_that_is_loaded_declares_its_computes(write, workspace):
    """Nothing is read or written; the same file finds what it has declared."""
    write("src/a.py", "")
    path = write("p.py", IDIOM + "again = ComputeTarget(ws, name)\nPipeline(ws, [step])\n")

    declared = load_file(str(path))

    (action,) = declared.setup
    assert action.action == "create_compute"
    assert action.arguments["record"]["vm_size"] == "STANDARD_NC6"
    assert not (workspace.root / "registry").exists()


def test_a_file_that_is_loaded_declares_what_it_attaches(write, workspace):
    """The service is known to the file from then on; nothing is written, and no key is kept."""
    write("src/a.py", "")
    path = write(
        "p.py",
        """
        from airflow_aml import *
        ws = Workspace()
        config = DatabricksCompute.attach_configuration(
            resource_group="rg", workspace_name="dbw", access_token="dapi-0123456789")
        ComputeTarget.attach(ws, "bricks", config).wait_for_completion(show_output=True)
        assert ComputeTarget(ws, "bricks").type == "Databricks"
        Pipeline(ws, [PythonScriptStep("a.py", source_directory="src")])
        """,
    )

    with pytest.warns(UserWarning, match="access_token of a Databricks compute is kept nowhere"):
        (action,) = load_file(str(path)).setup

    assert action.arguments["record"]["settings"] == {
        "resource_group": "rg",
        "workspace_name": "dbw",
    }
    assert "dapi" not in repr(action) + repr(action.secret)
    assert not (workspace.root / "registry").exists()


def test_a_file_may_take_a_compute_of_azures_by_its_name(write, site):
    """Where the site has defined none, it stands for the default one, as the name alone does."""
    write("src/a.py", "")
    text = (
        "from airflow_aml import *\nws = Workspace()\n"
        "assert 'mine' not in ws.compute_targets and not ws.compute_targets.get('mine')\n"
        "Pipeline(ws, [PythonScriptStep('a.py', source_directory='src',\n"
        "    compute_target=ws.compute_targets['mine'])])\n"
    )
    path = write("p.py", text)

    ((_, declared),) = load_file(str(path)).declared()
    assert declared.pipeline.spec.nodes[0].compute == "mine"

    site(other={})
    with pytest.raises(UserErrorException, match="KeyError"):
        load_file(str(path))


def test_a_program_may_take_a_compute_of_azures_by_its_name(site):
    """The same in a program that runs: it is told when the site knows better."""
    found = Workspace().compute_targets
    assert (found["STANDARD_NC6"].name, list(found)) == ("STANDARD_NC6", [])

    site(other={})
    with pytest.raises(KeyError, match="STANDARD_NC6"):
        _ = Workspace().compute_targets["STANDARD_NC6"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_nodes": "4"}, "max_nodes must be a whole number, not '4'"),
        ({"max_nodes": 1, "min_nodes": None}, "min_nodes must be a whole number"),
        ({"max_nodes": 1, "min_nodes": 3}, r"max_nodes \(1\) must be at least 1 and min_nodes"),
    ],
)
def test_limits_that_no_cluster_can_have_are_refused(limits, said):
    """When a cluster is made, and when it is changed."""
    with pytest.raises(ComputeTargetException, match=said):
        AmlCompute.provisioning_configuration("STANDARD_D2_V2", **limits)


def test_a_change_to_limits_that_no_cluster_can_have_changes_nothing():
    """What was there is there."""
    ws = Workspace()
    made = ComputeTarget.create(ws, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))

    with pytest.raises(ComputeTargetException, match=r"max_nodes \(2\) must be at least 1 and min"):
        made.update(min_nodes=3)

    assert ComputeTarget(ws, "cpu").get_status().scale_settings["minNodeCount"] == 0


def test_a_compute_survives_being_serialized():
    """``deserialize`` reads what ``serialize`` told; nothing of Azure's is behind a compute."""
    ws = Workspace()
    made = ComputeTarget.create(ws, "cpu", AmlCompute.provisioning_configuration(max_nodes=2))

    again = ComputeTarget.deserialize(ws, made.serialize())

    assert type(again) is AmlCompute
    assert again.serialize() == made.serialize()
    assert again.cluster_resource_id is None


def test_a_step_creates_attaches_and_deletes_no_computes(monkeypatch):
    """It runs on one."""
    ws = Workspace()
    made = ComputeTarget.create(ws, "cpu", AmlCompute.provisioning_configuration(max_nodes=1))
    monkeypatch.setenv("AIRFLOW_AML_ATTEMPT", "an attempt")

    with pytest.raises(RunEnvironmentException, match="creates or attaches no computes"):
        ComputeTarget.create(ws, "more", AmlCompute.provisioning_configuration(max_nodes=1))
    with pytest.raises(RunEnvironmentException, match="deletes no computes"):
        made.delete()
    config = DataFactoryCompute.attach_configuration(resource_group="rg", factory_name="f")
    with pytest.raises(RunEnvironmentException, match="creates or attaches no computes"):
        ComputeTarget.attach(ws, "adf", config)


SCRIPT = """
from azureml.core import Workspace
from azureml.core.compute import AmlCompute, ComputeTarget
config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
ComputeTarget.create(Workspace.from_config(), "mine", config)
"""


def test_a_script_that_creates_a_compute_fails_and_says_why(write, one_dag, run_dag, workspace):
    """In a real step; nothing is kept."""
    write("src/a.py", SCRIPT)
    write("p.py", "# airflow dag\nfrom airflow_aml import *\nPipeline('ws', [PythonScriptStep(\n"
          "    'a.py', source_directory='src')])\n")  # fmt: skip

    ran = run_dag(one_dag())

    assert ran.states["a"] == "failed"
    (told,) = workspace.root.glob("runs/*/failed/a")
    assert "a step's script creates or attaches no computes" in told.read_text()
    assert not list(workspace.root.glob("registry/compute/*"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"kind": "dokcer"}, "kind must be 'local', 'docker' or 'kubernetes', not 'dokcer'"),
        ({"imgae": "a"}, "unknown 'imgae'. A document may have: kind, type, environment, image"),
        ({"memory": "8 GB"}, "memory must be a text such as '512m'"),
        ({"memory": 8}, "memory"),
        ({"memory": "0"}, "memory must be a text such as '512m'"),
        ({"shm_size": "-1"}, "shm_size must be a text such as '512m'"),
        ({"kind": "docker", "vm_size": "STANDARD_X1"}, "vm_size 'STANDARD_X1' is not known here"),
        ({"image": "team/train:1"}, "an 'image' needs a kind: 'docker' or 'kubernetes'"),
        ({"user": "nobody"}, "user must be a text such as '1000'"),
        ({"cpu": 0}, "cpu must be more than 0"),
        ({"transport": "ftp"}, "transport must be 'mounts' or 'archive'"),
        ({"host_path_map": {"data": "/srv"}}, "absolute folders"),
        ({"max_nodes": 0}, "max_nodes must be at least 1"),
        ({"volumes": {"aml": "claim"}}, "volumes are absolute folders; ['aml'] is none"),
        ({"pod_template": "a.yaml"}, "pod_template must be the absolute path of a YAML file"),
        ({"startup_seconds": 0}, "startup_seconds must be more than 0"),
        ({"kind": "kubernetes", "engine": "a"}, "'engine' is for computes of kind 'docker'"),
        ({"kind": "docker", "namespace": "a"}, "'namespace' is for computes of kind 'kubernetes'"),
        ({"pool": "cores", "max_nodes": 4, "pool_slots": 8}, "pool_slots must be from 1 to max_"),
        ({"pool_slots": 0}, "pool_slots must be from 1"),
        ({"environment": ":1"}, "environment must be a name or 'name:version'"),
        ([], "is not an object"),
    ],
)
def test_a_wrong_document_of_the_site_is_told_by_name(document, said):
    """One sentence: which compute, and what is wrong with it."""
    with pytest.raises(WorkspaceException) as raised:
        record_of("gpu", document)

    assert str(raised.value).startswith("[aml] computes, 'gpu': ")
    assert said in str(raised.value)


def test_a_setting_that_is_no_json_is_told(monkeypatch):
    """By its name."""
    monkeypatch.setenv("AIRFLOW__AML__COMPUTES", "gpu=docker")

    with pytest.raises(WorkspaceException, match=r"\[aml\] computes is not JSON"):
        ComputeTarget(Workspace(), "gpu")


def test_a_machines_name_says_its_size():
    """The table of v1's machines; what a document says itself counts before it."""
    sized = record_of("gpu", {"vm_size": "standard_nc6", "memory": "4g"}).sized

    assert (sized.cpu, sized.memory, sized.gpu) == (6, "4g", 1)
    assert record_of("cpu", {"vm_size": "Standard_D2_v2"}).sized.memory == "7168m"

"""Models: registered by programs and scripts, found again by name, version and tags."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from airflow_aml import Dataset, Model, ResourceConfiguration, Run, Workspace
from airflow_aml.errors import ModelNotFoundException, UserErrorException


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", str(tmp_path / "aml"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Workspace()


@pytest.fixture
def pickle(ws: Workspace) -> str:
    Path("model.pkl").write_bytes(b"weights")
    return "model.pkl"


def test_a_model_is_registered_and_found_again(ws: Workspace, pickle: str) -> None:
    """As the v1 tutorials do it: register, look up by name, download."""
    first = Model.register(
        workspace=ws,
        model_path=pickle,
        model_name="diabetes",
        tags={"area": "health"},
        properties={"auc": 0.8},
        description="a ridge",
        model_framework="ScikitLearn",
        model_framework_version="1.5",
    )
    Path("model.pkl").write_bytes(b"better weights")
    with pytest.warns(UserWarning, match="Model.register does not know tag="):
        second = Model.register(
            ws, pickle, "diabetes", tags={"area": "health", "best": "yes"}, tag="best"
        )

    assert (first.name, first.version, first.id) == ("diabetes", 1, "diabetes:1")
    assert (first.model_framework, first.properties) == ("ScikitLearn", {"auc": 0.8})
    assert Model(ws, "diabetes").version == second.version == 2
    assert Model(ws, "diabetes", version=1).description == "a ridge"
    assert Model(ws, id="diabetes:1").tags == {"area": "health"}
    assert Path(Model(ws, "diabetes").download("there")).read_bytes() == b"better weights"
    assert Path(first.download("first")).read_bytes() == b"weights"
    with pytest.raises(UserErrorException, match="exists already"):
        first.download("first")
    with pytest.raises(UserErrorException, match=r"model.pkl.x' cannot be a folder to download"):
        first.download("model.pkl/x")
    assert first.download("first", exist_ok=True) == os.path.join("first", "model.pkl")


@pytest.mark.parametrize("name", ["..", "a/b", "x\0", "x:2", "", " a", None])
def test_names_that_no_model_has(ws: Workspace, pickle: str, name: str) -> None:
    """As in v1; a colon stands between name and version in an id."""
    with pytest.raises(UserErrorException, match="cannot be a model's name: up to 255 letters"):
        Model.register(ws, pickle, name)


def test_a_folder_is_a_model(ws: Workspace) -> None:
    """A folder keeps its name and everything in it."""
    Path("saved/variables").mkdir(parents=True)
    Path("saved/graph.pb").write_text("g")
    Path("saved/variables/größe.bin").write_text("v")

    model = Model.register(ws, "saved", "tf")

    assert model.download("to") == os.path.join("to", "saved")
    assert Path("to/saved/variables/größe.bin").read_text() == "v"


def test_models_are_searched(ws: Workspace, pickle: str) -> None:
    """By tags, properties and name, in each of v1's forms."""
    Model.register(ws, pickle, "a", tags={"stage": "dev"})
    Model.register(ws, pickle, "a", tags={"stage": "prod", "eu": "1"}, properties={"n": 3})
    Model.register(ws, pickle, "b", tags={"stage": "prod"})

    def ids(**wanted):
        return [model.id for model in Model.list(ws, **wanted)]

    assert ids() == ["a:2", "a:1", "b:1"]
    assert ids(latest=True) == ["a:2", "b:1"]
    assert ids(name="a") == ["a:2", "a:1"]
    assert ids(tags=[["stage", "prod"]]) == ["a:2", "b:1"]
    assert ids(tags=["eu"]) == ids(tags="eu") == ids(properties={"n": 3}) == ["a:2"]
    assert ids(name="no such") == []
    assert {name: model.version for name, model in ws.models.items()} == {"a": 2, "b": 1}
    assert Model(ws, "a", tags={"stage": "dev"}).version == 1
    with pytest.raises(ModelNotFoundException, match="no version of model 'a' has these tags"):
        Model(ws, "a", tags={"stage": "gone"})


def test_what_is_not_there(ws: Workspace, pickle: str) -> None:
    """One sentence, with names like the one that was asked for."""
    Model.register(ws, pickle, "diabetes")

    with pytest.raises(ModelNotFoundException, match=r"no model named 'diabets'\. Is it"):
        Model(ws, "diabets")
    with pytest.raises(ModelNotFoundException, match=r"has no version 7\. Its versions: 1"):
        Model(ws, "diabetes", version=7)
    with pytest.warns(UserWarning, match="Model does not know vesion="):
        assert Model(ws, "diabetes", vesion=7).version == 1
    with pytest.warns(UserWarning, match=r"Model\.list does not know tag="):
        assert len(Model.list(ws, expand=False, tag="a")) == 1
    with pytest.raises(UserErrorException, match=r"there is no file or folder 'gone\.pkl' in "):
        Model.register(ws, "gone.pkl", "x")
    with pytest.raises(AttributeError, match=r"Model\.deploy is not served"):
        Model(ws, "diabetes").deploy()


def test_a_deleted_version_is_gone_for_good(ws: Workspace, pickle: str) -> None:
    """Its files go, its number is not used again, and the latest is the one before."""
    Model.register(ws, pickle, "m")
    second = Model.register(ws, pickle, "m")
    second.delete()

    for call in (second.delete, lambda: second.add_tags({"a": "1"})):
        with pytest.raises(UserErrorException, match="version 2 of model 'm' has been deleted"):
            call()
    assert Model(ws, "m").version == 1
    with pytest.raises(ModelNotFoundException, match="version 2 of model 'm' has been deleted"):
        Model(ws, "m", version=2)
    assert Model.register(ws, pickle, "m").version == 3
    assert len(list(Path(os.environ["AIRFLOW__AML__WORKSPACE"], "models").rglob("*.pkl"))) == 2


def test_tags_change_and_properties_do_not(ws: Workspace, pickle: str) -> None:
    """update, add_tags, remove_tags and add_properties, seen by whoever looks next."""
    model = Model.register(ws, pickle, "m", tags={"a": "1"}, properties={"p": "1"})
    model.add_tags({"b": "2"})
    model.remove_tags(["a"])
    with pytest.raises(UserErrorException, match="property 'p' is '1' already; properties do not"):
        model.add_properties({"q": "3", "p": "changed"})
    model.add_properties({"p": "1", "q": "2"})
    model.update(description="new")

    seen = Model(ws, "m")
    assert seen.tags == {"b": "2"}
    assert seen.properties == {"p": "1", "q": "2"}
    assert json.loads(json.dumps(seen.serialize()))["description"] == "new"


def test_a_model_keeps_what_it_was_registered_with(ws: Workspace, pickle: str) -> None:
    """Framework, datasets, resources; what was not given is None, and what is none is refused."""
    Path("rows.csv").write_text("a,b\n1,2\n")
    rows = Dataset.Tabular.from_delimited_files(os.path.abspath("rows.csv"))
    resources = ResourceConfiguration(cpu=0.5, memory_in_gb=1)
    given = Model.register(
        ws,
        pickle,
        "m",
        model_framework=Model.Framework.SCIKITLEARN,
        model_framework_version="1.5",
        datasets=[("training", rows)],
        sample_input_dataset=rows,
        resource_configuration=resources,
    )

    seen = Model(ws, "m")
    assert (seen.model_framework, seen.model_framework_version) == ("ScikitLearn", "1.5")
    assert seen.sample_input_dataset.to_pandas_dataframe().to_dict("list") == {"a": [1], "b": [2]}
    assert [each.id for each in seen.datasets["training"]] == [rows.id]
    assert seen.resource_configuration == resources
    assert (seen.sample_output_dataset, seen.created_by, seen.unpack) == (None, None, None)
    given.update(sample_output_dataset=rows)
    assert Model(ws, "m").sample_output_dataset.id == rows.id
    with pytest.raises(
        UserErrorException, match=r"sample_input_dataset= takes a dataset, not a int"
    ):
        Model.register(ws, pickle, "m", sample_input_dataset=5)
    with pytest.raises(UserErrorException, match="no dataset"):
        Model.register(ws, pickle, "m", sample_input_dataset="5c0ffee")
    with pytest.raises(UserErrorException, match="is a ResourceConfiguration, not a dict"):
        given.update(resource_configuration={"cpu": 1})
    with pytest.raises(UserErrorException, match=r"Model\.add_tags takes a dict, not 'a'"):
        given.add_tags("a")


def test_many_register_at_once(ws: Workspace, pickle: str) -> None:
    """Each gets a version of its own, and none is lost."""
    made: list[int] = []

    def register() -> None:
        made.append(Model.register(ws, pickle, "m").version)

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(1, 9))


def test_the_path_of_a_model(
    ws: Workspace, pickle: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From AZUREML_MODEL_DIR, from ./azureml-models, else from the run's workspace."""
    Model.register(ws, pickle, "m")
    with pytest.raises(ModelNotFoundException, match="is not below 'azureml-models'"):
        Model.get_model_path("m")

    found = Model.get_model_path("m", _workspace=ws)
    assert found == os.path.join("azureml-models", "m", "1", "model.pkl")
    assert Model.get_model_path("m") == found
    served = tmp_path / "served/m/4"
    served.mkdir(parents=True)
    (served / "other.pkl").write_text("x")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / "served"))
    assert Model.get_model_path("m") == str(served / "other.pkl")
    with pytest.raises(ModelNotFoundException):
        Model.get_model_path("m", version=9, _workspace=ws)


def test_a_script_registers_what_it_made(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """run.register_model takes what is in ./outputs or was uploaded; the model knows its run."""
    monkeypatch.setenv("AZUREML_RUN_ID", "the-step")
    monkeypatch.setenv("AIRFLOW_AML_RECORD", str(tmp_path / "record"))
    run = Run.get_context()
    Path("outputs/deep").mkdir(parents=True)
    Path("outputs/deep/a.pkl").write_text("a")
    Path("uploaded.pkl").write_text("u")
    run.upload_file("outputs/u.pkl", "uploaded.pkl")

    one = run.register_model("one", model_path="outputs/u.pkl", tags={"k": "v"})
    folder = run.register_model("all", model_path="outputs/deep")

    assert (one.run_id, one.tags) == ("the-step", {"k": "v"})
    assert Path(one.download("x")).read_text() == "u"
    assert Path(folder.download("y"), "a.pkl").read_text() == "a"
    with pytest.raises(UserErrorException, match=r"no file 'outputs/no.pkl'; its files: 'outputs/"):
        run.register_model("no", "outputs/no.pkl")

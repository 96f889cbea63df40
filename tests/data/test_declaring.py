"""While a file is only being loaded nothing is read or done: it is declared, and done by a run."""

from __future__ import annotations

import contextvars
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_aml import (
    Dataset,
    Datastore,
    Model,
    OutputFileDatasetConfig,
    Pipeline,
    PythonScriptStep,
)
from airflow_aml.definition.applying import apply_setup
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.registered import save_definitions
from airflow_aml.definition.spec import PipelineSpec, Registered
from airflow_aml.errors import RunEnvironmentException, UserErrorException
from airflow_aml.workspace.datastores import default_datastore, load_datastore, secret_of

SECRET = "s3cr3t"


@pytest.fixture
def step(project):
    """Makes a step that runs ``src/step.py``."""
    (project / "src").mkdir()
    (project / "src" / "step.py").write_text("")

    def make(**options):
        return PythonScriptStep("step.py", source_directory="src", **options)

    return make


def test_nothing_happens_while_a_file_is_loaded(ws, declared, workspace, project):
    """Not a file is written, in the workspace or elsewhere; actions are noted in their order."""
    before = sorted(workspace.root.rglob("*"))
    (project / "iris.csv").write_text("a\n1\n")

    store = Datastore.register_azure_blob_container(
        ws, "blobs", "box", account_name="acc", account_key=SECRET
    )
    store.set_as_default()
    ws.get_default_datastore().upload_files(["iris.csv"], target_path="t", overwrite=True)
    store.upload("data", "d")
    Dataset.File.upload_directory("data", (store, "d"), pattern="*.csv")
    made = Dataset.Tabular.from_delimited_files((store, "t/iris.csv")).register(ws, "iris")

    assert sorted(workspace.root.rglob("*")) == before
    assert [action.action for action in declared.setup] == [
        "register_datastore",
        "set_default_datastore",
        "upload_files",
        "upload_folder",
        "upload_folder",
        "register_dataset",
    ]
    assert (made.name, made.version) == ("iris", None)
    json.dumps([action.to_dict() for action in declared.setup])


def test_a_declared_secret_is_in_no_text(ws, declared):
    """Neither in the action's repr nor in its JSON."""
    Datastore.register_azure_blob_container(ws, "b", "box", account_name="a", account_key=SECRET)

    (action,) = declared.setup

    assert action.secret == {"account_key": SECRET}
    assert SECRET not in repr(action)
    assert SECRET not in json.dumps(action.to_dict())


@pytest.mark.parametrize(
    "read",
    [
        lambda ws, ds: ds.to_path(),
        lambda ws, ds: ds.download(),
        lambda ws, ds: ds.mount(),
        lambda ws, ds: ds.get_partition_key_values(),
        lambda ws, ds: Dataset.Tabular.from_delimited_files("x.csv").to_pandas_dataframe(),
        lambda ws, ds: Dataset.Tabular.register_pandas_dataframe(None, None, "x"),
        lambda ws, ds: Dataset.get_by_id(ws, "x"),
        lambda ws, ds: Dataset.get_by_name(ws, "x").to_pandas_dataframe(),
        lambda ws, ds: Dataset.get_by_name(ws, "x").id,
        lambda ws, ds: ws.get_default_datastore().download("x"),
        lambda ws, ds: Datastore(ws, "x").unregister(),
        lambda ws, ds: Model(ws, "x"),
        lambda ws, ds: Model.list(ws),
        lambda ws, ds: Datastore(ws, "x").account_name,
    ],
)
def test_reading_while_a_file_is_loaded_is_refused(ws, declared, read):
    """A DAG file that reads data each time it is parsed would be slow, or wrong."""
    with pytest.raises(RunEnvironmentException, match="loaded"):
        read(ws, Dataset.File.from_files("x"))


def test_names_are_taken_as_they_are_while_a_file_is_loaded(ws, declared, step):
    """get_by_name gives a reference that a run looks up; `latest` stays latest."""
    data = Dataset.get_by_name(ws, "prepared")
    one = Dataset.get_by_name(ws, "prepared", version=3)
    table = ws.datasets["other"].keep_columns(["a"])

    spec = Pipeline(
        ws,
        [
            step(
                inputs=[data, one.as_named_input("one").as_download()],
                arguments=[data.as_named_input("data").as_mount(), table.as_named_input("table")],
            )
        ],
    ).spec
    sources = {port.name: port.source for port in spec.nodes[0].inputs}

    assert sources["data"] == Registered("prepared")
    assert sources["one"] == Registered("prepared", 3)
    assert sources["table"].operations[0].name == "keep_columns"
    assert PipelineSpec.from_json(spec.to_json()) == spec
    assert (data.name, data.version, one.version) == ("prepared", None, 3)


def test_what_a_file_registers_is_known_to_it(ws, declared):
    """`if name not in ws.datasets: register` declares, each time the file is loaded."""
    assert "iris" not in ws.datasets
    Dataset.File.from_files("iris.csv").register(ws, "iris")

    assert "iris" in ws.datasets


def test_a_submitted_pipeline_takes_what_was_declared_before_it(ws, declared, project, step):
    """What follows a submit belongs to the next one; one that is only built gets all."""
    from airflow_aml import Experiment

    Dataset.File.from_files("a").register(ws, "a")
    built = Pipeline(ws, [step()])
    Experiment(ws, "exp").submit(built)
    Dataset.File.from_files("b").register(ws, "b")
    other = Pipeline(ws, [step()])
    Experiment(ws, "other").submit(other)

    setups = {item.name: item.setup for _, item in declared.declared()}

    assert [len(setups["exp"]), len(setups["other"])] == [1, 2]


def test_a_run_does_what_was_declared_and_again_changes_nothing(ws, workspace, project, tmp_path):
    """Each action is done once; a second run finds all as it should be."""
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.engine import using

    (project / "data").mkdir()
    (project / "data" / "a.csv").write_text("n\n1\n")
    (tmp_path / "mine").mkdir()
    declarations = Declarations(str(project / "pipeline.py"), str(project))
    with using(declarations):
        store = Datastore.register_local(ws, "mine", str(tmp_path / "mine"))
        store.set_as_default()
        store.upload("data", "d", overwrite=True)
        Dataset.Tabular.from_delimited_files((store, "d/*.csv")).register(ws, "table")
        Dataset.File.from_files("data").register(ws, "files", create_new_version=True)

    said = []
    done = apply_setup(declarations.setup, str(project), workspace, said.append)

    assert said == done
    assert default_datastore(workspace) == "mine"
    assert (tmp_path / "mine" / "d" / "a.csv").exists()
    assert Dataset.get_by_name(ws, "table").to_pandas_dataframe()["n"].tolist() == [1]
    written = (tmp_path / "mine" / "d" / "a.csv").stat().st_mtime_ns

    apply_setup(declarations.setup, str(project), workspace)

    assert (tmp_path / "mine" / "d" / "a.csv").stat().st_mtime_ns == written
    assert Dataset.get_by_name(ws, "table").version == 1
    assert Dataset.get_by_name(ws, "files").version == 1


@pytest.fixture
def model_run(ws, workspace, project):
    """Declares a model as a file would, and applies it as a run would; says what was done."""
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.engine import using

    def run(**options):
        declarations = Declarations(str(project / "pipeline.py"), str(project))
        with using(declarations):
            model = Model.register(ws, "ridge.pkl", "ridge", **options)
        assert (model.name, model.version, model.id) == ("ridge", 0, "ridge:0")
        json.dumps([action.to_dict() for action in declarations.setup])
        (said,) = apply_setup(declarations.setup, str(project), workspace)
        return said

    return run


def test_a_declared_model_is_registered_once(ws, project, model_run):
    """Another file, or something else said of it, is a new version; what was deleted stays so."""
    (project / "ridge.pkl").write_text("one")
    data = Dataset.File.from_files((ws.get_default_datastore(), "t"))

    assert model_run(tags={"a": "b"}) == "model 'ridge' is registered, version 1"
    assert model_run(tags={"a": "b"}) == "model 'ridge' is registered already, version 1"
    assert model_run(datasets=[("training", data)]) == "model 'ridge' is registered, version 2"
    (project / "ridge.pkl").write_text("two")
    assert model_run(tags={"a": "b"}) == "model 'ridge' is registered, version 3"
    Model(ws, "ridge", version=3).delete()
    assert model_run(tags={"a": "b"}) == "model 'ridge' is registered already, version 3"

    assert [each.version for each in Model.list(ws, "ridge")] == [2, 1]
    assert Model(ws, "ridge", version=1).tags == {"a": "b"}
    assert Model(ws, "ridge", version=2).datasets["training"][0].id == data.id


def test_a_model_that_eight_runs_declare_at_once_is_registered_once(ws, project, model_run):
    """Whoever comes second takes his own version away again."""
    (project / "ridge.pkl").write_text("one")
    with ThreadPoolExecutor(8) as pool:
        context = [contextvars.copy_context() for _ in range(8)]
        said = list(pool.map(lambda each: each.run(model_run), context))

    (kept,) = Model.list(ws, "ridge")
    assert sum("already" not in each for each in said) == 1
    assert {each.rpartition(" ")[2] for each in said} == {str(kept.version)}


def test_a_declared_model_has_nothing_to_download_yet(ws, declared, project):
    """What only a registered model has is refused, and a file that is missing is named by a run."""
    model = Model.register(ws, "gone.pkl", "ridge")
    for use in (model.download, model.delete, lambda: model.add_tags({"a": "b"})):
        with pytest.raises(RunEnvironmentException, match="only being loaded"):
            use()
    with pytest.raises(UserErrorException, match=r"register model ridge.*no file.*gone\.pkl"):
        apply_setup(declared.setup, str(project), home_of(ws))


def test_a_changed_file_is_uploaded_anew(ws, workspace, project):
    """overwrite=True brings the datastore up to date with the project's files, at each run."""
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.engine import using

    (project / "a.csv").write_text("one")
    declarations = Declarations(str(project / "pipeline.py"), str(project))
    with using(declarations):
        ws.get_default_datastore().upload_files(["a.csv"], overwrite=True)
        ws.get_default_datastore().upload_files(["a.csv"], target_path="keep")
    apply_setup(declarations.setup, str(project), workspace)
    (project / "a.csv").write_text("two")

    apply_setup(declarations.setup, str(project), workspace)

    root = workspace.root / "datastores" / "workspaceblobstore"
    assert (root / "a.csv").read_text() == "two"
    assert (root / "keep" / "a.csv").read_text() == "one"


def test_a_declared_key_is_kept_when_a_run_starts(ws, workspace, declared, project):
    """The secret goes from the file into its own document, by way of nothing else."""
    Datastore.register_azure_blob_container(ws, "b", "box", account_name="a", account_key=SECRET)

    apply_setup(declared.setup, str(project), workspace)

    record = load_datastore(workspace, "b")
    assert secret_of(workspace, record) == {"account_key": SECRET}


def test_a_changed_key_is_kept_and_another_place_needs_overwrite(ws, workspace, project):
    """v1's conflict holds at a run's start too; a rotated key needs no overwrite=True."""
    from airflow_aml.definition.declarations import Declarations
    from airflow_aml.definition.engine import using

    def apply(box, key, **options):
        declarations = Declarations(str(project / "pipeline.py"), str(project))
        with using(declarations):
            Datastore.register_azure_blob_container(
                ws, "b", box, account_name="a", account_key=key, **options
            )
        apply_setup(declarations.setup, str(project), workspace)
        return Datastore(ws, "b")

    apply("one", "k1")
    assert apply("one", "k2").account_key == "k2"
    with pytest.raises(UserErrorException, match="Another datastore with the same name"):
        apply("two", "k2")
    assert apply("two", "k2", overwrite=True).container_name == "two"


def test_an_action_that_cannot_be_done_is_named(ws, workspace, declared, project):
    """A missing file, an unknown datastore."""
    ws.get_default_datastore().upload_files(["gone.csv"])
    with pytest.raises(UserErrorException, match=r"upload files.*gone\.csv"):
        apply_setup(declared.setup, str(project), workspace)

    Datastore(ws, "unknown").upload("data")
    (project / "data").mkdir()
    with pytest.raises(UserErrorException, match=r"upload folder unknown.*no datastore 'unknown'"):
        apply_setup(declared.setup[1:], str(project), workspace)


def test_inputs_are_pinned_when_a_run_starts(ws, workspace, store, put, project, step):
    """Names become versions, the default datastore a name, each definition is saved by its id."""
    put("in/a.txt")
    (project / "local.txt").write_text("x")
    registered = Dataset.File.from_files((store, "in")).register(ws, "d")
    spec = Pipeline(
        ws,
        [
            step(
                inputs=[
                    Dataset.get_by_name(ws, "d").as_named_input("d"),
                    Dataset.File.from_files((store, "in")).as_named_input("direct"),
                    Dataset.File.from_files("local.txt").as_named_input("local").as_mount(),
                    Dataset.Tabular.from_delimited_files("local.txt").as_named_input("table"),
                ]
            )
        ],
    ).spec

    (pinned,) = save_definitions(spec, workspace, str(project)).values()

    assert (pinned["d"].name, pinned["d"].version, pinned["d"].id) == ("d", 1, registered.id)
    assert pinned["direct"].id == registered.id
    assert pinned["direct"].places[0].datastore == "workspaceblobstore"
    assert pinned["local"].places[0].path == str(project / "local.txt")
    for name in ("direct", "local"):
        assert Dataset.get_by_id(ws, pinned[name].id).to_path()
    assert Dataset.get_by_id(ws, pinned["table"].id).is_tabular


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda ws: Dataset.get_by_name(ws, "reviews"), "input 'x'.*no dataset.*'reviews'"),
        (lambda ws: Dataset.get_by_name(ws, "d", version=9), "input 'x'.*no version 9"),
        (
            lambda ws: Dataset.File.from_files((Datastore(ws, "elsewhere"), "a")),
            "input 'x'.*no datastore 'elsewhere'",
        ),
    ],
)
def test_what_is_not_there_is_said_when_a_run_starts(
    ws, workspace, store, put, declared, project, step, make, words
):
    """With the step's and the input's name."""
    spec = Pipeline(ws, [step(inputs=[make(ws).as_named_input("x")])]).spec
    from airflow_aml.definition.engine import using

    with using(None):
        put("in/a.txt")
        Dataset.File.from_files((store, "in")).register(ws, "d")

    with pytest.raises(UserErrorException, match=f"(?s)step 'step.py', {words}"):
        save_definitions(spec, workspace, str(project))


def test_building_reads_nothing(ws, declared, workspace, step):
    """A pipeline with every kind of data is built without a look at the workspace."""
    import shutil

    shutil.rmtree(workspace.root)
    store = Datastore(ws, "anything")
    out = OutputFileDatasetConfig("o", (store, "p/{run-id}")).register_on_complete("made")

    Pipeline(
        ws,
        [
            step(
                inputs=[
                    Dataset.File.from_files((store, "x")).as_named_input("a"),
                    Dataset.File.from_files("https://host/x").as_named_input("w").as_mount(),
                    store.path("y"),
                ],
                outputs=[out],
            )
        ],
        default_datastore=ws.get_default_datastore(),
    )

    assert not workspace.root.exists()

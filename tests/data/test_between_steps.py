"""What passes between steps: output configs, PipelineData, references, registering outputs."""

from __future__ import annotations

import json

import pytest

from airflow_aml import (
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Dataset,
    DatasetConsumptionConfig,
    Datastore,
    DataType,
    HDFSOutputDatasetConfig,
    InputPortBinding,
    LinkFileOutputDatasetConfig,
    OutputFileDatasetConfig,
    OutputTabularDatasetConfig,
    Pipeline,
    PipelineData,
    PythonScriptStep,
    Run,
)
from airflow_aml.definition.registered import (
    link_variables,
    output_dataset,
    place_of_uri,
    register_outputs,
)
from airflow_aml.definition.spec import (
    InputRef,
    LocalPath,
    OutputRef,
    PipelineSpec,
    StepOutput,
    StoredPath,
    WorkspacePath,
)
from airflow_aml.errors import NotServedError, PipelineTypeError, UserErrorException


@pytest.fixture
def step(project, ws):
    """Makes a step that runs ``src/step.py``."""
    (project / "src").mkdir()
    (project / "src" / "step.py").write_text("")

    def make(name="step", **options):
        return PythonScriptStep("step.py", name=name, source_directory="src", **options)

    return make


def nodes(*steps):
    """The compiled steps by name; their spec survives JSON."""
    spec = Pipeline("default", list(steps)).spec
    assert PipelineSpec.from_json(spec.to_json()) == spec
    return {node.name: node for node in spec.nodes}


def test_seed_002_registers_although_the_copy_is_not_used(step, ws, workspace):
    """The guide registers a copy and gives the step the original: version 1 is there after it."""
    output_data1 = OutputFileDatasetConfig(
        destination=(ws.get_default_datastore(), "outputdataset/{run-id}")
    )
    output_data_dataset = output_data1.register_on_complete(name="prepared_output_data")
    node = nodes(step(arguments=["--output", output_data1]))["step"]
    committed = workspace.root / "datastores/workspaceblobstore/outputdataset/1"
    committed.mkdir(parents=True)
    (committed / "a.txt").write_text("x")

    reference = {"uri": committed.as_uri(), "digest": "d", "files": 1, "bytes": 1}
    (done,) = register_outputs(node, {"output_1": reference}, workspace, {"run": "r"})

    assert output_data_dataset is not output_data1
    assert (done.name, done.version, done.is_new) == ("prepared_output_data", 1, True)
    found = Dataset.get_by_name(ws, "prepared_output_data")
    assert (found.version, found.to_path()) == (1, ["/a.txt"])
    assert found._registered.version.origin == {"run": "r", "digest": "d", "files": 1, "bytes": 1}
    (again,) = register_outputs(node, {"output_1": reference}, workspace)
    assert (again.version, again.is_new) == (1, False)


def test_every_copy_stands_for_one_output(step):
    """as_mount, as_upload, register and read_*: the consumer waits for the same step."""
    out = OutputFileDatasetConfig("o")
    table = out.as_upload(overwrite=True, source_globs="*.csv").read_delimited_files()
    write = step("write", arguments=[out.as_upload(True, ["*.csv"])])
    read = step("read", inputs=[table.as_input("t")], arguments=[out.as_input("files")])

    made = nodes(read, write)

    assert made["read"].upstream == ("write",)
    assert [port.source.output for port in made["read"].inputs] == ["o", "o"]
    assert made["write"].outputs[0].source_globs == ("*.csv",)
    assert made["write"].outputs[0].mode == "upload"


def test_an_output_read_as_a_table_arrives_as_its_id(step):
    """Reading and column operations travel with the edge; the mode is direct."""
    out = OutputFileDatasetConfig("o")
    table = out.read_delimited_files(
        separator=";",
        path_glob=r".*\.csv$",
        set_column_types={"a": DataType.to_long()},
        header=False,
    )
    first, second = table.keep_columns(["a", "b"]).drop_columns("b").random_split(0.8, seed=1)
    read = step("read", arguments=[first.as_input("train"), second.as_input("test")])

    made = nodes(step("write", arguments=[out]), read)["read"]

    assert [port.mode for port in made.inputs] == ["direct", "direct"]
    source = made.inputs[0].source
    assert isinstance(source, StepOutput)
    assert source.reading.options == {
        "separator": ";",
        "header": "none",
        "path_glob": r".*\.csv$",
        "types": {"a": {"type": "long"}},
    }
    names = [operation.name for operation in source.operations]
    assert names == ["keep_columns", "drop_columns", "random_split"]
    parts = [port.source.operations[-1].arguments["part"] for port in made.inputs]
    assert parts == [1, 2]
    assert (first.name, second.name) == ("o_1", "o_2")


def test_a_table_of_an_output_is_read_in_the_next_step(step, workspace, ws):
    """The files that the step wrote, those that match, with the recorded operations."""
    out = OutputFileDatasetConfig("o").read_delimited_files(path_glob=r"\.csv$").keep_columns("a")
    made = nodes(step("w", outputs=[out]), step("r", inputs=[out.as_input("t")]))["r"]
    committed = workspace.root / "data/run/o"
    committed.mkdir(parents=True)
    (committed / "a.csv").write_text("a,b\n1,2\n")
    (committed / "notes.txt").write_text("no table")

    pinned = output_dataset(made.inputs[0].source, {"uri": committed.as_uri()}, workspace)

    assert pinned.places == (WorkspacePath("data/run/o"),)
    frame = Dataset.get_by_id(ws, pinned.id).to_pandas_dataframe()
    assert frame.to_dict("list") == {"a": [1]}


def test_a_registered_table_keeps_its_transformations(step, workspace, ws):
    """register_on_complete on a table registers a tabular dataset."""
    out = OutputFileDatasetConfig("o")
    table = out.read_parquet_files().keep_columns("a").register_on_complete("t", "d", {"k": "v"})
    out.register_on_complete("files")

    node = nodes(step(arguments=[out]))["step"]

    assert [each.name for each in node.outputs[0].registrations] == ["t", "files"]
    first = node.outputs[0].registrations[0]
    assert (first.reading.format, first.description, first.tags) == ("parquet", "d", {"k": "v"})
    assert isinstance(table, OutputTabularDatasetConfig)


def test_a_registration_reads_as_the_copy_that_the_step_was_given(step, workspace, ws):
    """Registered first and read afterwards it is a table, unless the step got the file copy."""
    files = OutputFileDatasetConfig("o").register_on_complete("t")
    table = files.read_delimited_files().keep_columns("a")

    (given_table,) = nodes(step(arguments=[table]))["step"].outputs[0].registrations
    assert given_table.reading is not None
    assert (given_table.reading.format, given_table.operations[0].name) == (
        "delimited",
        "keep_columns",
    )

    files = OutputFileDatasetConfig("o").register_on_complete("t")
    reader = step("reader", inputs=[files.read_delimited_files().as_input("table")])
    (given_files,) = nodes(step(arguments=[files]), reader)["step"].outputs[0].registrations
    assert given_files.reading is None


def test_a_path_glob_is_a_regular_expression():
    """v1's code takes it for one although its text says glob: a wrong one says so."""
    with pytest.raises(UserErrorException, match="no regular expression"):
        OutputFileDatasetConfig("o").read_delimited_files(path_glob="*.csv")


def test_output_configs_refuse_what_v1_refuses():
    """An empty registration name, a table built directly, HDFS."""
    with pytest.raises(ValueError, match="registration name of the dataset must not be empty"):
        OutputFileDatasetConfig("o").register_on_complete("")
    with pytest.raises(ValueError, match="cannot be built directly"):
        OutputTabularDatasetConfig()
    with pytest.raises(NotServedError, match="HDFSOutputDatasetConfig"):
        HDFSOutputDatasetConfig("o")
    with pytest.raises(UserErrorException, match="does not support mount"):
        OutputFileDatasetConfig("o").read_delimited_files().as_input("i").as_mount()
    with pytest.raises(NotServedError, match="hdfs"):
        OutputFileDatasetConfig("o").as_input("i").as_hdfs()


def test_a_tabular_dataset_is_an_input_by_its_id_only(step):
    """v1's text; mounted, it would be neither file nor folder."""
    table = Dataset.Tabular.from_delimited_files("x.csv")

    port = nodes(step(inputs=[table.as_named_input("t")]))["step"].inputs[0]

    assert (port.mode, port.source.reading.format) == ("direct", "delimited")
    with pytest.raises(UserErrorException, match="TabularDataset does not support mount"):
        table.as_named_input("t").as_mount()
    with pytest.raises(UserErrorException, match="mount, download, or direct"):
        DatasetConsumptionConfig("x", table, "nonsense")


def test_a_registered_name_may_be_no_ports_name(ws, step, store, put):
    """A raw dataset's input is named after it, as far as names go."""
    put("in/a.txt")
    made = Dataset.File.from_files((store, "in")).register(ws, "my data-1 ü")

    assert nodes(step(inputs=[made]))["step"].inputs[0].name == "my_data_1__"


def test_data_references_are_inputs(step, store):
    """v1's oldest way: in inputs and arguments, mounted or downloaded."""
    reference = store.path("in/a").as_download(path_on_compute="here")
    named = DataReference(store, "ref", "b")
    bound = InputPortBinding("bound", DataReference(store, path_on_datastore="c"))

    made = nodes(step(arguments=["--a", reference, "--b", named], inputs=[named, bound]))["step"]

    ports = {port.name: port for port in made.inputs}
    assert ports["workspaceblobstore"].source.paths == (StoredPath("", "in/a"),)
    assert ports["workspaceblobstore"].mode == "download"
    assert ports["workspaceblobstore"].path_on_compute == "here"
    assert {port.style for port in made.inputs} == {"reference"}
    assert ports["bound"].source.paths == (StoredPath("", "c"),)
    assert made.arguments[3] == InputRef("ref")
    assert str(named) == "$AZUREML_DATAREFERENCE_ref"


def test_data_paths_and_their_bindings(store):
    """A DataPath becomes a reference as its binding says."""
    path = DataPath(store, "a/b")
    binding = DataPathComputeBinding("download", "there", overwrite=True)

    reference = path.create_data_reference("x", binding)

    assert (reference.mode, reference.path_on_compute) == ("download", "there")
    assert DataPath.create_from_data_reference(reference).path_on_datastore == "a/b"
    assert path.datastore_name == "workspaceblobstore"
    assert reference.path("c").path_on_datastore == "a/b/c"
    with pytest.raises(ValueError, match="datastore parameter is required"):
        DataPath()
    with pytest.raises(UserErrorException, match="mount, download, or upload"):
        DataPathComputeBinding("direct")


def test_pipeline_data_as_a_dataset(step, ws):
    """v1's older form: written and registered by one step, read by the next, also as a table."""
    data = PipelineData("prepared", datastore=Datastore(ws, "workspacefilestore"))
    dataset = data.as_dataset()
    registered = dataset.register("reg")
    table = dataset.parse_delimited_files(file_extension=".csv").keep_columns("a")
    write = step("write", arguments=["--o", registered], outputs=[registered])
    read = step(
        "read",
        arguments=[dataset.as_download(), "x"],
        inputs=[dataset.as_download(), table.as_named_input("t"), dataset.as_direct()],
    )

    made = nodes(read, write)

    assert made["write"].arguments[1] == OutputRef("prepared")
    assert made["write"].outputs[0].style == "reference"
    assert [each.name for each in made["write"].outputs[0].registrations] == ["reg"]
    assert made["read"].arguments[0] == InputRef("INPUT_prepared") or made["read"].inputs
    ports = {port.name: port for port in made["read"].inputs}
    assert (ports["prepared"].mode, ports["prepared"].style) == ("download", "dataset")
    assert ports["t"].mode == "direct"
    assert ports["t"].source.reading.options == {"path_glob": r"\.csv$"}
    assert made["read"].upstream == ("write",)


def test_a_link_output_hands_on_a_dataset(step, workspace, ws, store, put, monkeypatch, tmp_path):
    """The script links a dataset; the next step gets its id; registering registers it."""
    put("in/a.csv", "a\n1\n")
    out = LinkFileOutputDatasetConfig("chosen").register_on_complete("linked")
    write = step("write", outputs=[out])
    made = nodes(write, step("read", inputs=[out.as_input("i")]))
    assert link_variables(made["write"]) == {"AZUREML_LINK_DATASET_OUTPUTS": "chosen"}
    assert link_variables(made["read"]) == {}
    assert made["read"].inputs[0].mode == "direct"

    folder = tmp_path / "staged"
    folder.mkdir()
    monkeypatch.setenv("AZUREML_RUN_ID", "r")
    monkeypatch.setenv("AZUREML_ARM_PROJECT_NAME", "exp")
    monkeypatch.setenv("AZUREML_DATASET_FILE_OUTPUTS", "chosen")
    monkeypatch.setenv("AZURE_ML_OUTPUT_chosen", str(folder))
    monkeypatch.setenv("AZUREML_LINK_DATASET_OUTPUTS", "chosen")
    linked = Dataset.Tabular.from_delimited_files((store, "in/a.csv"))
    Run.get_context().output_datasets["chosen"].link(linked)

    reference = {"uri": folder.as_uri()}
    pinned = output_dataset(made["read"].inputs[0].source, reference, workspace)
    register_outputs(made["write"], {"chosen": reference}, workspace)

    assert pinned.id == linked.id
    assert Dataset.get_by_id(ws, pinned.id).to_pandas_dataframe()["a"].tolist() == [1]
    assert Dataset.get_by_name(ws, "linked").id == linked.id
    with pytest.raises(UserErrorException, match="link takes a dataset"):
        Run.get_context().output_datasets["chosen"].link("x")


def test_a_committed_output_is_found_wherever_it_is(ws, workspace, tmp_path):
    """In a datastore, in the workspace, in a registered folder, or on this machine."""
    (tmp_path / "mine").mkdir()
    Datastore.register_local(ws, "mine", str(tmp_path / "mine"))

    def place(path):
        return place_of_uri(path.as_uri(), workspace)

    root = workspace.root
    stored = root / "datastores/workspacefilestore/a ü/b"
    assert place(stored) == StoredPath("workspacefilestore", "a ü/b")
    assert place(root / "data/run/o") == WorkspacePath("data/run/o")
    assert place(tmp_path / "else") == LocalPath(str(tmp_path / "else"))
    with pytest.raises(UserErrorException, match="no datastore"):
        place_of_uri("s3://other/x", workspace)


def test_specs_without_the_new_fields_are_read():
    """A spec of the release before means what it meant."""
    old = json.dumps(
        {
            "version": 1,
            "nodes": [
                {
                    "id": "a",
                    "name": "a",
                    "kind": "python_script",
                    "script_name": "a.py",
                    "outputs": [{"name": "o"}],
                    "inputs": [
                        {
                            "name": "i",
                            "source": {
                                "kind": "files",
                                "paths": [{"kind": "stored_path", "datastore": "d", "path": "p"}],
                            },
                        },
                        {
                            "name": "j",
                            "source": {"kind": "step_output", "node": "a", "output": "o"},
                        },
                    ],
                }
            ],
        }
    )

    spec = PipelineSpec.from_json(old)

    assert spec.nodes[0].inputs[0].source.operations == ()
    assert spec.nodes[0].outputs[0].registrations == ()
    assert json.loads(spec.to_json()) == json.loads(old)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"inputs": ["text"]}, PipelineTypeError, "Unexpected input type"),
        ({"inputs": [DatasetConsumptionConfig("x", "text")]}, PipelineTypeError, "Unexpected in"),
        ({"outputs": ["text"]}, PipelineTypeError, "Unexpected output type"),
        (
            {"arguments": [Dataset.Tabular.from_delimited_files("x")]},
            PipelineTypeError,
            "cannot be directly used as a step's argument",
        ),
    ],
)
def test_what_is_no_data_is_refused(step, options, error, words):
    """With v1's texts."""
    with pytest.raises(error, match=words):
        step(**options)

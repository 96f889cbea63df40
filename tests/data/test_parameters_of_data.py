"""A pipeline's parameter may be a place in a datastore, or a dataset: chosen for every run."""

from __future__ import annotations

import json

import pytest

from airflow_aml import (
    DataPath,
    DataPathComputeBinding,
    Dataset,
    DatasetConsumptionConfig,
    Datastore,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
)
from airflow_aml.definition.dataparameters import bind, data_text, missing_data, source_of
from airflow_aml.definition.spec import (
    Files,
    InputRef,
    ParameterSpec,
    PipelineSpec,
    Registered,
    StoredPath,
)
from airflow_aml.definition.values import from_texts, resolve
from airflow_aml.errors import (
    NotServedError,
    PipelineDefinitionError,
    PipelineTypeError,
    RunEnvironmentException,
    UserErrorException,
)


@pytest.fixture
def step(project, ws):
    """Makes a step that runs ``src/step.py``."""
    (project / "src").mkdir()
    (project / "src" / "step.py").write_text("")

    def make(name="step", **options):
        return PythonScriptStep("step.py", name=name, source_directory="src", **options)

    return make


@pytest.fixture
def place(store):
    """A parameter of a path, as v1's notebook declares it."""
    return PipelineParameter(name="raw", default_value=DataPath(store, "raw/a"))


def compiled(*steps):
    """The pipeline of these steps, after a way through JSON."""
    spec = Pipeline("default", list(steps)).spec
    assert PipelineSpec.from_json(spec.to_json()) == spec
    return spec


def test_a_path_is_an_input_and_an_argument(step, place, store):
    """v1's tuple in inputs and in arguments is one input, named as the parameter."""
    bound = (place, DataPathComputeBinding(mode="download", path_on_compute="here"))

    spec = compiled(step(arguments=["--raw", bound], inputs=[bound]))

    (node,) = spec.nodes
    (port,) = node.inputs
    assert (port.name, port.mode, port.style, port.parameter) == (
        "raw",
        "download",
        "reference",
        "raw",
    )
    assert port.path_on_compute == "here"
    assert port.source == Files((StoredPath(store.reference, "raw/a"),))
    assert node.arguments[1] == InputRef("raw")
    (parameter,) = spec.parameters
    assert (parameter.type, parameter.default) == ("datapath", f"{store.reference}/raw/a")


def test_a_dataset_is_an_input_by_its_consumption_config(step, ws, put):
    """The parameter's default may be a dataset, or a config of one, registered or not."""
    put("a.csv", "x\n1\n")
    files = Dataset.File.from_files((ws.get_default_datastore(), "a.csv"))
    table = Dataset.Tabular.from_delimited_files((ws.get_default_datastore(), "a.csv"))
    table = table.register(ws, "table")
    first = PipelineParameter("first", files)
    second = PipelineParameter("second", table.as_named_input("ignored"))
    inputs = [
        DatasetConsumptionConfig("one", first).as_mount(),
        DatasetConsumptionConfig("two", second),
    ]

    spec = compiled(step(inputs=inputs, arguments=["--one", inputs[0]]))

    one, two = spec.nodes[0].inputs
    assert (one.source, one.parameter, one.mode) == (files.source, "first", "mount")
    assert (two.source, two.parameter, two.mode) == (Registered("table", 1), "second", "direct")
    texts = {each.name: each.default for each in spec.parameters}
    assert texts["second"] == "table:1"
    assert len(texts["first"]) == 36
    with pytest.raises(UserErrorException, match="TabularDataset does not support mount"):
        inputs[1].as_mount()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda place, data: {"arguments": [place]},
        lambda place, data: {"inputs": [place]},
        lambda place, data: {"params": {"p": place}},
        lambda place, data: {"arguments": [data]},
        lambda place, data: {"inputs": [(data, DataPathComputeBinding())]},
        lambda place, data: {"inputs": [(place, "mount")]},
        lambda place, data: {"arguments": [(place,)]},
        lambda place, data: {"inputs": [(PipelineParameter("p", "x"), DataPathComputeBinding())]},
        lambda place, data: {"inputs": [DatasetConsumptionConfig("x", place)]},
        lambda place, data: {"inputs": [DatasetConsumptionConfig("x", PipelineParameter("p", 1))]},
    ],
)
def test_data_is_read_through_its_binding_alone(step, place, ws, wrong):
    """Whatever else is done with it is refused by name, with what to write instead."""
    data = PipelineParameter("data", Dataset.File.from_files((ws.get_default_datastore(), "a")))

    with pytest.raises(PipelineTypeError, match=r"stands for data|Unexpected input|is no dataset"):
        step(**wrong(place, data))


def test_one_name_has_one_default(step, place, store):
    """Two parameters of one name with other paths are an error; equal ones are one parameter."""
    same = PipelineParameter("raw", DataPath(store, "raw/a"))
    other = PipelineParameter("raw", DataPath(store, "raw/b"))
    first = step("a", inputs=[(place, DataPathComputeBinding())])

    assert (
        len(compiled(first, step("b", inputs=[(same, DataPathComputeBinding())])).parameters) == 1
    )
    with pytest.raises(PipelineDefinitionError, match="same name raw but different default"):
        compiled(first, step("b", inputs=[(other, DataPathComputeBinding())]))


PATH = ParameterSpec("raw", "datapath", "s/a", Files((StoredPath("s", "a"),)))
DATA = ParameterSpec("data", "dataset", "sales:1", Registered("sales", 1))


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (PATH, "blob/in/b.csv", "blob/in/b.csv"),
        (PATH, "/in//b/", "/in/b"),
        (PATH, {"datastore": "blob", "path": "in/b"}, "blob/in/b"),
        (PATH, {"DataStoreName": "blob", "RelativePath": "/in/b"}, "blob/in/b"),
        (PATH, "azureml://datastores/blob/paths/in/b", "blob/in/b"),
        (DATA, "sales", "sales"),
        (DATA, " sales:3 ", "sales:3"),
        (DATA, {"DataSetReference": {"Name": "sales", "Version": "3"}}, "sales:3"),
        (DATA, {"DataSetReference": {"Name": "sales"}}, "sales:latest"),
        (DATA, {"SavedDataSetReference": {"Id": "8D2F"}}, "8d2f"),
        (
            DATA,
            {"LiteralValue": {"DataStoreName": "blob", "RelativePath": "in"}},
            "azureml://datastores/blob/paths/in",
        ),
        (DATA, {"datastore": "blob", "path": "in"}, "azureml://datastores/blob/paths/in"),
    ],
)
def test_each_form_of_a_value_is_one_text(parameter, value, text):
    """Python's objects, REST's documents and what a person types mean the same."""
    assert data_text(parameter, value) == text
    assert resolve([parameter], {parameter.name: value}) == {parameter.name: text}


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (PATH, "blob", "is DataPath, but the value is 'blob': a path in a datastore is written"),
        (PATH, "blob/../x", "climbs out"),
        (PATH, "bl ob/x", "no name of a datastore"),
        (PATH, 7, "is DataPath, but the value is 7"),
        (PATH, None, "is DataPath, but the value is None"),
        (PATH, {"datastore": ["x"], "path": "y"}, "no name of a datastore"),
        (PATH, {"datastore": "x", "path": 3}, "must be a string"),
        (PATH, "blob/a\nb", "control characters"),
        (PATH, "blob/" + "x" * 2000, "more than 1000"),
        (DATA, "", "is dataset, but the value is ''"),
        (DATA, True, "is dataset, but the value is True"),
        (DATA, {"LiteralValue": {"Path": "x"}}, "a dataset is written name:version"),
        (DATA, {"LiteralValue": {"DataStoreName": "x", "RelativePath": "../y"}}, "climbs out"),
        (DATA, "sal\0es", "control characters"),
    ],
)
def test_a_value_that_is_no_data_is_told_with_its_parameter(parameter, value, message):
    """The same sentence whether it comes by submit, by REST or from the form."""
    with pytest.raises(PipelineDefinitionError, match=f"parameter {parameter.name} is") as error:
        data_text(parameter, value)

    assert message in str(error.value)
    assert len(from_texts([parameter], {parameter.name: value})[1]) == 1


def test_submit_takes_objects(step, place, ws, put, store):
    """pipeline_parameters= takes a DataPath, a dataset, or a config; not a number."""
    put("b/x.txt")
    dataset = Dataset.File.from_files((store, "b"))
    data = PipelineParameter("data", Dataset.File.from_files((store, "a")))
    pipeline = Pipeline(
        ws,
        [
            step(
                inputs=[
                    (place, DataPathComputeBinding()),
                    DatasetConsumptionConfig("d", data).as_mount(),
                ]
            )
        ],
    )
    check = pipeline._check_parameters

    assert check({"raw": DataPath(store, "raw/b")}) == {"raw": f"{store.reference}/raw/b"}
    values = check({"data": dataset.as_named_input("x")})
    assert source_of(pipeline.spec.parameters[1], values["data"], _home(ws)).paths == (
        StoredPath("workspaceblobstore", "b"),
    )
    with pytest.raises(PipelineDefinitionError, match="parameter raw is DataPath, but the value"):
        check({"raw": dataset})
    with pytest.raises(PipelineDefinitionError, match="does not exist"):
        check({"other": dataset})


def test_a_value_is_bound_to_every_input_of_its_parameter(step, place, ws, workspace, store):
    """What the value names takes the place of the default, in each step."""
    bound = (place, DataPathComputeBinding())
    spec = compiled(step("a", inputs=[bound]), step("b", inputs=[bound]))

    found = bind(spec, {"raw": "other/raw/b"}, workspace)

    for node in found.nodes:
        assert node.inputs[0].source == Files((StoredPath("other", "raw/b"),))
    assert bind(spec, {"raw": spec.parameters[0].default}, workspace) == spec


def test_what_is_not_there_is_told(ws, workspace):
    """An id that leads nowhere stops a run; names and datastores are told to whoever asks."""
    spec = PipelineSpec((), (PATH, DATA))
    nobody = "00000000-0000-0000-0000-000000000000"

    with pytest.raises(UserErrorException, match="pipeline parameter 'data'"):
        bind(spec, {"raw": "s/a", "data": nobody}, workspace)
    said = missing_data(spec, {"raw": "nowhere/a", "data": "sales:7"}, workspace)
    assert [each.partition(":")[0] for each in said] == ["parameter raw", "parameter data"]
    assert missing_data(spec, {}, workspace) == []


def test_while_a_file_is_loaded_only_names_are_values(declared, ws, project):
    """A dataset that was made in the file has no id yet; a registered one is named."""
    made = Dataset.File.from_files((ws.get_default_datastore(), "a"))

    assert data_text(DATA, Dataset.get_by_name(ws, "sales")) == "sales:latest"
    with pytest.raises(RunEnvironmentException, match="as a parameter's value"):
        data_text(DATA, made)


SCRIPT = """
    import os, sys
    paths = [each for each in sys.argv[1:-1] if os.path.exists(each)]
    for path in paths:
        names = [path] if os.path.isfile(path) else [
            os.path.join(path, name) for name in sorted(os.listdir(path))
        ]
        with open(os.path.join(sys.argv[-1], "seen.txt"), "a") as stream:
            stream.writelines(open(name).read() for name in names)
"""

PROGRAM = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    raw = PipelineParameter("raw", DataPath(store, "raw/a"))
    sales = PipelineParameter("sales", Dataset.get_by_name(ws, "sales"))
    place = (raw, DataPathComputeBinding(mode="mount"))
    out = OutputFileDatasetConfig("out")
    reads = PythonScriptStep(
        "read.py", name="reads", source_directory="src", inputs=[place],
        arguments=[place, DatasetConsumptionConfig("sold", sales).as_mount(), out])
    main = Pipeline(ws, [reads])
"""


@pytest.fixture
def dag(write, one_dag, ws, put):
    """A DAG with a parameter of a path and one of a registered dataset, and data for both."""
    put("raw/a/1.txt", "a1 ")
    put("raw/b/1.txt", "b1 ")
    put("raw/same/1.txt", "a1 ")
    for number in (1, 2):
        put(f"sold{number}/s.txt", f"sold{number} ")
        sold = Dataset.File.from_files((ws.get_default_datastore(), f"sold{number}"))
        sold.register(ws, "sales", create_new_version=True)
    write("src/read.py", SCRIPT)
    write("p.py", PROGRAM)
    return one_dag()


def seen(ran):
    """What the step read."""
    return (ran.output("reads", "out") / "seen.txt").read_text().split()


def test_a_run_reads_what_its_parameters_name(dag, run_dag):
    """By default, by conf; a reason names the parameter with the old and the new value; what
    counts is what is there, not what it is called."""
    assert dag.params.get_param("raw").schema["type"] == "string"
    first = run_dag(dag)
    other = run_dag(dag, {"raw": "workspaceblobstore/raw/b"})
    older = run_dag(dag, {"raw": "workspaceblobstore/raw/b", "sales": "sales:1"})
    again = run_dag(dag, {"raw": "/raw/same", "sales": "sales"})

    assert seen(first) == ["a1", "sold2"]
    assert seen(other) == ["b1", "sold2"]
    assert seen(older) == ["b1", "sold1"]
    assert other.xcom("reads")["reason"] == (
        "parameter 'raw' changed from '/raw/a' to 'workspaceblobstore/raw/b'"
    )
    assert older.xcom("reads")["reason"] == (
        "parameter 'sales' changed from 'sales:2' to 'sales:1'"
    )
    assert again.states["reads"] == "skipped"
    assert seen(again) == ["a1", "sold2"]
    assert again.xcom("reuse")["parameters"]["raw"] == "/raw/same"


@pytest.mark.parametrize(
    "conf",
    [
        {"raw": "nowhere/raw"},
        {"raw": "workspaceblobstore/not/there"},
        {"sales": "sales:9"},
        {"sales": "nobody"},
        {"sales": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_data_that_is_not_there_fails_the_run_before_its_steps(dag, run_dag, conf):
    """The first task says so."""
    assert run_dag(dag, conf).states == {"reuse": "failed", "reads": "upstream_failed"}


@pytest.mark.parametrize("conf", [{"raw": "no slash"}, {"raw": 7}, {"sales": ""}])
def test_airflow_itself_refuses_what_is_no_data(dag, conf):
    """The form and Airflow's own API check the text by its schema."""
    from airflow.sdk.exceptions import ParamValidationError

    for name, value in conf.items():
        with pytest.raises(ParamValidationError):
            dag.params.get_param(name).resolve(value)


def test_the_terminal_takes_texts(dag, cli, tmp_path):
    """plan -p tells what a run with that data would do."""
    done = cli("plan", "p.py", "-p", "raw=workspaceblobstore/raw/b", "--json", code=3)
    assert [each["decision"] for each in json.loads(done.stdout)["steps"]] == ["run"]

    done = cli("plan", "p.py", "-p", "raw=nothing", code=1)
    assert "a path in a datastore is written datastore/path" in done.stderr


@pytest.fixture
def cli(tmp_path, workspace):
    """Calls the terminal's program in the dags folder."""
    import os
    import subprocess
    import sys

    def call(*words, code):
        done = subprocess.run(
            [sys.executable, "-m", "airflow_aml.cli", *words],
            cwd=tmp_path / "dags",
            env={**os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return call


def test_yaml_has_paths_as_parameters(project, ws):
    """A parameter of type datapath is the source of an input."""
    (project / "src").mkdir()
    (project / "src" / "step.py").write_text("")
    (project / "p.yml").write_text(
        """
pipeline:
  parameters:
    raw: {type: datapath, default: {datastore: workspaceblobstore, path_on_datastore: raw/a}}
  steps:
    read:
      type: PythonScriptStep
      script_name: step.py
      source_directory: src
      arguments: [--raw, "input:data"]
      inputs:
        data: {source: raw, bind_mode: download}
"""
    )

    spec = Pipeline.load_yaml(ws, "p.yml").spec

    (port,) = spec.nodes[0].inputs
    assert (port.name, port.mode, port.parameter) == ("data", "download", "raw")
    assert spec.parameters[0].default == "workspaceblobstore/raw/a"


@pytest.mark.parametrize("store", ["workspaceblobstore", None])
def test_a_published_path_parameter_is_saved_as_yaml(step, project, ws, store):
    """Read again it is the same; what has a dataset as default has no word there."""
    place = PipelineParameter("raw", DataPath(Datastore(ws, store), "raw/a"))
    bound = (place, DataPathComputeBinding(mode="download", path_on_compute="here"))
    written = Pipeline(ws, [step(inputs=[bound], arguments=[bound])])

    written.publish("saved").save(project / "saved.yml")

    read = Pipeline.load_yaml(ws, "saved.yml").spec
    assert (read.parameters, read.nodes[0].inputs) == (
        written.spec.parameters,
        written.spec.nodes[0].inputs,
    )
    data = PipelineParameter("data", Dataset.File.from_files((place.default_value.datastore, "a")))
    other = step(inputs=[DatasetConsumptionConfig("data", data)])
    with pytest.raises(NotServedError, match="type dataset cannot be written as YAML"):
        Pipeline(ws, [other]).publish("other").save(project / "other.yml")


def _home(ws):
    from airflow_aml.definition.homes import home_of

    return home_of(ws)


def test_datastores_are_named_in_texts():
    """A datastore that was got by its name stands in the text."""
    parameter = PipelineParameter("p", DataPath("lake", "x/y"))

    assert parameter.spec.default == "lake/x/y"

"""Steps: what an author may write, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_aml import (
    Dataset,
    Datastore,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    RunConfiguration,
    Workspace,
)
from airflow_aml.definition.spec import (
    Files,
    InputRef,
    LocalPath,
    OutputRef,
    ParameterRef,
    StepOutput,
    StoredPath,
    Text,
)
from airflow_aml.errors import (
    NotServedError,
    PipelineDefinitionError,
    PipelineTypeError,
    UserErrorException,
)


def node(step, *others):
    """The compiled form of a step."""
    spec = Pipeline("ws", [step, *others]).spec
    return next(each for each in spec.nodes if each.name == step.name)


def test_the_name_defaults_to_the_script(step, project):
    """A step without a name is called like its script, its task without the ending."""
    made = PythonScriptStep("step.py", source_directory="src")

    compiled = node(made)

    assert (compiled.name, compiled.id) == ("step.py", "step")


def test_every_keyword_of_v1_is_taken(step):
    """All keywords of v1's constructor reach the spec."""
    config = RunConfiguration()
    config.environment_variables = {"A": "1"}
    config.max_run_duration_seconds = 60

    compiled = node(
        step(
            arguments=["--x", 1],
            compute_target="cluster",
            runconfig=config,
            runconfig_pipeline_params=None,
            inputs=[],
            outputs=[],
            params={"p": 3},
            allow_reuse=False,
            version="7",
            hash_paths=["notes.md"],
        )
    )

    assert compiled.compute == "cluster"
    assert compiled.settings.environment_variables == {"A": "1"}
    assert compiled.settings.max_run_seconds == 60.0
    assert compiled.parameters == {"p": Text("3")}
    assert (compiled.allow_reuse, compiled.version, compiled.hash_paths) == (
        False,
        "7",
        ("notes.md",),
    )


def test_arguments_keep_their_order_and_become_text(step):
    """Numbers and booleans become the text that Python prints; order is the author's."""
    parameter = PipelineParameter("rate", 0.1)
    out = OutputFileDatasetConfig("out")

    compiled = node(step(arguments=["--a", 1, 2.5, True, parameter, out, Path("x/y")]))

    assert compiled.arguments == (
        Text("--a"),
        Text("1"),
        Text("2.5"),
        Text("True"),
        ParameterRef("rate"),
        OutputRef("out"),
        Text("x/y"),
    )


def test_an_output_config_needs_no_list(step):
    """An OutputFileDatasetConfig in arguments makes its port by itself, and its reader an edge."""
    out = OutputFileDatasetConfig("out")
    write = step("write", arguments=["--o", out])
    read = step("read", arguments=["--i", out.as_input("data")])

    compiled = node(read, write)

    assert compiled.inputs[0].source == StepOutput("write", "out")
    assert compiled.arguments == (Text("--i"), InputRef("data"))


def test_pipeline_data_has_to_be_listed(step):
    """v1 refuses a PipelineData that stands in arguments only."""
    data = PipelineData("pd1")

    with pytest.raises(ValueError, match="pd1 appears in arguments list but is not in"):
        step(arguments=["--o", data])


def test_pipeline_data_connects_writer_and_reader(step):
    """A PipelineData is one step's output and another's input, in v1's older style."""
    data = PipelineData("features", output_mode="upload", is_directory=True)
    write = step("write", arguments=["--o", data], outputs=[data])
    read = step("read", arguments=["--i", data], inputs=[data])

    reader, writer = node(read, write), node(write)

    assert reader.inputs[0].source == StepOutput("write", "features")
    assert reader.inputs[0].style == writer.outputs[0].style == "reference"
    assert (writer.outputs[0].mode, writer.outputs[0].is_directory) == ("upload", True)


def test_as_methods_return_copies(step):
    """as_upload leaves the original untouched, and both stand for the same output."""
    out = OutputFileDatasetConfig("out")

    upload = out.as_upload(overwrite=False, source_globs="*.csv")
    write = step("write", arguments=[upload])
    read = step("read", arguments=[out.as_input()])

    assert (out.mode, upload.mode) == ("mount", "upload")
    assert node(write).outputs[0].source_globs == ("*.csv",)
    assert node(read, write).inputs[0].source == StepOutput("write", "out")


def test_unnamed_outputs_and_inputs_get_stable_names(step):
    """v1 made random names, which defeated reuse; here the position gives the name."""

    def names():
        first, second = OutputFileDatasetConfig(), OutputFileDatasetConfig()
        write = step("write", arguments=[first, second])
        read = step("read", arguments=[second.as_input(), first.as_input()])
        compiled = node(read, write)
        return [(port.name, port.source.output) for port in compiled.inputs]

    assert names() == names() == [("input_1", "output_2"), ("input_2", "output_1")]


def test_two_readings_of_one_unnamed_output_are_one_port(step):
    """The same data twice in arguments is the same input twice."""
    out = OutputFileDatasetConfig("out")
    write = step("write", arguments=[out])

    compiled = node(step("read", arguments=[out.as_input(), out.as_input()]), write)

    assert len(compiled.inputs) == 1
    assert compiled.arguments == (InputRef("input_1"), InputRef("input_1"))


def test_local_files_are_inputs(step):
    """A file dataset of local paths is an input; paths stay relative to the defining file."""
    data = Dataset.File.from_files(["data/*.csv", "more"])

    compiled = node(step(arguments=[data.as_named_input("raw").as_mount()]))

    assert compiled.inputs[0].source == Files((LocalPath("data/*.csv"), LocalPath("more")))
    assert compiled.inputs[0].mode == "mount"


def test_a_datastore_path_is_an_input(step):
    """(datastore, path) tuples name places inside the workspace's datastores."""
    store = Datastore(Workspace(), "workspacefilestore")

    compiled = node(step(inputs=[Dataset.File.from_files((store, "/train/")).as_named_input("t")]))

    assert compiled.inputs[0].source == Files((StoredPath("workspacefilestore", "train"),))


def test_which_datastore_is_the_default_one_is_asked_when_a_run_starts(step):
    """The spec says "the default", so that one setting moves a pipeline to another store."""
    store = Workspace().get_default_datastore()

    compiled = node(
        step(
            inputs=[Dataset.File.from_files((store, "train")).as_named_input("t")],
            arguments=[OutputFileDatasetConfig("o", (store, "out"))],
        )
    )

    assert compiled.inputs[0].source == Files((StoredPath("", "train"),))
    assert (compiled.outputs[0].datastore, compiled.outputs[0].path) == (None, "out")


def test_a_raw_dataset_beside_its_named_form_is_one_input(step):
    """The guide's `inputs=[ds]` with `arguments=[named.as_download()]` works, as v1 should have."""
    data = Dataset.File.from_files("x")

    compiled = node(step(inputs=[data], arguments=[data.as_named_input("input").as_download()]))

    assert [(port.name, port.mode) for port in compiled.inputs] == [("input", "download")]


def test_the_same_named_input_listed_and_used_takes_the_more_specific_mode(step):
    """`inputs=[named]` and `arguments=[named.as_download()]` is one port, downloaded."""
    named = Dataset.File.from_files("x").as_named_input("input1")

    compiled = node(step(inputs=[named], arguments=[named.as_download()]))

    assert [(port.name, port.mode) for port in compiled.inputs] == [("input1", "download")]


def test_a_misspelt_token_of_a_destination():
    """It would be a folder of that name, in which all runs meet."""
    with pytest.warns(UserWarning, match=r"\{runid\} in destination= stands for nothing"):
        OutputFileDatasetConfig("o", destination=("workspaceblobstore", "x/{runid}/{output-name}"))


def test_a_bare_datastore_is_a_destination(step):
    """The guide's `destination=def_blob_store` means that store, at a place of our own."""
    store = Datastore(Workspace(), "workspacefilestore")

    compiled = node(step(arguments=[OutputFileDatasetConfig("r", destination=store)]))

    assert (compiled.outputs[0].datastore, compiled.outputs[0].path) == ("workspacefilestore", None)


def test_target_is_read_as_compute_target(step):
    """The guide's `target=` works, with a warning."""
    with pytest.warns(UserWarning, match="target= is read as compute_target="):
        made = step(target="cluster")

    assert node(made).compute == "cluster"


def test_an_input_named_like_an_output_is_renamed(step):
    """v1 renames such an input to INPUT_<name>; its arguments follow."""
    out = OutputFileDatasetConfig("data")
    write = step("write", arguments=[out])
    read = step("read", arguments=[out.as_input("data"), OutputFileDatasetConfig("data")])

    compiled = node(read, write)

    assert compiled.inputs[0].name == "INPUT_data"
    assert compiled.arguments == (InputRef("INPUT_data"), OutputRef("data"))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"arguments": [object()]}, PipelineTypeError, r"step 'bad', arguments\[0\]: a value"),
        ({"arguments": ["x", None]}, PipelineTypeError, r"arguments\[1\]: None cannot be"),
        ({"arguments": [["a"]]}, PipelineTypeError, r"arguments\[0\]: a value of type list"),
        ({"arguments": "--x 1"}, PipelineTypeError, "arguments must be a list"),
        ({"inputs": ["x"]}, PipelineTypeError, r"inputs\[0\]: Unexpected input type"),
        ({"outputs": ["x"]}, PipelineTypeError, r"outputs\[0\]: Unexpected output type"),
        ({"inputs": [OutputFileDatasetConfig("o")]}, PipelineTypeError, r"as_input\(\)"),
        ({"runconfig": "file.yml"}, PipelineTypeError, "runconfig must be a RunConfiguration"),
        ({"compute_target": 3}, PipelineTypeError, "compute_target must be"),
        ({"params": ["x"]}, PipelineTypeError, "params must be a dict"),
        ({"params": {"p": []}}, PipelineTypeError, r"params\['p'\]"),
        ({"runconfig_pipeline_params": {"NodeCount": 1}}, NotServedError, "NodeCount"),
    ],
)
def test_what_cannot_be_is_refused_by_name(step, options, error, words):
    """Each refusal names file and line, step and argument."""
    with pytest.raises(error, match=words) as caught:
        step("bad", **options)

    assert "step 'bad'" in str(caught.value)
    if not isinstance(caught.value, NotServedError):
        assert "conftest.py:" in str(caught.value)


@pytest.mark.parametrize("script", ["", None])
def test_a_script_is_required(project, script):
    """v1's words for a missing script name."""
    with pytest.raises(ValueError, match="script_name is required"):
        PythonScriptStep(script, source_directory="src")


@pytest.mark.parametrize("script", ["../step.py", "/etc/step.py", "..\\step.py"])
def test_a_script_outside_its_folder_is_refused(project, script):
    """A script lies inside its source folder."""
    with pytest.raises(PipelineDefinitionError, match="must be a path inside the source folder"):
        PythonScriptStep(script, source_directory="src")


def test_two_ports_of_one_name_are_refused(step):
    """v1's words for a repeated port name."""
    one = Dataset.File.from_files("a").as_named_input("x")
    other = Dataset.File.from_files("b").as_named_input("x")

    with pytest.raises(ValueError, match=r"\[x\] is repeated. Input port names must be unique."):
        step(inputs=[one, other])
    with pytest.raises(ValueError, match=r"\[o\] is repeated. Output port names must be unique."):
        step(arguments=[OutputFileDatasetConfig("o"), OutputFileDatasetConfig("o")])


def test_a_parameter_with_two_defaults_in_one_step_is_refused(step):
    """v1's words for parameters that clash within a step; 1 and 1.0 clash too."""
    with pytest.raises(ValueError, match=r"same name p but different values 1, 1.0 used"):
        step(arguments=[PipelineParameter("p", 1), PipelineParameter("p", 1.0)])


def test_allow_reuse_is_no_text(step):
    """A text is always true, so "False" would mean the opposite of what it says."""
    with pytest.raises(PipelineTypeError, match="'step', allow_reuse: it is True or False"):
        step(allow_reuse="False")


def test_a_params_name_that_an_argument_has_is_refused(step):
    """v1's words for a clash of params= with a pipeline parameter."""
    with pytest.raises(ValueError, match="Parameter name p is already in use"):
        step(arguments=[PipelineParameter("p", 1)], params={"p": 2})


@pytest.mark.parametrize("name", ["1x", "a-b", "a b", "", "/abs/path", "a/b", "ä"])
def test_output_names_are_words(name):
    """Only letters, digits and underscores; a path is told to go into destination=."""
    with pytest.raises(UserErrorException, match="Invalid output name") as caught:
        OutputFileDatasetConfig(name)

    assert ("destination=" in str(caught.value)) == ("/" in name)


def test_an_inputs_name_is_not_told_of_destinations():
    """Only an output has one."""
    with pytest.raises(UserErrorException, match="Invalid input name") as caught:
        Dataset.File.from_files("a").as_named_input("a b/../c")

    assert "destination" not in str(caught.value)


def test_an_output_cannot_take_airflows_own_key():
    """`return_value` is where Airflow keeps a task's result."""
    with pytest.raises(UserErrorException, match="return_value"):
        OutputFileDatasetConfig("return_value")


def test_a_destination_cannot_climb_out_of_its_datastore():
    """`..` in a destination is refused when it is written, not when data is lost."""
    store = Workspace().get_default_datastore()

    with pytest.raises(UserErrorException, match="climbs out of its datastore"):
        OutputFileDatasetConfig("o", destination=(store, "ok/../../etc"))


def test_names_of_environment_variables_warn():
    """v1's warning: an output called `path` would hide a variable."""
    with pytest.warns(UserWarning, match="has the potential to collide"):
        OutputFileDatasetConfig("path")


@pytest.mark.parametrize("value", [None, [1], float("nan"), object()])
def test_parameter_defaults_of_other_types_are_refused(value):
    """They are int, str, bool, float, or data."""
    with pytest.raises(PipelineDefinitionError):
        PipelineParameter("p", value)


def test_more_than_one_node_is_refused_not_run_as_one(step):
    """A distributed step is never silently run as a single process."""
    config = RunConfiguration()
    config.node_count = 4

    with pytest.raises(NotServedError, match="node_count=4"):
        step(runconfig=config)


def test_a_typing_error_in_a_run_configuration_is_caught():
    """v1 refuses unknown attributes of a run configuration."""
    with pytest.raises(AttributeError, match="enviroment"):
        RunConfiguration().enviroment = "x"


def test_what_azure_alone_can_do_says_so():
    """A v1 feature that is not there raises an error that names it."""
    with pytest.raises(NotServedError, match=r"Workspace.webservices"):
        Workspace().webservices["x"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [("a\0b", "cannot hold a NUL"), ("x" * 200_000, "longer than a command line can hold")],
)
def test_what_no_command_line_can_hold_is_refused_at_once(step, argument, words):
    """Not in the task, after the data was made."""
    with pytest.raises(PipelineDefinitionError, match=words):
        step(arguments=[argument])


HALF = "\udc80"


@pytest.mark.parametrize(
    ("where", "make"),
    [
        ("arguments[1]", lambda step: step(arguments=["fine ü", HALF])),
        ("arguments[0]", lambda step: step(arguments=[Path(HALF)])),
        ("params['x']", lambda step: step(params={"x": HALF})),
        ("hash_paths[0]", lambda step: step(hash_paths=[HALF])),
        ("version", lambda step: step(version=HALF)),
        ("output 'o'.path", lambda step: step(outputs=[OutputFileDatasetConfig("o", ("s", HALF))])),
        (
            "registrations[0].tags['a']",
            lambda step: step(
                outputs=[OutputFileDatasetConfig("o").register_on_complete("n", "", {"a": HALF})]
            ),
        ),
        (
            "input 'x'.source.paths[0]",
            lambda step: step(inputs=[Dataset.File.from_files(HALF).as_named_input("x")]),
        ),
        ("'p', default_value", lambda step: step(arguments=[PipelineParameter("p", HALF)])),
    ],
)
def test_half_a_character_is_no_text(step, where, make):
    """What os.listdir makes of a name that is not UTF-8 is refused where it stands, by its line."""
    with pytest.raises(PipelineDefinitionError, match="is half a character") as caught:
        Pipeline("ws", [make(step)])
    assert where in str(caught.value)
    assert ".py:" in str(caught.value)


def test_half_a_character_in_what_a_pipeline_is_told(step):
    """Its description, and the values and tags of a run of it."""
    with pytest.raises(PipelineDefinitionError, match=r"description: .* half a character"):
        Pipeline("ws", [step()], description=HALF)
    pipeline = Pipeline("ws", [step(arguments=[PipelineParameter("p", "")])])
    with pytest.raises(PipelineDefinitionError, match=r"parameter 'p': .* half a character"):
        pipeline.submit("e", {"p": HALF})
    with pytest.raises(PipelineDefinitionError, match=r"tags.*'a'.*half a character"):
        pipeline.submit("e", tags={"a": HALF})


@pytest.mark.parametrize("name", ["a\0b", "a\nb", " "])
def test_a_step_name_is_printable(step, name):
    """It is shown in Airflow and in terminals."""
    with pytest.raises(UserErrorException, match="a step's name must be"):
        step(name)


def test_a_name_too_long_for_a_folder_is_refused():
    """Outputs become folders; 255 bytes are all that file systems take."""
    with pytest.raises(UserErrorException, match="has 300 characters"):
        OutputFileDatasetConfig("x" * 300)

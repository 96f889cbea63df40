"""Pipelines: order, closure, checks, and the spec that comes out."""

from __future__ import annotations

import json
import time

import pytest

from airflow_aml import (
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PipelineSpec,
    PythonScriptStep,
    StepSequence,
    Workspace,
)
from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.engine import using
from airflow_aml.definition.overlaps import sharing
from airflow_aml.definition.spec import SPEC_VERSION
from airflow_aml.errors import (
    NotServedError,
    PipelineDefinitionError,
    PipelineTypeError,
    UserErrorException,
)


def order(pipeline):
    """Step names in running order."""
    return [node.name for node in pipeline.spec.nodes]


def after(pipeline):
    """For each step, the ids that it waits for."""
    return {node.id: list(node.upstream) for node in pipeline.spec.nodes}


def test_a_list_means_no_order(step):
    """[a, b] and nested lists group steps and order nothing."""
    a, b, c = step("a"), step("b"), step("c")

    assert after(Pipeline("ws", [a, [b, [c]]])) == {"a": [], "b": [], "c": []}


def test_a_sequence_runs_group_after_group(step):
    """StepSequence([[1, 2], 3, [4, 5]]): each group waits for every member of the one before."""
    s = {n: step(f"s{n}") for n in range(1, 6)}

    pipeline = Pipeline("ws", StepSequence([[s[1], s[2]], s[3], [s[4], s[5]]]).steps)
    ordered = Pipeline("ws", [StepSequence([[s[1], s[2]], s[3], [s[4], s[5]]])])

    assert after(pipeline) == {f"s{n}": [] for n in range(1, 6)}
    assert after(ordered) == {"s1": [], "s2": [], "s3": ["s1", "s2"], "s4": ["s3"], "s5": ["s3"]}


def test_sequences_nest_and_skip_empty_groups(step):
    """A sequence in a sequence counts with all its members."""
    a, b, c, d = (step(n) for n in "abcd")

    pipeline = Pipeline("ws", [StepSequence([a, [], StepSequence([b, c]), d])])

    assert after(pipeline) == {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["b", "c"]}


def test_run_after_is_an_edge(step):
    """run_after orders steps that share no data."""
    a, b = step("a"), step("b")
    b.run_after(a)

    assert after(Pipeline("ws", [b])) == {"a": [], "b": ["a"]}


def test_producers_are_added(step):
    """steps=[last] is the usual idiom: what it needs comes along."""
    one, two = OutputFileDatasetConfig("one"), OutputFileDatasetConfig("two")
    a = step("a", arguments=[one])
    b = step("b", arguments=[one.as_input(), two])
    c = step("c", arguments=[two.as_input()])

    assert order(Pipeline("ws", [c])) == [a.name, b.name, c.name]
    with pytest.raises(ValueError, match="resolve_closure is False"):
        Pipeline("ws", [c], resolve_closure=False)


def test_a_pipeline_data_stands_for_its_producer(step):
    """A PipelineData in steps means the step that writes it."""
    data = PipelineData("d")
    made = step("a", outputs=[data])

    assert order(Pipeline("ws", [data])) == [made.name]
    with pytest.raises(ValueError, match=r"step output \[orphan\] does not have a producer"):
        Pipeline("ws", [PipelineData("orphan")])


def test_no_steps_are_a_pipeline(project):
    """v1 accepts an empty pipeline."""
    assert Pipeline("ws", []).spec.nodes == ()


@pytest.mark.parametrize("thing", ["a step", ("a",), 3, None])
def test_what_is_no_step_is_refused(project, thing):
    """v1's words for something else in steps."""
    with pytest.raises(NotImplementedError, match="Can not add object of type") as refused:
        Pipeline("ws", [thing])
    assert isinstance(refused.value, PipelineTypeError)
    assert not isinstance(refused.value, NotServedError)


def test_two_steps_may_share_a_name(step):
    """v1 allows it; both run, as different tasks."""
    pipeline = Pipeline("ws", [step("train"), step("train"), step("train.py")])

    assert [(n.name, n.id) for n in pipeline.spec.nodes] == [
        ("train", "train"),
        ("train", "train_2"),
        ("train.py", "train_3"),
    ]


def test_names_become_readable_ids(step):
    """Spaces and signs go, letters of any script stay, the head task's id is kept free."""
    names = ["prepare data", "Entraînement (1)", "***", "reuse"]

    pipeline = Pipeline("ws", [step(name) for name in names])

    assert [n.id for n in pipeline.spec.nodes] == [
        "prepare_data",
        "Entraînement_1",
        "step",
        "reuse_2",
    ]


def test_the_same_step_twice_is_one_node(step):
    """Listing a step object twice adds nothing."""
    a = step("a")

    assert order(Pipeline("ws", [a, [a]])) == ["a"]


def test_a_step_may_serve_two_pipelines(step):
    """A step object used in two pipelines is a node of each, and neither knows of the other."""
    out = OutputFileDatasetConfig("o")
    a, b = step("a", arguments=[out]), step("b", arguments=[out.as_input()])

    first, second = Pipeline("ws", [a]), Pipeline("ws", [b, step("other")])

    assert (order(first), order(second)) == (["a"], ["other", "a", "b"])


def test_a_cycle_is_named(step):
    """The constructor accepts it as v1 does; validate tells it, the spec refuses it."""
    a, b, c = step("a"), step("b"), step("c")
    a.run_after(c)
    b.run_after(a)
    c.run_after(b)

    pipeline = Pipeline("ws", [a, b, c])

    (problem,) = pipeline.validate()
    assert "Cycle detected including node" in problem
    assert "a -> b -> c -> a" in problem
    with pytest.raises(PipelineDefinitionError, match="a -> b -> c -> a"):
        _ = pipeline.spec


def test_a_step_that_waits_for_itself_is_a_cycle(step):
    """a.run_after(a)."""
    a = step("a")
    a.run_after(a)

    assert "a -> a" in Pipeline("ws", [a]).validate()[0]


def test_one_output_has_one_producer(step):
    """v1's words, with the step's place in front."""
    out = OutputFileDatasetConfig("o")
    a, b = step("a", arguments=[out]), step("b", arguments=[out])

    with pytest.raises(
        ValueError, match="Step output o can not be used as an output for step b, as it is already"
    ):
        Pipeline("ws", [a, b])


def test_an_input_needs_a_producer(step):
    """v1's words for an input that no step writes."""
    orphan = PipelineData("orph")

    with pytest.raises(ValueError, match="Input orph on step a is not connected to any previous"):
        Pipeline("ws", [step("a", inputs=[orphan])])


def test_parameters_of_one_name_have_one_default(step):
    """v1's words for a clash between steps."""
    a = step("a", arguments=[PipelineParameter("p", 1)])
    b = step("b", arguments=[PipelineParameter("p", "1")])

    with pytest.raises(ValueError, match="same name p but different default values 1, '1'"):
        Pipeline("ws", [a, b])


def test_a_missing_script_is_named_with_its_path(project):
    """The message has the step, the path that was looked at, and what to do."""
    made = PythonScriptStep("train.py", name="train", source_directory="src")

    with pytest.raises(ValueError, match=r"Step \[train\]: script not found at: .*src/train.py"):
        Pipeline("ws", [made])


def test_a_missing_source_folder_is_named(project):
    """The message has the folder as written and as looked for."""
    made = PythonScriptStep("train.py", name="train", source_directory="nowhere")

    with pytest.raises(
        ValueError, match=r"step 'train': source_directory 'nowhere' does not exist"
    ):
        Pipeline("ws", [made])


def test_without_a_source_folder_the_defining_files_folder_is_it(project):
    """v1 took the working directory; the spec remembers that nobody chose the folder."""
    (project / "own.py").write_text("")

    (node,) = Pipeline("ws", [PythonScriptStep("own.py")]).spec.nodes

    assert (node.source_directory, node.declared_source) == (".", False)


def test_the_pipelines_default_source_folder_counts(project):
    """default_source_directory serves steps that name none."""
    (node,) = Pipeline(
        "ws", [PythonScriptStep("step.py")], default_source_directory="src"
    ).spec.nodes

    assert (node.source_directory, node.declared_source) == ("src", True)


def test_paths_are_relative_to_the_defining_file(project):
    """An absolute path below the defining file's folder is stored relative to it."""
    made = PythonScriptStep("step.py", source_directory=str(project / "src"))

    (node,) = Pipeline("ws", [made]).spec.nodes

    assert node.source_directory == "src"


def test_unknown_keywords_are_refused(step):
    """v1's words."""
    with pytest.raises(ValueError, match="parameter foo is not recognized for Pipeline"):
        Pipeline("ws", [step()], foo=1)


def test_pipeline_outputs_have_unique_names(step):
    """v1's words for two pipeline outputs of one name."""
    a = step("a", outputs=[PipelineData("x", pipeline_output_name="result")])
    b = step("b", outputs=[PipelineData("y", pipeline_output_name="result")])

    with pytest.raises(ValueError, match="Duplicate pipeline output with name result"):
        Pipeline("ws", [a, b])


@pytest.mark.parametrize(
    ("default", "value", "words"),
    [
        (1, 2.0, "Expected type of the pipeline parameter p is int, but the value 2.0 provided"),
        (1, "2", "is int, but the value '2'"),
        (0.5, 2, "is float, but the value 2"),
        ("x", 1, "is str, but the value 1"),
    ],
)
def test_submit_is_strict_about_types(step, default, value, words):
    """As strict as v1 in Python: no int for a float, no text for a number."""
    pipeline = Pipeline("ws", [step(arguments=[PipelineParameter("p", default)])])

    with pytest.raises(ValueError, match=words):
        pipeline.submit("exp", pipeline_parameters={"p": value})


def test_submit_refuses_unknown_parameters(step):
    """v1's words, and the names there are."""
    pipeline = Pipeline("ws", [step(arguments=[PipelineParameter("p", 1)])])

    with pytest.raises(
        ValueError, match=r"parameter with name zz does not exist.*This pipeline has p"
    ):
        Experiment(Workspace(), "exp").submit(pipeline, pipeline_parameters={"zz": 1})


def test_two_unordered_steps_that_register_one_name(step):
    """Both versions will be there, as in v1; that their order is left to chance is said."""

    def made(name, *names):
        output = OutputFileDatasetConfig("o")
        for each in names:
            output = output.register_on_complete(each)
        return step(name, arguments=["--out", output])

    one, two, three = made("one", "x"), made("two", "x", "y"), made("three", "x")
    three.run_after(one)
    three.run_after(two)
    with pytest.warns(UserWarning, match="'one' and 'two' both register the dataset 'x'") as said:
        spec = Pipeline("ws", [three]).spec
    assert len(said) == 1
    assert sharing(spec.nodes) == {
        "one": {"x": {"after": ["three"], "beside": ["two"]}},
        "two": {"x": {"after": ["three"], "beside": ["one"]}},
        "three": {"x": {"after": [], "beside": []}},
    }


def test_submit_names_what_it_does_not_know(step):
    """Keywords that v1 ignores are ignored, but not without a word; a flag is True or False."""
    pipeline = Pipeline("ws", [step()])
    experiment = Experiment(Workspace(), "exp")

    with using(Declarations("p.py", ".")):
        with pytest.warns(UserWarning, match="does not know default_source.*=, regenerate=; this"):
            experiment.submit(pipeline, regenerate=True, default_source_directory=".")
        with pytest.warns(UserWarning, match="parent_run_id= has no effect"):
            experiment.submit(pipeline, parent_run_id="x")
        with pytest.warns(UserWarning, match="start_logging does not know foo="):
            experiment.start_logging(foo=1)
    with pytest.raises(UserErrorException, match="continue_on_step_failure= is True or False"):
        experiment.submit(pipeline, continue_on_step_failure="yes")
    with pytest.raises(UserErrorException, match="tags= takes a dict, not 'x'"):
        experiment.submit(pipeline, tags="x")
    with pytest.raises(UserErrorException, match="pipeline_parameters= takes a dict, not 3"):
        experiment.submit(pipeline, pipeline_parameters=3)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 256])
def test_experiment_names_follow_v1(name):
    """1 to 255 word characters and dashes, the first a letter or digit."""
    with pytest.raises(UserErrorException, match="Experiment name must be between 1 and 255"):
        Experiment(Workspace(), name)


def test_the_spec_round_trips(step):
    """What publish will store is what comes back."""
    out = OutputFileDatasetConfig(
        "o", destination=(Workspace().get_default_datastore(), "x/{run-id}")
    )
    a = step(
        "a", arguments=["--o", out, PipelineParameter("flag", True), PipelineParameter("t", "ü")]
    )
    b = step("b", arguments=[out.as_input("i")], params={"q": 1})
    spec = Pipeline(Workspace(workspace_name="team"), [a, b], description="what it does").spec

    again = PipelineSpec.from_json(spec.to_json())

    assert again == spec
    assert again.to_json() == spec.to_json()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a pipeline"),
        ("[]", "not a JSON object"),
        ("{}", "no spec version"),
        (json.dumps({"version": SPEC_VERSION + 1, "nodes": []}), "written by a later release"),
        (json.dumps({"version": 1}), "no 'nodes'"),
        (json.dumps({"version": 1, "nodes": [], "x": 1}), "unknown 'x'"),
        (json.dumps({"version": 1, "nodes": [{"id": 1}]}), r"nodes\[0\]"),
    ],
)
def test_a_document_that_is_no_spec_is_refused(text, words):
    """The message says what is wrong and where in the document."""
    with pytest.raises(UserErrorException, match=words):
        PipelineSpec.from_json(text)


def test_a_chain_of_2000_steps_needs_no_recursion(step):
    """Closure, order and compilation of a long chain work, listed from its end."""
    before = None
    steps = []
    for number in range(2000):
        out = OutputFileDatasetConfig("o")
        arguments = [out] if before is None else [before.as_input(), out]
        steps.append(step(f"s{number}", arguments=arguments))
        before = out
    started = time.process_time()

    pipeline = Pipeline("ws", [steps[-1]])

    assert order(pipeline)[0] == "s0"
    assert len(pipeline.spec.nodes) == 2000
    assert time.process_time() - started < 30  # a hang, not a speed: benchmarks measure speed


def test_config_json_names_the_workspace(project):
    """from_config reads v1's file, upwards, and kind before nearness as v1 does."""
    (project / ".azureml").mkdir()
    (project / ".azureml" / "config.json").write_text(
        json.dumps({"subscription_id": "s", "resource_group": "g", "workspace_name": "far"})
    )
    (project / "src" / "config.json").write_text(json.dumps({"workspace_name": "near"}))

    assert Workspace.from_config().name == "far"
    assert Workspace.from_config(path=str(project / "src" / "config.json")).name == "near"


def test_without_a_config_the_default_workspace_serves(project):
    """A dropped file needs no config.json; a path that was asked for does."""
    assert Workspace.from_config().name == "default"
    with pytest.raises(UserErrorException, match=r"config.json could not be found"):
        Workspace.from_config(path=str(project))


def test_a_damaged_config_is_named(project):
    """A config that is no JSON object is refused with its path."""
    (project / "config.json").write_text("{")

    with pytest.raises(UserErrorException, match=r"config.json is not a workspace config"):
        Workspace.from_config()


def test_a_sequence_can_be_the_whole_of_steps(step):
    """v1's own page passes a StepSequence as steps."""
    a, b = step("a"), step("b")

    assert after(Pipeline("ws", steps=StepSequence([a, b]))) == {"a": [], "b": ["a"]}


def test_a_refusal_names_the_line(step):
    """Also what is refused far from the step says which line of the author's file it is about."""
    with pytest.raises(UserErrorException, match=r"^test_pipeline.py:\d+: Can not add object"):
        Pipeline("ws", ["a step"])
    with pytest.raises(UserErrorException, match=r"^test_pipeline.py:\d+: Invalid output name"):
        OutputFileDatasetConfig("a/b")
    with pytest.raises(UserErrorException, match=r"test_pipeline.py:\d+: .* does not exist\. This"):
        Pipeline("ws", [step()]).submit("e", pipeline_parameters={"zz": 1})


def test_hasattr_answers_for_what_is_not_served():
    """Programs ask before they use a feature; the answer is no, not an error."""
    assert not hasattr(Workspace(), "webservices")
    assert hasattr(Workspace(), "name")


def test_a_pipeline_shows_as_a_table(step):
    """Step, script, what it reads from whom, what it writes."""
    from airflow_aml.definition.render import table

    out = OutputFileDatasetConfig("data")
    write, read = step("write|it", arguments=[out]), step("read", arguments=[out.as_input()])
    read.run_after(write)

    rows = table(Pipeline("ws", [read]).spec).splitlines()

    assert rows[2:] == [
        "| write\\|it | step.py |  |  | data |",
        "| read | step.py | data of write\\|it | write\\|it |  |",
    ]

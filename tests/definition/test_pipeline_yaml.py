"""Pipelines written as YAML: what comes out, and what is said of a file that is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from airflow_aml import Pipeline, RunConfiguration
from airflow_aml.definition.loading import load_file, pipeline_files
from airflow_aml.definition.pipelineyaml import SCHEMA
from airflow_aml.errors import NotServedError, PipelineDefinitionError, UserErrorException

PAGE = Path(__file__).parents[2] / "docs/yaml.md"


def documented() -> str:
    """The example of the documentation."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def write_scripts(folder: Path) -> None:
    """The scripts that the example names."""
    for name in ("prepare", "train"):
        (folder / name).mkdir()
        (folder / name / f"{name}.py").write_text("")


@pytest.fixture
def load(project):
    """Writes a file beside the program, and loads it as the program would."""

    def loaded(text: str) -> Pipeline:
        (project / "p.yml").write_text(text)
        return Pipeline.load_yaml("ws", "p.yml")

    return loaded


def test_the_documented_file(project, load):
    """Equal names connect steps; tokens become inputs, outputs and parameters."""
    write_scripts(project)
    pipeline = load(documented())

    prepare, train = pipeline.spec.nodes
    assert (prepare.name, train.name) == ("prepare", "train")
    assert list(train.upstream) == [prepare.id]
    assert {each.name: each.default for each in pipeline.spec.parameters} == {"reg_rate": 0.1}
    assert [each.name for each in prepare.outputs] == ["prepared"]
    assert [each.name for each in train.inputs] == ["prepared"]
    assert train.compute == "cpu"
    assert not train.allow_reuse
    assert set(train.parameters) == {"REG_RATE", "SEED"}
    assert pipeline.description == "Trains a model"


def test_paths_start_at_the_files_folder(project):
    """A file in a folder of its own finds the scripts beside it."""
    (project / "team").mkdir()
    (project / "team" / "one.py").write_text("")
    (project / "team" / "p.yaml").write_text(
        "pipeline: {steps: {one: {type: PythonScriptStep, script_name: one.py}}}"
    )

    (node,) = Pipeline.load_yaml("ws", "team/p.yaml").spec.nodes

    assert node.source_directory == "team"


def test_the_terminal_reads_such_files(tmp_path):
    """``airflow-aml`` finds NAME.pipeline.yaml in a folder, and no other YAML."""
    write_scripts(tmp_path)
    for name in ("a.pipeline.yaml", "conda.yml"):
        (tmp_path / name).write_text(documented())

    (found,) = pipeline_files(str(tmp_path))
    ((dag_id, declared),) = load_file(found).declared()

    assert dag_id == "a"
    assert len(declared.pipeline.spec.nodes) == 2


def one_step(more: str = "", beside: str = "") -> str:
    """A file of one step: what more it has, and what stands beside ``steps``."""
    step = "{type: PythonScriptStep, script_name: a.py, " + more + "}"
    return "pipeline:\n  steps:\n    a: " + step + "\n" + beside


WRONG = {
    "no pipeline": ("other: {}", "'pipeline' is a required property"),
    "no steps": ("pipeline: {description: x}", "p.yml, pipeline: 'steps' is a required property"),
    "no script": (
        "pipeline: {steps: {a: {type: PythonScriptStep}}}",
        "p.yml, pipeline.steps.a: 'script_name' is a required property",
    ),
    "a typing error": (one_step("argumnts: []"), "pipeline.steps.a: 'argumnts' is not one of"),
    "a key twice": (
        one_step(beside="    a: {type: PythonScriptStep, script_name: b.py}"),
        "p.yml is not YAML: 'a' stands there twice .*line 4",
    ),
    "not YAML": ("pipeline: [", "p.yml is not YAML"),
    "nothing": ("# nothing yet", "p.yml: the file is empty"),
    "aliases of aliases": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        + "pipeline: *a11",
        "p.yml, line 6: with its aliases written out this has more than 100000 values",
    ),
    "an alias of itself": ("pipeline: &a [*a]", "p.yml, line 1: with its aliases written out"),
    "an unknown source": (
        one_step("inputs: {x: {source: nowhere}}"),
        "pipeline.steps.a.inputs.x: there is no data reference, parameter or output's destination "
        "'nowhere'. There are none.",
    ),
    "an unknown argument": (
        one_step('arguments: [--x, "input:y"]'),
        r"pipeline.steps.a.arguments\[1\]: there is no input 'y'",
    ),
    "two outputs of one destination": (
        one_step("outputs: {x: {destination: d}, y: {destination: d}}"),
        "steps.a.outputs.y: destination 'd' is written by another output",
    ),
    "a default of another type": (
        one_step(beside="  parameters: {p: {type: int, default: '3'}}"),
        "pipeline.parameters.p: the default '3' is not of type int",
    ),
    "data of no place": (
        one_step("inputs: {x: {source: d}}", "  data_references: {d: {}}"),
        "data_references.d: it names no data",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_clear_error(load, case):
    """What is wrong in a file is named, with the place in the file."""
    text, message = WRONG[case]

    with pytest.raises(UserErrorException, match=message) as raised:
        load(text)
    if "not YAML" not in message:
        assert isinstance(raised.value, PipelineDefinitionError)
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("kind", ["ParallelRunStep", "ModuleStep", "DatabricksStep"])
def test_other_steps_are_refused_by_name(load, kind):
    """A kind of step that is not served says its own name and its place."""
    with pytest.raises(NotServedError, match=f"pipeline.steps.a: a step of type {kind} is not"):
        load(f"pipeline: {{steps: {{a: {{type: {kind}, anything: 1}}}}}}")


def test_a_run_configuration(project, load):
    """``runconfig`` is a file as ``RunConfiguration.save`` writes it."""
    (project / "a.py").write_text("")
    wanted = RunConfiguration()
    wanted.environment_variables["LEVEL"] = "3"
    wanted.target = "cpu"
    wanted.save(str(project), "train")

    (node,) = load(one_step("runconfig: .azureml/train.runconfig")).spec.nodes

    assert node.compute == "cpu"
    assert node.settings.environment_variables == {"LEVEL": "3"}


def test_a_file_that_executes_something(load):
    """Tags that would make Python objects are refused; nothing of them is run."""
    with pytest.raises(UserErrorException, match="is not YAML"):
        load("pipeline: !!python/object/apply:os.system ['touch /tmp/never']")


def test_a_file_that_is_not_there(project):
    """The whole path is named."""
    with pytest.raises(UserErrorException, match=r"nowhere\.yml cannot be read"):
        Pipeline.load_yaml("ws", "nowhere.yml")


def test_the_schema_for_editors():
    """The schema is a valid one, and takes the documented file."""
    schema = json.loads(Path(SCHEMA).read_text())

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(documented()), schema)

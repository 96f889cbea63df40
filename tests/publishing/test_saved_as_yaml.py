"""What is published is saved as YAML, and is the same pipeline when that is read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from airflow_aml import (
    CondaDependencies,
    DataReference,
    Dataset,
    LinkFileOutputDatasetConfig,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    ReusePolicy,
    RunConfiguration,
    Workspace,
)
from airflow_aml.definition.loading import load_file
from airflow_aml.definition.origin import loading
from airflow_aml.errors import NotServedError, UserErrorException


@pytest.fixture
def project(write, workspace):
    """Two source folders of one name, data, and definitions that belong to a program there."""
    write("one/src/step.py", "")
    write("two/src/step.py", "")
    write("local.csv", "a,b\n1,2\n")
    with loading(str(write("program.py", "pass"))):
        yield


def everything() -> Pipeline:
    """A pipeline with one of all that a file can say."""
    ws = Workspace()
    store = ws.get_default_datastore()
    rate, word = PipelineParameter("rate", 0.5), PipelineParameter("word", "a")
    raw, table = PipelineData("raw", datastore=store, is_directory=True), PipelineData("raw2")
    folder = OutputFileDatasetConfig("folder", destination=(store, "kept/{run-id}"))
    sent = OutputFileDatasetConfig("sent").as_upload(overwrite=False, source_globs=["*.csv"])
    folder.register_on_complete("registered", "of a step", {"a": "b"})
    runconfig = RunConfiguration(
        conda_dependencies=CondaDependencies.create(
            python_version="3.11", pip_packages=["six==1.16.0"], conda_packages=["attrs"]
        )
    )
    runconfig.environment_variables["LEVEL"] = "3"
    runconfig.max_run_duration_seconds = 60
    named = RunConfiguration()
    named.environment.name, named.environment.version = "team", "2"
    first = PythonScriptStep(
        "step.py",
        name="same name",
        source_directory="one/src",
        arguments=["--rate", rate, raw, "input:none", 7, folder, sent],
        inputs=[DataReference(store, "there", "in/here", mode="download")],
        outputs=[raw, table],
        params={"WORD": word, "SEED": 3},
        runconfig=runconfig,
        compute_target="cpu",
        version="9",
    )
    local = Dataset.Tabular.from_delimited_files("local.csv").keep_columns(["a"])
    read = table.as_dataset().parse_delimited_files(separator=";").drop_columns(["c"])
    second = PythonScriptStep(
        "step.py",
        name="same name",
        source_directory="two/src",
        arguments=[
            raw.as_download("raw_again"),
            folder.as_input("folder_in").as_download("/tmp/folder"),
            sent.read_delimited_files(set_column_types=None).as_input("table_in"),
            local.as_named_input("local"),
        ],
        inputs=[
            raw.as_download("raw_again"),
            read.as_named_input("parsed"),
            Dataset.get_by_name(ws, "registered_before").as_named_input("before").as_mount(),
        ],
        runconfig=named,
        allow_reuse=False,
        reuse=ReusePolicy(max_age=60, ignore=["--rate"], extra={"a": [1]}, scope="pipeline"),
    )
    third = PythonScriptStep("step.py", name="third", source_directory="two/src")
    third.run_after(second)
    return Pipeline(ws, [first, second, third], description="All of it")


def meaning(pipeline: Pipeline) -> list[dict]:
    """What the nodes say, but for where sources lie and for what is local."""
    nodes = pipeline.spec.to_dict()["nodes"]
    for node in nodes:
        node.pop("source_directory")
        for port in node.get("inputs", ()):
            for place in port["source"].get("paths", ()):
                if place["kind"] == "local_path":
                    place["path"] = os.path.basename(place["path"])
    return nodes


def test_a_saved_pipeline_is_the_same_when_it_is_read(project, tmp_path: Path):
    """Steps, data, parameters, environments, order; the scripts lie beside the file."""
    ws = Workspace()
    Dataset.File.from_files((ws.get_default_datastore(), "x")).register(ws, "registered_before")
    pipeline = everything()
    made = pipeline.publish("All of it")
    target = tmp_path / "elsewhere"
    target.mkdir()

    made.save(str(target))

    assert sorted(each.name for each in target.iterdir()) == ["All_of_it.yml", "All_of_it_files"]
    assert sorted(each.name for each in (target / "All_of_it_files").iterdir()) == [
        "1.runconfig",
        "2.runconfig",
        "src",
        "src_2",
    ]
    again = Pipeline.load_yaml(ws, str(target / "All_of_it.yml"))
    assert json.dumps(meaning(again), indent=1) == json.dumps(meaning(pipeline), indent=1)
    assert again.description == "All of it"
    sources = {Path(node.source_directory).name for node in again.spec.nodes}
    assert sources == {"src", "src_2"}
    assert {each.name: each.default for each in again.spec.parameters} == {"rate": 0.5, "word": "a"}


def test_what_was_saved_can_be_edited_by_hand(pipeline, tmp_path: Path):
    """The file has v1's words: a changed default and another argument are read as they are."""
    file = tmp_path / "mine.yaml"
    pipeline.publish("p").save(str(file))
    document = yaml.safe_load(file.read_text())
    step = document["pipeline"]["steps"]["train"]
    assert step["arguments"] == ["--rate", "parameter:rate", "--out", "output:out"]
    document["pipeline"]["parameters"]["rate"]["default"] = 0.7
    step["arguments"].append("--more")
    file.write_text(yaml.safe_dump(document))

    ((dag_id, declared),) = load_file(str(file)).declared()

    assert dag_id == "mine"
    assert declared.pipeline.spec.parameters[0].default == 0.7
    assert declared.pipeline.spec.nodes[0].arguments[-1].value == "--more"


def test_nothing_is_overwritten_and_nothing_half_is_left(pipeline, project, tmp_path: Path):
    """What is there stays; what YAML has no word for is named, and leaves no file."""
    made = pipeline.publish("p")
    made.save(str(tmp_path / "p.yml"))
    with pytest.raises(UserErrorException, match=r"p\.yml' is there already. Name another path"):
        made.save(str(tmp_path / "p.yml"))
    with pytest.raises(UserErrorException, match="neither a folder nor the name of a YAML file"):
        made.save(str(tmp_path / "p.json"))
    link = LinkFileOutputDatasetConfig("link")
    step = PythonScriptStep("step.py", name="s", source_directory="one/src", arguments=[link])
    linked = Pipeline(Workspace(), [step]).publish("linked")
    with pytest.raises(NotServedError, match="step 's': output 'link' is a link to a dataset"):
        linked.save(str(tmp_path / "linked.yml"))
    assert not list(tmp_path.glob("linked*"))

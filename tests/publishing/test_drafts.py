"""A draft is stored, changed, run, and published when it is ready; graphs are looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_aml import Pipeline, PipelineDraft, PipelineRun, PublishedPipeline, Workspace
from airflow_aml.errors import (
    NotServedError,
    PipelineDefinitionError,
    RunEnvironmentException,
    UserErrorException,
)


@pytest.fixture
def draft(pipeline):
    """A draft of the pipeline."""
    return PipelineDraft.create(
        Workspace(),
        pipeline,
        name="idea",
        experiment_name="tries",
        pipeline_parameters={"rate": 0.2},
        tags={"team": "a"},
    )


def test_a_draft_is_found_and_changed(draft):
    """By its id, in lists by its tags; what update is given replaces what there was."""
    ws = Workspace()
    assert [each.id for each in PipelineDraft.list(ws, tags={"team": "a"})] == [draft.id]
    assert PipelineDraft.list(ws, tags={"team": "b"}) == []

    draft.update(name="better", pipeline_parameters={"rate": "0.3"}, properties={"why": 1})

    found = PipelineDraft.get(ws, draft.id)
    assert (found.name, found.experiment_name, found.tags) == ("better", "tries", {"team": "a"})
    assert (found.pipeline_parameters, found.properties) == ({"rate": 0.3}, {"why": "1"})
    assert PublishedPipeline.list(ws) == []


def test_a_draft_runs_and_is_published(draft):
    """Its run has its values and tags; published, the values are defaults, and the run can be
    drafted again."""
    run = draft.submit_run()
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert (run.experiment_name, run.get_tags()["team"]) == ("tries", "a")

    draft.update(pipeline_parameters={"rate": 0.4})
    published = draft.publish()
    again = PipelineDraft.clone_from_pipeline_run(Workspace(), PipelineRun.get(Workspace(), run.id))

    assert [each.id for each in PublishedPipeline.list(Workspace())] == [published.id]
    assert (published.name, published.get_graph().params) == ("idea", {"rate": 0.4})
    assert (again.name, again.pipeline_parameters) == ("tries", {"rate": 0.2})


def test_a_draft_is_saved_as_a_file(draft, tmp_path):
    """Its values are the defaults of what is read again."""
    draft.save(tmp_path / "idea.yml")

    (parameter,) = Pipeline.load_yaml(Workspace(), tmp_path / "idea.yml").spec.parameters
    assert (parameter.name, parameter.default) == ("rate", 0.2)


def test_drafts_are_made_of_what_there_is(draft, pipeline):
    """A published pipeline has its name, another draft all that it was told."""
    ws, published = Workspace(), pipeline.publish("Train it", "nightly")

    of_published = PipelineDraft.clone_from_published_pipeline(ws, published)
    of_draft = PipelineDraft.clone_from_pipeline_draft(ws, draft, name="second")

    assert (of_published.name, of_published.experiment_name) == ("Train it", "Train_it")
    assert of_published.description == "nightly"
    assert (of_draft.name, of_draft.pipeline_parameters) == ("second", {"rate": 0.2})
    assert len({each.id for each in PipelineDraft.list(ws)}) == 3


def test_a_deleted_draft_is_gone(draft):
    """It is in no list, and neither changed nor run any more."""
    draft.delete()

    assert PipelineDraft.list(Workspace()) == []
    for call in (draft.submit_run, draft.publish, draft.delete, lambda: draft.update(name="x")):
        with pytest.raises(UserErrorException, match="no pipeline draft with the id"):
            call()


def test_drafts_are_listed_while_others_delete_some(draft):
    """What goes meanwhile is in the list or is not; nobody's list is broken by it."""
    others = [PipelineDraft.clone_from_pipeline_draft(Workspace(), draft) for _ in range(8)]
    with ThreadPoolExecutor(1) as elsewhere:
        deleting = elsewhere.submit(lambda: [each.delete() for each in others])
        while not deleting.done():
            assert draft.id in {each.id for each in PipelineDraft.list(Workspace())}

    assert [each.id for each in PipelineDraft.list(Workspace())] == [draft.id]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": None}, "name= is required"),
        ({"experiment_name": None}, "experiment_name= is required"),
        ({"experiment_name": "../x"}, "Experiment name"),
        ({"name": 7}, "name= is a text, not 7"),
        ({"pipeline_parameters": {"rat": 1}}, "parameter with name rat does not exist"),
        ({"pipeline_parameters": {"rate": "fast"}}, "parameter rate is float"),
        ({"pipeline_parameters": 3}, "takes a dict"),
        ({"tags": "x"}, "takes a dict"),
    ],
)
def test_what_is_wrong_with_a_draft_is_told(pipeline, options, message):
    """Nothing is stored then."""
    good = {"name": "n", "experiment_name": "e"}

    with pytest.raises((PipelineDefinitionError, UserErrorException), match=message):
        PipelineDraft.create(Workspace(), pipeline, **{**good, **options})
    assert PipelineDraft.list(Workspace()) == []


def test_only_pipelines_are_drafted(pipeline):
    """Anything else, and an id that is none, is an error."""
    with pytest.raises(UserErrorException, match="not 'x'"):
        PipelineDraft.create(Workspace(), "x", name="n", experiment_name="e")
    for identifier in ("x", "../../workspace", ""):
        with pytest.raises(UserErrorException, match="no pipeline draft with the id"):
            PipelineDraft.get(Workspace(), identifier)


def test_a_file_that_is_only_loaded_has_no_drafts(write, parse, workspace):
    """Drafts belong into programs; the import error says so."""
    write("src/say.py", "print('said')")
    write(
        "drafts.py",
        """
        # airflow dag
        from airflow_aml import *
        step = PythonScriptStep("say.py", name="say", source_directory="src")
        PipelineDraft.create(Workspace(), Pipeline(Workspace(), [step]), "n", "", "e")
        """,
    )

    (error,) = parse().errors.values()
    assert RunEnvironmentException.__name__ in error or "only being loaded" in error


def test_a_graph_has_steps_data_and_edges(write, workspace):
    """Of a published pipeline: nodes by name and id, and what goes from where to where."""
    from airflow_aml import (
        Dataset,
        OutputFileDatasetConfig,
        PipelineParameter,
        PythonScriptStep,
    )
    from airflow_aml.definition.origin import loading

    write("src/step.py", "")
    write("raw.txt", "x")
    with loading(str(write("program.py", "pass"))):
        raw = Dataset.File.from_files("raw.txt").as_named_input("raw").as_mount()
        out = OutputFileDatasetConfig("out")
        options = {"script_name": "step.py", "source_directory": "src"}
        first = PythonScriptStep(name="first", arguments=[raw, out], **options)
        rate = PipelineParameter("rate", 1)
        second = PythonScriptStep(name="second", arguments=[out.as_input("made"), rate], **options)
        third = PythonScriptStep(name="third", **options)
        third.run_after(second)
        published = Pipeline(Workspace(), [first, second, third]).publish("G")

    graph = published.get_graph()

    assert [node.name for node in graph.module_nodes] == ["first", "second", "third"]
    assert [node.name for node in graph.datasource_nodes] == ["raw"]
    ways = [(edge.source_port.name, edge.dest_port.name) for edge in graph.edges]
    assert ways == [("output", "raw"), ("out", "made")]
    (node,) = graph.node_name_dict["second"]
    assert graph.get_node("second") is node
    assert node.get_input("made") == graph.edges[1].dest_port
    assert (node.params, graph.params) == (("rate",), {"rate": 1})
    assert graph.get_node("third").after == ("second",)
    with pytest.raises(UserErrorException, match="no output 'x'; it has out"):
        graph.get_node("first").get_output("x")
    with pytest.raises(UserErrorException, match="no node 'nowhere'"):
        graph.get_node("nowhere")
    with pytest.raises(NotServedError, match=r"Graph\.connect"):
        graph.connect()

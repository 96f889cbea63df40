"""A pipeline is published, listed, switched off and on, and runs as it was published."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_aml import PublishedPipeline, Workspace
from airflow_aml.errors import (
    ErrorResponseException,
    RunEnvironmentException,
    UserErrorException,
    WorkspaceException,
)


def test_what_is_published_is_found_by_its_id(pipeline):
    """All that was said of it is there, whoever asks."""
    made = pipeline.publish("Train a model", "nightly", "1.0", continue_on_step_failure=True)

    found = PublishedPipeline.get(Workspace(), made.id)

    assert (found.name, found.description, found.version) == ("Train a model", "nightly", "1.0")
    assert (found.status, found.get_step_names(), found.total_run_steps) == ("Active", ["train"], 1)
    assert found.continue_on_step_failure is True
    assert found.dag_id == f"Train_a_model-{made.id[:8]}"


def test_publishing_again_makes_another(pipeline):
    """The same pipeline under the same name is a new id, and the newest is listed first."""
    first, second = pipeline.publish("p"), pipeline.publish("p")

    listed = [each.id for each in PublishedPipeline.list(Workspace())]

    assert sorted(listed) == sorted([first.id, second.id])
    assert first.graph_id == second.graph_id
    assert PublishedPipeline.get(Workspace(), name="p").id == listed[0]


def test_many_publish_one_name_at_once(pipeline):
    """Two clients with one name are two published pipelines, and none is lost."""
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: pipeline.publish("same").id, range(16)))

    assert len(set(made)) == 16
    assert sorted(each.id for each in PublishedPipeline.list(Workspace())) == sorted(made)


def test_a_disabled_one_is_hidden_and_refuses_runs(pipeline):
    """Disabled it is in no list and does not run; enabled again, in a loop or not, it is back."""
    made = pipeline.publish("p")

    for _ in range(3):
        made.disable()
        made.disable()
        assert made.status == "Disabled"
        assert PublishedPipeline.list(Workspace()) == []
        with pytest.raises(UserErrorException, match=r"'p' \(.*\) is disabled"):
            made.submit(Workspace(), "experiment")
        made.enable()
        made.enable()
        assert [each.id for each in PublishedPipeline.list(Workspace())] == [made.id]
    assert len(PublishedPipeline.list(Workspace(), active_only=False)) == 1


@pytest.mark.parametrize("identifier", ["../../workspace", "", "x" * 300, "'; DROP TABLE dag; --"])
def test_an_id_that_is_none_leads_nowhere(workspace, identifier):
    """Whatever is given as an id, it never becomes a path."""
    with pytest.raises(ErrorResponseException, match="no published pipeline with the id"):
        PublishedPipeline.get(Workspace(), identifier)


@pytest.mark.parametrize("name", ["a/b", "../x", "<script>alert(1)</script>", "'; DROP TABLE x"])
def test_a_name_is_free_text(pipeline, name):
    """Slashes, HTML and SQL in a name are kept, and never reach the DAG's id."""
    made = PublishedPipeline.get(Workspace(), pipeline.publish(name).id)

    assert made.name == name
    assert not set(made.dag_id) & set("/<>'; .")


def test_what_cannot_be_published_is_told(pipeline, workspace):
    """A name that is no text, a value of the wrong type, a record that is none."""
    with pytest.raises(UserErrorException, match="name= is a text, not 7"):
        pipeline.publish(7)
    with pytest.raises(UserErrorException, match="name= has a NUL, which no database keeps"):
        pipeline.publish("a\0b")
    made = pipeline.publish("p")
    with pytest.raises(UserErrorException, match="parameter rate is float, but the value is 'x'"):
        made.submit(Workspace(), "experiment", {"rate": "x"})
    path = workspace.root / "registry" / "published" / f"{made.id}.json"
    path.write_text('{"published": 1, "document": {}}')
    with pytest.raises(WorkspaceException, match="describes no published pipeline"):
        PublishedPipeline.get(Workspace(), made.id)
    path.write_text('{"published": 99}')
    with pytest.raises(WorkspaceException, match="later release"):
        PublishedPipeline.get(Workspace(), made.id)


def test_the_address_is_v1s_at_the_airflow_that_is_known(pipeline, monkeypatch):
    """v1's path below the address of the API server, with the workspace and the id."""
    monkeypatch.setenv("AIRFLOW_AML_API_URL", "https://airflow.example.com/")

    made = pipeline.publish("p")

    assert made.endpoint == (
        "https://airflow.example.com/aml/pipelines/v1.0/subscriptions/-/resourceGroups/-/providers/"
        "Microsoft.MachineLearningServices/workspaces/default/PipelineRuns/PipelineSubmit/"
        f"{made.id}"
    )


def test_without_an_airflow_nobody_is_at_the_address(pipeline):
    """A program that prints it goes on, and is warned; a call of it names the reason."""
    made = pipeline.publish("p")

    with pytest.warns(UserWarning, match="no Airflow is known, .* AIRFLOW_AML_API_URL"):
        address = made.endpoint
    assert address.endswith(f"/PipelineRuns/PipelineSubmit/{made.id}")
    with pytest.raises(requests.ConnectionError, match="no-airflow-is-known"):
        requests.post(address, json={"ExperimentName": "e"}, timeout=5)


def test_a_file_that_publishes_is_that_pipelines_dag(write, parse, workspace):
    """While Airflow parses, publish declares: one DAG, with the parameters, and nothing stored."""
    write("src/train.py", "print(1)")
    write(
        "monthly.py",
        """
        # airflow dag
        from airflow_aml import *
        helper = Pipeline("ws", [PythonScriptStep("train.py", name="h", source_directory="src")])
        pipeline = Pipeline("ws", [PythonScriptStep("train.py", name="t", source_directory="src")])
        published = pipeline.publish(name="monthly", continue_on_step_failure=True)
        print(published.id, published.name, published.endpoint)
        """,
    )

    parsed = parse()

    assert parsed.errors == {}
    assert [(key, dag.task_ids) for key, dag in parsed.dags.items()] == [
        ("monthly", ["reuse", "t"])
    ]
    assert not (workspace.root / "registry").exists()


def test_a_file_that_submits_what_it_has_published_goes_on(write, parse, workspace):
    """Its publication is the DAG, with the defaults; nothing runs, and what follows is declared."""
    write("src/train.py", "print(1)")
    write(
        "monthly.py",
        """
        # airflow dag
        from airflow_aml import *
        rate = PipelineParameter("rate", 0.1)
        step = PythonScriptStep("train.py", name="t", source_directory="src", arguments=[rate])
        published = Pipeline("ws", [step]).publish(name="monthly")
        run = Experiment(Workspace(), "e").submit(
            published, tags={"a": "b"}, pipeline_parameters={"rate": 2.0}, regenerate_outputs=True
        )
        run.wait_for_completion(show_output=True)
        again = run.publish_pipeline("again")
        monthly = ScheduleRecurrence("Month", 1)
        Schedule.create(Workspace(), "monthly", again.id, "e", recurrence=monthly)
        """,
    )

    parsed = parse()

    assert parsed.errors == {}
    (dag,) = parsed.dags.values()
    assert (dag.dag_id, dag.params["rate"]) == ("monthly", 0.1)
    assert dag.timetable.summary == "Every month"
    (said,) = [text for text in parsed.warnings if "Experiment.submit" in text]
    assert "Experiment.submit does not know regenerate_outputs=; this has no effect" in said
    assert not (workspace.root / "submitted").exists()


def test_a_file_that_puts_a_pipeline_behind_an_endpoint_goes_on(write, parse, workspace):
    """v1's add-or-create: the pipelines are DAGs; a warning says that no endpoint is made."""
    write("src/train.py", "print(1)")
    write(
        "monthly.py",
        """
        # airflow dag
        from airflow_aml import *
        from airflow_aml.errors import ErrorResponseException
        ws = Workspace()
        first, second = (
            Pipeline(ws, [PythonScriptStep("train.py", name=name, source_directory="src")])
            for name in ("first", "second")
        )
        published = first.publish(name="first")
        try:
            endpoint = PipelineEndpoint.get(ws, name="scoring")
            endpoint.add_default(published)
        except ErrorResponseException:
            endpoint = PipelineEndpoint.publish(ws, "scoring", "d", published)
        Experiment(ws, "e").submit(endpoint).wait_for_completion()
        other = PipelineEndpoint.publish(ws, "other", "", second)
        assert not other.endpoint.startswith("http")
        published.disable()
        hourly = ScheduleRecurrence("Hour", 1)
        Schedule.create_for_pipeline_endpoint(ws, "hourly", other.id, "e", recurrence=hourly)
        """,
    )

    parsed = parse()

    assert parsed.errors == {}
    assert {key: dag.task_ids for key, dag in parsed.dags.items()} == {
        "monthly.first": ["reuse", "first"],
        "monthly.other": ["reuse", "second"],
        "monthly.hourly": ["submit"],
    }
    said = " ".join(parsed.warnings)
    assert "the endpoint 'scoring' stays as it is: this file is only being loaded" in said
    assert "disable() of 'first' has no effect" in said
    assert not (workspace.root / "registry").exists()


@pytest.mark.parametrize("call", ["list_versions()", "get_pipeline()", "submit('e')"])
def test_a_file_reads_nothing_of_an_endpoint(write, parse, call):
    """What only the workspace knows is not asked while Airflow loads a file."""
    write(
        "reads.py",
        f"""
        # airflow dag
        from airflow_aml import PipelineEndpoint, Workspace
        PipelineEndpoint.get(Workspace(), name="scoring").{call}
        """,
    )

    (error,) = parse().errors.values()

    assert f"{call.partition('(')[0]!r} of the endpoint 'scoring', which is not looked up" in error


def test_a_file_does_not_act_on_what_is_published(write, parse, workspace):
    """While Airflow parses nothing is looked up in the workspace."""
    write("src/train.py", "print(1)")
    for name, statement in {
        "get": "PublishedPipeline.get(Workspace(), 'x')",
        "list": "PublishedPipeline.list(Workspace())",
    }.items():
        write(
            f"{name}.py",
            "# airflow dag\nfrom airflow_aml import *\n"
            "pipeline = Pipeline('ws', [PythonScriptStep('train.py', source_directory='src')])\n"
            + statement,
        )

    errors = " ".join(parse().errors.values())

    assert RunEnvironmentException.__name__ in errors
    assert "PublishedPipeline.get reads or changes data" in errors
    assert "PublishedPipeline.list reads or changes data" in errors


PROGRAM = """
    import json
    from airflow_aml import *
    ws = Workspace()
    rate, out = PipelineParameter("rate", 0.1), OutputFileDatasetConfig("out")
    step = PythonScriptStep(
        "train.py", name="train", source_directory="src", arguments=["--rate", rate, "--out", out]
    )
    published = Pipeline(ws, [step]).publish(name="laptop")
    open("src/train.py", "w").write("raise SystemExit('edited after it was published')")
    run = Experiment(ws, "experiment").submit(
        published, tags={"build": "7"}, pipeline_parameters={"rate": "0.7", "other": 1},
        show_output=True,
    )
    early = run.publish_pipeline("at once")
    run.save("early.yml")
    status = run.wait_for_completion(show_output=False)
    again = run.publish_pipeline("from the run", version="2")
    data = run.find_step_run("train")[0].get_output_data("out")
    data.download("got")
    known = [each.id for each in PipelineRun.get_pipeline_runs(ws, published.id)]
    print(json.dumps({
        "status": status, "known": known == [run.id],
        "same": again.graph_id == early.graph_id == published.graph_id,
        "tags": run.tags,
        "saved": len(Pipeline.load_yaml(ws, "early.yml").spec.nodes),
        "names": sorted(each.name for each in PublishedPipeline.list(ws)),
    }))
"""


def test_a_published_pipeline_runs_what_was_published(write, pipeline):
    """Its script is edited afterwards; the run has the old one, and can be published itself, and
    saved: after it has ended, and right after the submit, which waits until it has begun."""
    program = write("laptop.py", PROGRAM)

    done = subprocess.run(
        [sys.executable, program],
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "status": "Finished",
        "known": True,
        "same": True,
        "tags": {"build": "7"},
        "saved": 1,
        "names": ["at once", "from the run", "laptop"],
    }
    assert "'other' is no parameter of this pipeline, and is ignored" in done.stderr
    assert done.stderr.count("Experiment.submit does not know show_output=") == 1
    (got,) = (program.parent / "got").rglob("rate.txt")
    assert got.read_text() == "0.7"
    assert "edited" in (program.parent / "src" / "train.py").read_text()

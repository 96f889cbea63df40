"""A dropped file: which DAGs come of it, under which ids, and what a broken one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.execution_time import task_runner

STEP = """
    # airflow dag
    from airflow_aml import *
    def step(name, **options):
        return PythonScriptStep("step.py", name=name, source_directory="src", **options)
"""


@pytest.fixture(autouse=True)
def source(write):
    """A source folder beside the definitions."""
    write("src/step.py", "print('hello')")


def test_a_pipeline_at_module_level_is_a_dag(write, parse):
    """Just dropping the file is enough; the id is the file's path."""
    write(
        "team/train_model.py", STEP.replace("src", "../src") + "    p = Pipeline('ws', [step('a')])"
    )

    parsed = parse()

    assert parsed.errors == {}
    assert list(parsed.dags) == ["team_train_model"]
    assert [t.task_id for t in parsed.dags["team_train_model"].tasks] == ["reuse", "a"]


def test_several_pipelines_are_told_apart_by_their_variables(write, parse):
    """With more than one pipeline in a file, .name is added, the first one included."""
    write(
        "both.py",
        STEP
        + """
    first = Pipeline('ws', [step('a')])
    second = Pipeline('ws', [step('b')])
    rest = [Pipeline('ws', [step('c')])]
    """,
    )

    assert sorted(parse().dags) == ["both.first", "both.pipeline3", "both.second"]


def test_only_what_is_submitted_becomes_a_dag(write, parse):
    """A file that submits says which pipelines it means; helpers that are only built are none."""
    write(
        "program.py",
        STEP
        + """
    helper = Pipeline('ws', [step('h')])
    main = Pipeline('ws', [step('a', arguments=[PipelineParameter('rate', 1)])])
    run = Experiment(Workspace(), 'nightly').submit(
        main, tags={'k': 'v'}, pipeline_parameters={'rate': 5}, default_source_directory='ignored'
    )
    run.wait_for_completion(show_output=True)
    """,
    )

    parsed = parse()

    (dag,) = parsed.dags.values()
    assert dag.dag_id == "program"
    assert dag.params["rate"] == 5
    assert sorted(dag.tags) == ["azureml-v1", "experiment:nightly"]


def test_two_submits_are_named_by_their_experiments(write, parse):
    """Two submitted pipelines are two DAGs; the same one twice is one."""
    write(
        "two.py",
        STEP
        + """
    a, b = Pipeline('ws', [step('a')]), Pipeline('ws', [step('b')])
    for name, p in (('one', a), ('one', b), ('again', a)):
        p.submit(name)
    """,
    )

    assert sorted(parse().dags) == ["two.one", "two.one_2"]


def test_to_dag_is_the_authors_word(write, parse):
    """An explicit DAG keeps its id and options, and nothing else is made of its pipeline."""
    write(
        "explicit.py",
        STEP
        + """
    p = Pipeline('ws', [step('a')])
    p.submit('ignored')
    dag = p.to_dag('my_id', schedule='@daily', tags=['mine'])
    """,
    )

    (dag,) = parse().dags.values()
    assert (dag.dag_id, dag.schedule, set(dag.tags)) == ("my_id", "@daily", {"mine"})


def test_to_dag_without_an_id_uses_the_files(write, parse):
    """The file's path names the first, the variable the others."""
    write(
        "explicit.py",
        STEP
        + """
    main = Pipeline('ws', [step('a')])
    other = Pipeline('ws', [step('b')])
    d1 = main.to_dag()
    d2 = other.to_dag()
    """,
    )

    ids = sorted(parse().dags)
    assert ids[0] == "explicit"
    assert ids[1].startswith("explicit.")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Pipeline('ws', [step('train', arguments=[1, ...])])", ["step 'train'", "arguments[1]"]),
        ("Pipeline('ws', [PythonScriptStep('no.py', name='train', source_directory='src')])",
         ["Step [train]", "no.py"]),
        ("a = step('a'); b = step('b'); a.run_after(b); b.run_after(a); Pipeline('ws', [a])",
         ["Cycle detected", "a -> b -> a"]),
        ("Workspace().webservices['x']", ["Workspace.webservices"]),
        ("p = Pipeline('ws', []); p.submit('e').get_metrics()", ["get_metrics", "only declared"]),
        ("Pipeline('ws', [step('a')]); raise SystemExit(3)", ["SystemExit"]),
        ("Pipeline('ws', [step('a')]", ["never closed"]),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_import_error_and_hides_nobody(write, parse, line, words):
    """The error names file, step and argument; the neighbours still load."""
    write("broken.py", STEP + "    " + line)
    write("fine.py", STEP + "    p = Pipeline('ws', [step('a')])")

    parsed = parse()

    assert list(parsed.dags) == ["fine"]
    (error,) = parsed.errors.items()
    assert "broken.py" in error[0]
    for word in words:
        assert word in error[1]


def test_parameters_become_typed_params(write, parse):
    """The trigger form asks for them, the API checks them."""
    write(
        "p.py",
        STEP
        + """
    values = {'i': 3, 'f': 0.5, 'b': True, 's': 'x', 'empty': ''}
    arguments = [PipelineParameter(name, value) for name, value in values.items()]
    p = Pipeline('ws', [step('a', arguments=arguments)])
    """,
    )

    (dag,) = parse().dags.values()
    types = {name: dag.params.get_param(name).schema["type"] for name in dag.params}
    assert types == {
        "i": "integer",
        "f": "number",
        "b": "boolean",
        "s": "string",
        "empty": ["string", "null"],
        "aml_regenerate_outputs": "boolean",
    }
    # Airflow would check a copy in every task at each parse; a run's tasks have the DAG's.
    assert [name for name, task in dag.task_dict.items() if task.params] == []


def test_the_dag_shows_what_the_author_wrote(write, parse):
    """Description, Mermaid graph, v1's step names, and edges from data and run_after."""
    write(
        "p.py",
        STEP
        + """
    out = OutputFileDatasetConfig('o')
    a = step('prepare data', arguments=[out])
    b = step('b', arguments=[out.as_input('i')])
    c = step('c')
    c.run_after(b)
    p = Pipeline('ws', [c], description='What it does.')
    """,
    )

    (dag,) = parse().dags.values()
    tasks = dag.task_dict
    assert dag.description == "What it does."
    assert dag.doc_md.startswith("What it does.\n\n| step | script |")
    assert "| b | step.py | o of prepare data |  |  |" in dag.doc_md
    assert "```mermaid\ngraph TD\n" in dag.doc_md
    assert "-->|o|" in dag.doc_md
    assert tasks["prepare_data"].task_display_name == "prepare data"
    assert {t.task_id: sorted(t.upstream_task_ids) for t in dag.tasks} == {
        "reuse": [],
        "prepare_data": ["reuse"],
        "b": ["prepare_data"],
        "c": ["b"],
    }
    assert {t.trigger_rule for t in dag.tasks if t.task_id != "reuse"} == {"none_failed"}


def test_an_empty_pipeline_is_a_dag(write, parse):
    """v1 accepts no steps; so does the DAG."""
    write("p.py", STEP + "    p = Pipeline('ws', [])")

    (dag,) = parse().dags.values()
    assert [t.task_id for t in dag.tasks] == ["reuse"]


def test_paths_start_at_the_parsed_file_also_from_a_helper(write, parse):
    """Steps that a helper module makes belong to the file that uses it, as in a v1 program."""
    write(
        "proj/steps_helper.py",
        """
        from airflow_aml import PythonScriptStep
        def make():
            return PythonScriptStep("step.py", source_directory="scripts")
        """,
    )
    write("proj/scripts/step.py", "")
    write(
        "proj/main.py",
        """
        # airflow dag
        import os, sys
        sys.path.insert(0, os.path.dirname(__file__))
        from steps_helper import make
        from airflow_aml import Pipeline
        p = Pipeline('ws', [make()])
        """,
    )

    parsed = parse()

    assert parsed.errors == {}
    assert list(parsed.dags) == ["proj_main"]


def test_a_file_without_the_word_dag_is_found_by_our_rule(tmp_path, write):
    """Airflow skips files without "dag" and "asset"; [core] might_contain_dag_callable mends it."""
    from airflow_aml.airflow.discovery import might_contain_dag

    good = write("plain.py", "from airflow_aml import Pipeline\n")
    alone = write("alone.py", "from airflow_aml import Experiment, ScriptRunConfig\n")
    script = write("script.py", "from airflow_aml import Run, ScriptRunConfig\n")

    assert might_contain_dag(str(good))
    assert might_contain_dag(str(alone))
    assert not might_contain_dag(str(script))


def test_parsing_writes_and_reads_nothing(tmp_path, write, workspace):
    """Not even the workspace is opened: a definition is only looked at."""
    root = workspace.root
    before = sorted(root.rglob("*"))
    write("p.py", STEP + "    p = Pipeline('ws', [step('a')])")
    (tmp_path / "dags" / "src" / "huge.bin").write_bytes(b"")
    os.chmod(tmp_path / "dags" / "src" / "huge.bin", 0)

    script = _serialise(tmp_path / "dags", "0")

    assert script
    assert sorted(root.rglob("*")) == before


def test_two_parses_give_the_same_bytes(tmp_path, write):
    """Serialised DAGs do not differ between processes, so no new version appears by itself."""
    write(
        "p.py",
        STEP
        + """
    o1, o2 = OutputFileDatasetConfig(), OutputFileDatasetConfig()
    a = step('a', arguments=[o1, o2, PipelineParameter('p', 1)], params={'x': 1, 'y': 2})
    config = RunConfiguration()
    config.environment_variables = {'B': '1', 'A': '2'}
    b = step('b', arguments=[o2.as_input(), o1.as_input()], runconfig=config)
    Experiment(Workspace(), 'exp').submit(Pipeline('ws', [b, step('c')]), tags={'z': '1', 'a': '2'})
    """,
    )

    assert _serialise(tmp_path / "dags", "1") == _serialise(tmp_path / "dags", "2")


def _serialise(folder: Path, seed: str) -> str:
    program = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization
folder = Path(sys.argv[1])
bag = BundleDagBag(folder, bundle_path=folder, bundle_name='dags-folder')
assert not bag.import_errors, bag.import_errors
# Sorted, as Airflow sorts them before it decides whether there is a new version.
documents = [DagSerialization.to_dict(d) for d in bag.dags.values()]
sys.stderr.write(json.dumps(documents, sort_keys=True))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONWARNINGS": "ignore"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stderr[done.stderr.index("[{") :]


def test_a_function_that_returns_a_pipeline_is_seen_through(write, parse):
    """The variable's name counts, also when a function of the file builds the pipeline."""
    write(
        "made.py",
        STEP
        + """
    def make(name):
        return Pipeline('ws', [step(name)])
    first = make('a')
    second = make('b')
    """,
    )

    assert sorted(parse().dags) == ["made.first", "made.second"]


def test_a_tasks_process_builds_the_task_that_it_runs_and_nothing_else(write, parse, monkeypatch):
    write("src/train.py", "pass\n")
    write(
        "two.py",
        """
        # airflow dag
        from airflow_aml import Pipeline, PythonScriptStep
        def step(name): return PythonScriptStep("train.py", name=name, source_directory="src")
        first = Pipeline("w", [step("a"), step("b")])
        second = Pipeline("w", [step("a"), step("c")])
        """,
    )
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "two.second")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "c")
    assert sorted(parse().dags) == ["two.first", "two.second"], "another command, in its shell"
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    dags = parse().dags
    assert list(dags) == ["two.second"]
    assert dags["two.second"].task_ids == ["c"]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "reuse")
    assert parse().dags["two.second"].task_ids == ["reuse"]

"""Runs seen in MLflow: a real server, and one that is away."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_aml.airflow.mlflow.contents import contents_of, params_of, plain
from airflow_aml.runtime.arguments import InputRef, Text
from scripts.mlflow_server import MlflowServer
from scripts.test_servers import NotInstalledError

PIPELINE = """
    # airflow dag
    from airflow_aml import *
    rate = PipelineParameter("rate", 0.1)
    data = OutputFileDatasetConfig("data")
    prepare = PythonScriptStep("prepare.py", arguments=["--out", data], source_directory="src")
    train = PythonScriptStep(
        "train.py",
        arguments=["--data", data.as_input(), "--rate", rate, "--epochs", 3],
        source_directory="train",
    )
    p = Pipeline(Workspace(), [prepare, train])
    Experiment(Workspace(), "diabetes").submit(p)
"""

TRAIN = """
    import mlflow
    from airflow_aml import Run
    run = Run.get_context()
    for epoch in range(1500):
        run.log("loss", 1 / (epoch + 1), step=epoch * 10)
    run.log("bad (%)", float("nan"))
    run.log("note", "good")
    run.log_list("folds", [0.5, 0.6])
    run.log_row("curve", x=1, y=2.0); run.log_row("curve", x=2, y=4.0)
    run.log_table("table", {"a": [1, 2]})
    open("chart.png", "wb").write(b"png")
    run.log_image("chart", path="chart.png")
    run.tag("stage", "trained"); run.add_properties({"author": "me"})
    run.parent.log("best", 0.9)
    with run.child_run("fold 1") as fold:
        fold.log("auc", 0.8)
    from airflow_aml import ScriptRunConfig
    run.submit_child(ScriptRunConfig(".", "fold.py"), tags={"fold": 2}).wait_for_completion()
    open("outputs/model.txt", "w").write("weights")
    run.register_model("line", model_path="outputs/model.txt", tags={"kind": "toy"})
    with mlflow.start_run() as mine:
        mlflow.log_metric("direct", 7.0)
        mlflow.log_param("epochs", "3.0")
    print("trained")
"""

FOLD = """
    from airflow_aml import Run
    Run.get_context().log("auc", 0.7)
    open("outputs/fold.txt", "w").write("2")
"""


@pytest.fixture
def project(write):
    write("src/prepare.py", "import sys; open(sys.argv[2] + '/d.txt', 'w').write('d')\n")
    write("train/train.py", TRAIN)
    write("train/fold.py", FOLD)
    write("p.py", PIPELINE)


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowServer]:
    try:
        running = MlflowServer()
    except NotInstalledError as error:
        pytest.skip(str(error))
    with running:
        yield running


@pytest.fixture
def client(server, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("AIRFLOW__AML__MLFLOW_TRACKING_URI", server.uri)
    return MlflowClient(server.uri)


def runs_of(client, experiment: str) -> list:
    found = client.get_experiment_by_name(experiment)
    return sorted(
        client.search_runs([found.experiment_id]),
        key=lambda run: (run.info.start_time, run.info.run_id),
    )


def below(runs: list, parent) -> dict:
    """The runs below one, by name."""
    return {
        run.info.run_name: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }


@pytest.mark.timeout(400)
def test_a_run_and_its_steps_in_mlflow(project, one_dag, run_dag, client):
    """Nested runs with metrics, params, tags, files and the model; a reused step is a link."""
    dag = one_dag()
    first = run_dag(dag)
    assert first.state == "success"
    assert first.xcom("train")["status"] == "Finished"

    runs = runs_of(client, "diabetes")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"rate": "0.1"}
    assert parent.data.metrics == {"best": 0.9}
    steps = below(runs, parent)
    assert set(steps) == {"prepare.py", "train.py"}
    train = steps["train.py"]
    assert train.info.status == "FINISHED"
    assert train.data.params == {"rate": "0.1", "epochs": "3.0"}
    metrics = dict(train.data.metrics)
    assert math.isnan(metrics.pop("bad ___"))
    assert metrics == {
        "loss": 1 / 1500, "folds": 0.6, "curve/x": 2.0, "curve/y": 4.0, "direct": 7.0
    }  # fmt: skip
    history = client.get_metric_history(train.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(0, 15000, 10))
    assert train.data.tags["stage"] == "trained"
    assert train.data.tags["property.author"] == "me"
    assert train.data.tags["note"] == "good"
    folds = below(runs, train)
    assert folds["fold 1"].data.metrics == {"auc": 0.8}
    assert (folds["fold_1"].data.metrics, folds["fold_1"].data.tags["fold"]) == ({"auc": 0.7}, "2")
    (left,) = client.list_artifacts(folds["fold_1"].info.run_id, "outputs")
    assert left.path == "outputs/fold.txt"

    def files(path: str = "") -> set[str]:
        return {each.path for each in client.list_artifacts(train.info.run_id, path)}

    assert files("outputs") == {"outputs/model.txt"}
    assert files("metrics") == {"metrics/curve.json", "metrics/table.json"}
    assert files("logs/azureml") >= {"logs/azureml/stdoutlogs.txt"}
    assert any(name.startswith("chart_") for name in files())
    (version,) = client.search_model_versions("name='line'")
    assert version.run_id == train.info.run_id
    assert version.tags == {"airflow_aml.version": "1", "kind": "toy"}
    assert files("models/line/1") == {"models/line/1/model.txt"}
    page = f"/runs/{train.info.run_id}"
    assert first.xcom("train")["mlflow"].endswith(page)

    again = run_dag(dag)
    assert again.states["train"] == "skipped"
    new = [run for run in runs_of(client, "diabetes") if run.info.run_id not in
           {each.info.run_id for each in runs}]  # fmt: skip
    (link,) = new
    assert link.data.tags["reused.train"].endswith(page)
    assert link.info.status == "FINISHED"


def test_a_retry_is_a_run_of_its_own(write, one_dag, run_dag, client, tmp_path):
    """A try that fails keeps what it had logged, and both are below one pipeline's run."""
    mark = tmp_path / "mark"
    write(
        "src/flaky.py",
        f"""
        import os, time
        from airflow_aml import Run
        again = os.path.exists({str(mark)!r})
        Run.get_context().log("again", again)
        open({str(mark)!r}, "w").close()
        time.sleep(0 if again else 60)
        """,
    )
    write(
        "p.py",
        """
        from datetime import timedelta
        from airflow.sdk import DAG
        from airflow_aml import PythonScriptStepOperator
        with DAG("flaky", schedule=None):
            PythonScriptStepOperator(
                task_id="flaky",
                script_name="flaky.py",
                source_directory="src",
                retries=1,
                execution_timeout=timedelta(seconds=6),
            )
        """,
    )

    assert run_dag(one_dag()).state == "success"

    runs = runs_of(client, "flaky")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    tries = [run for run in runs if run is not parent]
    assert [(run.info.status, run.data.metrics) for run in tries] == [
        ("FAILED", {"again": 0.0}),
        ("FINISHED", {"again": 1.0}),
    ]
    assert [run.data.tags["airflow.try_number"] for run in tries] == ["1", "2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in tries} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"


def test_steps_that_begin_at_once_make_one_run(workspace, client):
    """Whoever comes first has made the pipeline's run; the others use it and leave none behind."""
    from airflow_aml.airflow.mlflow import runs
    from airflow_aml.workspace.plans import RunPlan

    plan = RunPlan("dag", "run", "at once", "default", parameters={"a": 1})
    client.create_experiment("at once")

    def begin(_: int) -> str:
        return runs._pipelines(client, "uri", workspace, "the-run", plan).run_id

    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(begin, range(6)))
    (left,) = runs_of(client, "at once")
    assert made == {left.info.run_id}
    assert left.data.params == {"a": "1"}


def failing_program() -> str:
    """A program with a run of its own, and the run's id."""
    from airflow_aml import Experiment, Workspace

    run = Experiment(Workspace(), "notes").start_logging(display_name="first try")
    run.log("loss", 1)
    run.log("loss", 0.5)
    run.tag("stage", "tried")
    run.upload_file("outputs/this.py", __file__)
    with run.child_run("fold") as fold:
        fold.log("auc", 0.8)
    run.fail("no data")
    return str(run.id)


def test_a_programs_own_run_in_mlflow(workspace, client, capfd):
    """What a program logs without a pipeline is there when it has ended."""
    run_id = failing_program()

    assert "MLflow" not in capfd.readouterr().err
    found = {each.info.run_name: each for each in runs_of(client, "notes")}
    tried, fold = found["first try"], found["fold"]
    assert tried.info.status == "FAILED"
    assert tried.data.metrics == {"loss": 0.5}
    assert (tried.data.tags["stage"], tried.data.tags["airflow_aml.run_id"]) == ("tried", run_id)
    assert [each.path for each in client.list_artifacts(tried.info.run_id)] == ["outputs"]
    assert fold.data.metrics == {"auc": 0.8}
    assert fold.data.tags["mlflow.parentRunId"] == tried.info.run_id


@pytest.mark.soak
def test_a_program_whose_server_is_away(workspace, capfd, monkeypatch):
    """It is told so in one line, without the password."""
    monkeypatch.setenv("AIRFLOW__AML__MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")

    failing_program()

    told = capfd.readouterr().err
    assert told.startswith("airflow_aml: MLflow at http://127.0.0.1:9: run ")
    assert told.count("\n") == 1
    assert "secret" not in told


FIRST = """
import sys, time
from airflow_aml.airflow.mlflow import runs, server
server.load_client()
time.sleep(max(0, float(sys.argv[2]) - time.time()))
print("experiment", runs.experiment_of(server.client(sys.argv[1]), "first"))
"""


@pytest.mark.soak
def test_steps_that_find_no_database_make_one(tmp_path):
    """Of three that begin at once with a new SQLite file none is left without its experiment."""
    command = [sys.executable, "-c", FIRST, f"sqlite:///{tmp_path}/new.db", str(time.time() + 20)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=300)[0] for process in started]
    assert [text.splitlines()[-1] for text in told] == ["experiment 1"] * 3


@pytest.fixture
def refusing() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://me:secret@127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where somebody takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield f"http://me:secret@127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("away", ["refusing", "silent"])
def test_a_server_that_is_away(write, one_dag, run_dag, monkeypatch, caplog, request, away):
    """The step succeeds, each task says it once, without the password, and within seconds."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue(away))
    write("src/a.py", "import os; assert 'MLFLOW_RUN_ID' not in os.environ")
    write(
        "p.py",
        """
        # airflow dag
        from airflow_aml import *
        p = Pipeline(Workspace(), [PythonScriptStep("a.py", source_directory="src")])
        """,
    )
    dag = one_dag()
    started = time.monotonic()
    ran = run_dag(dag)
    took = time.monotonic() - started

    assert ran.state == "success"
    said = caplog.text
    assert said.count("is not shown there") == 1
    assert "secret" not in said
    assert took < 30


def test_without_a_server_nothing_is_loaded(workspace):
    """Who has no MLflow pays nothing for it: nothing is imported, and the job is the same."""
    program = (
        "import sys\n"
        "from airflow_aml.airflow import mlflow\n"
        "job = object()\n"
        "with mlflow.shown(None, job) as (same, page):\n"
        "    assert same is job and page == ''\n"
        "mlflow.tell_reused(None, '', None, {'a': None})\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] == 'mlflow']\n"
        "assert not loaded and 'airflow_aml.airflow.mlflow.runs' not in sys.modules, loaded\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_notes_in_words_of_mlflow():
    """Names are made plain, numbers are points in order, and the last tag of a name counts."""
    notes = [
        {"t": 1.5, "metric": "größe (m²)", "kind": "scalar", "value": True},
        {"t": 2, "metric": "größe (m²)", "kind": "scalar", "value": 2, "step": 7},
        {"t": 3, "metric": "mixed", "kind": "row", "value": {"x": 1, "y": "text"}},
        {"t": 4, "tag": "a", "value": "1"},
        {"t": 5, "tag": "a", "value": None},
        {"t": 6, "property": "p", "value": "q"},
    ]
    found = contents_of(notes)

    assert [(each.name, each.value, each.milliseconds, each.step) for each in found.points] == [
        ("größe _m²_", 1.0, 1500, 0),
        ("größe _m²_", 2.0, 2000, 7),
        ("mixed/x", 1.0, 3000, 0),
    ]
    assert found.tags == {"a": "", "property.p": "q"}
    assert found.documents == {"metrics/mixed.json": {"x": 1, "y": "text"}}
    assert plain("../a//b") == "a/b"
    arguments = (
        Text("--rate"),
        Text("0.1"),
        Text("--data"),
        InputRef("d"),
        Text("--n=3"),
        Text("x"),
    )
    assert params_of(arguments, {"p": 1}) == {"p": "1", "rate": "0.1", "n": "3"}

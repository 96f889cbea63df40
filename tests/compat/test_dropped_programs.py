"""v1 programs in the DAGs folder, as they are: what becomes of them, and of broken ones."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from configparser import ConfigParser
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from airflow_aml import Model, Workspace
from airflow_aml.azureml_compat.checking import refused, uses
from scripts import templates

PROGRAMS = Path(__file__).parent.parent / "programs"

DAGS = {
    "seed_000_program": ["prepare_data", "train_model"],
    "shapes_build_and_run": ["Prepare", "Train_Model"],
    "shapes_command_line": ["prep"],
    "shapes_conda_packages": ["hello"],
    "shapes_course": ["Prepare_Data", "Train_and_Register_Model"],
    "shapes_data_path_parameter": ["hello"],
    "shapes_data_reference": ["prep", "hello"],
    "shapes_exits": ["hello"],
    "shapes_helper_modules": ["prep", "train"],
    "shapes_one_script": ["hello"],
    "shapes_output_datasets": ["prep", "hello"],
    "shapes_publishes": ["hello"],
    "shapes_publishes_from_run": ["hello"],
    "shapes_reads_back": ["prep", "train"],
    "shapes_registers_data": ["hello"],
    "shapes_registers_first_model": ["hello"],
    "shapes_registers_model": ["prep", "train", "register"],
    "shapes_sequence": ["first", "second", "third"],
    "shapes_unused_imports": ["hello"],
    "shapes_widgets": ["hello"],
}
STEPS_ONCE_SERVED = {
    "seed_001_program": ["train"],
    "seed_002_more": ["iris_train", "Hello_World", "train"],
    "seed_002_program": ["prepare", "train", "compare"],
    "seed_003_databricks": ["databricksmodule"],
    "seed_003_program": ["train", "iris_train", "compare"],
    "seed_004_program.training": ["prepare_data", "train_model"],
    "seed_004_program.training_pipeline": ["prepare_data", "train_model"],
    "shapes_creates_compute": ["hello"],
    "shapes_endpoint_add_or_create": ["hello"],
    "shapes_schedules": ["hello"],
}
"""Programs that name what may not be served yet: until then each is an import error."""

ENDED_BEFORE = {"seed_003_program"}
"""Programs that ask for a result, which ends them, before they name what is not served."""

BROKEN = {
    "syntax.py": (
        "from azureml.pipeline.core import Pipeline\nx = = 1\n",
        "syntax.py:2: SyntaxErr",
    ),
    "exits.py": ("{head}import sys\nsys.exit('not today')\nPipeline(None, [])\n", "not today"),
    "asks.py": ("{head}name = input('name? ')\nPipeline(None, [])\n", "asks.py:2: EOFError"),
    "arguments.py": (
        "{head}from argparse import ArgumentParser\np = ArgumentParser()\n"
        "p.add_argument('--x', required=True)\np.parse_args()\nPipeline(None, [])\n",
        "arguments.py:5",
    ),
    "magics.py": ("{head}%matplotlib inline\nPipeline(None, [])\n", "magics.py:2: SyntaxError"),
    "shell.py": ("{head}get_ipython().system('ls')\nPipeline(None, [])\n", "shell.py:2: NameError"),
    "key.py": (
        "{head}import os\nos.environ['NOT_SET']\nPipeline(None, [])\n",
        "key.py:3: KeyError",
    ),
    "circle.py": ("{head}import circle_a\nPipeline(None, [])\n", "circular import"),
    "reads.py": (
        "{head}from azureml.core import Dataset, Workspace\n"
        "Dataset.get_by_name(Workspace.from_config(), 'd').to_pandas_dataframe()\n"
        "Pipeline(None, [])\n",
        "reads.py:3",
    ),
    "misspelt.py": ("{head}from azureml.core import Workspac\nPipeline(None, [])\n", "Workspac"),
    "slow.py": ("{head}import time\ntime.sleep(60)\nPipeline(None, [])\n", 'slow.py", line 3'),
    "exported.py": (
        "{head}get_ipython().run_line_magic('matplotlib', 'inline')\nPipeline(None, [])\n",
        "`airflow-aml exec` runs",
    ),
    "installs.py": ("{head}!pip install pandas\nPipeline(None, [])\n", "installs.py:2: SyntaxErr"),
    "lost.py": ("{head}import os\nos.chdir('nowhere')\nPipeline(None, [])\n", "lost.py:3: FileNot"),
    "too_deep.py": (
        "{head}def go(): go()\ngo()\nPipeline(None, [])\n",
        "too_deep.py:2: RecursionError",
    ),
    "null.py": ("{head}x = '\0'\nPipeline(None, [])\n", "null bytes"),
    "latin.py": ("{head}name = 'M\xfcller'\nPipeline(None, [])\n", "latin.py"),
    "in_a_thread.py": (
        "{head}from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor() as pool:\n    pool.submit(int, 'seven').result()\n"
        "Pipeline(None, [])\n",
        "in_a_thread.py:4: ValueError",
    ),
    "blue/program.py": (
        "{head}from settings import TEAM\nPipeline(None, [])\n",
        "program.py:2: ImportError",
    ),
    "deploys.py": (
        "{head}from azureml.core import Webservice\nWebservice(None, 'scorer')\n"
        "Pipeline(None, [])\n",
        "deploys.py:3: azureml.core.Webservice is not served",
    ),
}
"""Twenty programs, broken in twenty ways, and what the import error of each says."""

HEAD = "from azureml.pipeline.core import Pipeline\n"


STEP = "from azureml.pipeline.steps import PythonScriptStep\n"
ODD = {
    "moves.py": (
        "import os\n{head}os.chdir('src')\nPipeline(None, [PythonScriptStep('hello.py')])\n",
        ["hello"],
    ),
    "reads_argv.py": (
        "import sys\n{head}name = sys.argv[1] if len(sys.argv) > 1 else 'none given'\n"
        "Pipeline(None, [PythonScriptStep('src/hello.py', name=name)])\n",
        ["none_given"],
    ),
    "reads_input.py": (
        "import sys\n{head}name = sys.stdin.readline() or 'nothing'\n"
        "Pipeline(None, [PythonScriptStep('src/hello.py', name=name)])\n",
        ["nothing"],
    ),
    "reads_results.py": (
        "{head}from azureml.core import Experiment, Workspace\n"
        "run = Experiment(Workspace(), 'e').submit(\n"
        "    Pipeline(None, [PythonScriptStep('src/hello.py', name='only')]))\n"
        "metrics = run.find_step_run('only')[0].get_metrics()\n"
        "run.register_model('m', 'outputs/m.pkl')\n"
        "raise AssertionError('a run that is only declared has no metrics')\n",
        ["only"],
    ),
    "writes_to_its_run.py": (
        "{head}run = Pipeline(None, [PythonScriptStep('src/hello.py', name='only')]).submit('e')\n"
        "run.tag('kind', 'a')\n"
        "run.upload_file('outputs/program.py', __file__)\n"
        "raise AssertionError('there is no run to upload to')\n",
        ["only"],
    ),
    "exits_after.py": (
        "import sys\n{head}from azureml.core import Experiment, Workspace\n"
        "run = Pipeline(None, [PythonScriptStep('src/hello.py', name='only')]).submit('e')\n"
        "sys.exit(0 if run.wait_for_completion() == 'Finished' else 'it has failed')\n",
        ["only"],
    ),
    "in_threads.py": (
        "from concurrent.futures import ThreadPoolExecutor\n{head}"
        "from azureml.core import Experiment, Workspace\n"
        "ws = Workspace()\n"
        "step = PythonScriptStep('src/hello.py', name='begun in a thread')\n"
        "with ThreadPoolExecutor() as pool:\n"
        "    pool.submit(ws.get_default_datastore().upload, 'src', 'up').result()\n"
        "    pool.submit(Experiment(ws, 'e').submit, Pipeline(ws, [step])).result()\n",
        ["begun_in_a_thread"],
    ),
    "asks_again_and_again.py": (
        "import time\n{head}"
        "run = Pipeline(None, [PythonScriptStep('src/hello.py', name='asked')]).submit('e')\n"
        "time.sleep(3600)\n"
        "while run.get_status() not in ('Finished', 'Failed'):\n"
        "    try:\n        time.sleep(30)\n    except Exception:\n        pass\n"
        "raise AssertionError('a run that is only declared has not finished')\n",
        ["asked"],
    ),
    "leaves_at_once.py": (
        "import os\n{head}"
        "Pipeline(None, [PythonScriptStep('src/hello.py', name='left')]).submit('e')\n"
        "child = os.fork()\n"
        "if not child:\n    os._exit(3)\n"
        "assert os.waitpid(child, 0)[1] >> 8 == 3\n"
        "os._exit(1)\n",
        ["left"],
    ),
    "leaves_a_process.py": (
        "import subprocess, sys\n{head}"
        "left = subprocess.Popen(['sh', '-c', 'sleep 987 & sleep 987; true'])\n"
        "Pipeline(None, [PythonScriptStep('src/hello.py', name='hello')])\n",
        ["hello"],
    ),
    "leaves_a_thread.py": (
        "import threading, time\n{head}"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "Pipeline(None, [PythonScriptStep('src/hello.py', name='hello')])\n",
        ["hello"],
    ),
}
"""Programs that do at import what no DAG file should: they load all the same."""


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace):
    """Parses the test's DAGs folder by an AmlDagBundle that points at it."""
    from airflow.dag_processing.dagbag import BundleDagBag

    from airflow_aml.airflow.bundle import AmlDagBundle

    def parse(**options):
        bundle = AmlDagBundle(name=f"v1-{tmp_path.name}", path=str(tmp_path / "dags"), **options)
        bundle.initialize()
        return BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)

    return parse


def steps(bag) -> dict[str, list[str]]:
    """DAG id -> its steps."""
    return {
        dag_id: [task for task in dag.task_dict if task != "reuse"]
        for dag_id, dag in bag.dags.items()
    }


def dag_id_of(file: str) -> str:
    """As the bundle makes it of a path."""
    return str(Path(file).with_suffix("")).replace("/", "_")


def stopped_by(folder: Path) -> dict[str, set[str]]:
    """What `airflow-aml check` says of each program that cannot become a DAG."""
    found = {
        dag_id_of(str(path.relative_to(folder))): refused(uses(path.read_bytes()))
        for path in folder.glob("*/*.py")
    }
    return {dag_id: names for dag_id, names in found.items() if names}


def command_of(process: psutil.Process) -> list[str]:
    """Its words; none of one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def state() -> tuple:
    """What a program could leave changed in the process that parses it."""
    ours = [name for name in sys.modules if name.startswith(("ml_service", "helper"))]
    paths = [path for path in sys.path if "/dags" in path]
    replaced = (time.sleep, os._exit)
    return (os.getcwd(), list(sys.argv), paths, dict(os.environ), sys.stdin, ours, replaced)


def test_the_template_for_v1_programs(drop, tmp_path: Path) -> None:
    """Its folder is read as the settings beside it say."""
    from airflow.sdk._shared.module_loading import import_string

    template = templates.TEMPLATES / "v1_programs"
    settings = ConfigParser()
    settings.read(template / "airflow.cfg")
    bundles = json.loads(settings["dag_processor"]["dag_bundle_config_list"])
    shutil.copytree(template / Path(bundles[-1]["kwargs"]["path"]).name, tmp_path / "dags")

    bag = drop()

    assert bag.import_errors == {}
    assert steps(bag) == {"nightly": ["collect", "add"]}
    assert [import_string(each["classpath"]).__name__ for each in bundles] == [
        "LocalDagBundle",
        "AmlDagBundle",
    ]


def test_programs_become_dags_and_what_is_not_served_is_named(drop, tmp_path: Path, workspace):
    """Every program is a DAG or one import error; nothing runs, and the process is as it was."""
    shutil.copytree(PROGRAMS, tmp_path / "dags")
    before = state()

    bag = drop()

    stopped = stopped_by(tmp_path / "dags")
    for dag_id in ENDED_BEFORE:
        stopped.pop(dag_id, None)
    later = {dag_id: each for dag_id, each in STEPS_ONCE_SERVED.items() if dag_id not in stopped}
    assert steps(bag) == {**DAGS, **later}
    assert {dag_id_of(file) for file in bag.import_errors} == set(stopped)
    assert {"shapes_automl", "shapes_deploys"} <= set(stopped)
    for file, text in bag.import_errors.items():
        last = text.strip().splitlines()[-1]
        assert any(name in last for name in stopped[dag_id_of(file)]), last
        assert f" {Path(file).name}:" in last
    assert state() == before
    assert [path.name for path in workspace.root.glob("*") if path.name in ("runs", "data")] == []


def test_parsing_twice_is_the_same(drop, tmp_path: Path):
    """The second parse gives the same DAGs, to the byte."""
    from airflow.serialization.serialized_objects import DagSerialization

    shutil.copytree(PROGRAMS / "shapes", tmp_path / "dags")

    def serialized() -> dict[str, str]:
        return {
            dag_id: str(DagSerialization.to_dict(dag))
            for dag_id, dag in sorted(drop().dags.items())
        }

    assert serialized() == serialized()


def test_a_module_that_v1_is_not_known_to_have(drop, tmp_path: Path):
    """The import error leads to the list of names, and promises nothing of other ways to run."""
    (tmp_path / "dags").mkdir()
    text = f"{HEAD}from azureml.core._nowhere import X\nPipeline(None, [])\n"
    (tmp_path / "dags" / "private.py").write_text(text)

    (error,) = drop().import_errors.values()

    assert "private.py:2: ModuleNotFoundError: No module named 'azureml.core._nowhere'." in error
    assert "docs/compatibility.md lists" in error
    assert "AmlDagBundle" not in error.splitlines()[-1]


def test_odd_programs_become_dags_and_leave_nothing_behind(drop, tmp_path: Path, workspace):
    """They change directory, read arguments and input, read results, end, and begin threads."""
    folder = tmp_path / "dags"
    shutil.copytree(PROGRAMS / "shapes" / "src", folder / "src")
    for name, (text, _) in ODD.items():
        (folder / name).write_text(text.replace("{head}", HEAD + STEP))
    before = state()

    bag = drop()

    assert bag.import_errors == {}
    assert steps(bag) == {dag_id_of(name): tasks for name, (_, tasks) in ODD.items()}
    assert state() == before
    assert not [each for each in psutil.process_iter() if "987" in command_of(each)]
    assert not (workspace.root / "submitted").exists()
    assert not (workspace.root / "datastores").exists()
    assert [each.action for each in bag.dags["in_threads"].task_dict["reuse"].setup] == [
        "upload_folder"
    ]


def test_a_notebook_in_the_folder_is_left_alone(drop, tmp_path: Path):
    """It is no DAG and no import error: `airflow-aml exec` runs it."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "nb.ipynb").write_text('{"cells": [], "a": "azureml Pipeline"}')
    bag = drop()
    assert (bag.dags, bag.import_errors) == ({}, {})


def test_two_hundred_programs_of_which_twenty_are_broken(drop, tmp_path: Path, monkeypatch):
    """180 are DAGs, 20 are import errors that name their line, and none hides another."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "5")
    folder = tmp_path / "dags"
    shutil.copytree(PROGRAMS / "shapes" / "src", folder / "src")
    for team, text in (("red", "TEAM = 'red'\n"), ("blue", "COLOUR = 'blue'\n")):
        (folder / team).mkdir()
        (folder / team / "settings.py").write_text(text)
    (folder / "circle_a.py").write_text("from circle_b import b\na = 1\n")
    (folder / "circle_b.py").write_text("from circle_a import a\nb = 1\n")
    for name, (text, _) in BROKEN.items():
        (folder / name).write_bytes(text.replace("{head}", HEAD).encode("latin-1"))
    (folder / "red" / "program.py").write_text(
        f"{HEAD}{STEP}from settings import TEAM\n"
        "Pipeline(None, [PythonScriptStep('hello.py', source_directory='../src', name=TEAM)])\n"
    )
    good = [(PROGRAMS / "shapes" / "sequence.py").read_text(), *(text for text, _ in ODD.values())]
    for number in range(179):
        text = good[number % len(good)].replace("{head}", HEAD + STEP)
        (folder / f"good_{number}.py").write_text(text)
    before = state()

    bag = drop()

    assert len(bag.dags) == 180
    assert steps(bag)["red_program"] == ["red"]
    assert len(BROKEN) == 20
    assert set(bag.import_errors) == set(BROKEN)
    for name, (_, expected) in BROKEN.items():
        error = bag.import_errors[name]
        assert expected in error, name
        own_words = f" {Path(name).name}:" in error.strip().splitlines()[-1]
        assert own_words or "AirflowTaskTimeout: DagBag import timeout" in error, error
    assert state() == before


def test_two_helpers_of_one_name_in_two_folders(drop, tmp_path: Path):
    """Each program has the helper that lies beside it."""
    for team in ("red", "blue"):
        folder = tmp_path / "dags" / team
        folder.mkdir(parents=True)
        (folder / "train.py").write_text("print('x')\n")
        (folder / "settings.py").write_text(f"TEAM = '{team}'\n")
        (folder / "program.py").write_text(
            "from azureml.pipeline.core import Pipeline\n"
            "from azureml.pipeline.steps import PythonScriptStep\n"
            "from settings import TEAM\n"
            "Pipeline(None, [PythonScriptStep('train.py', name=TEAM)])\n"
        )
    assert steps(drop()) == {"red_program": ["red"], "blue_program": ["blue"]}


def test_a_program_that_is_taken_away_is_gone(drop, tmp_path: Path):
    """The shims follow the folder; step scripts and other files never get one."""
    folder = tmp_path / "dags"
    shutil.copytree(PROGRAMS / "shapes", folder)
    assert "shapes_exits" not in steps(drop())
    (folder / "exits.py").unlink()
    (folder / "sequence.py").write_text("# nothing any more\n")

    bag = drop()

    assert {"exits", "sequence"} & set(bag.dags) == set()
    assert not [name for name in bag.import_errors if name.startswith(("src", "ml_service"))]
    assert "reads_back" in bag.dags


def test_a_dropped_program_runs(drop, tmp_path: Path, run_dag, workspace):
    """Its uploads and registrations are done before its steps, whose scripts are v1's, too."""
    shutil.copytree(PROGRAMS / "shapes", tmp_path / "dags")
    bag = drop()

    data = run_dag(bag.dags["registers_data"])
    model = run_dag(bag.dags["registers_model"])
    first = run_dag(bag.dags["registers_first_model"])

    assert data.state == model.state == first.state == "success"
    registered = Model(Workspace(), "pretrained-ridge")
    assert (registered.version, registered.description) == (1, "Ridge, trained elsewhere")
    assert [each.to_path() for each in registered.datasets["training"]] == [["/table.csv"]]
    assert (workspace.root / "datastores/workspaceblobstore/tables/table.csv").is_file()
    assert (model.output("train", "model") / "model.txt").read_text() == "2 words, rate 0.1"
    assert model.xcom("train")["metrics"] == {"rate": 0.1}


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("project", sorted(path.name for path in PROGRAMS.iterdir()))
def test_every_dropped_program_runs(project: str, drop, tmp_path: Path, run_dag):
    """The DAGs of each project's programs run to their end, with what the programs declare."""
    shutil.copytree(PROGRAMS / project, tmp_path / "dags" / project)
    states = {dag_id: run_dag(dag).state for dag_id, dag in sorted(drop().dags.items())}
    assert set(states.values()) == {"success"}, states


def test_a_pipeline_in_yaml_is_a_dag(drop, tmp_path: Path):
    """`NAME.pipeline.yaml` in the folder is a DAG called NAME; a wrong one is an import error."""
    page = (PROGRAMS.parent.parent / "docs" / "yaml.md").read_text()
    folder = tmp_path / "dags"
    for name in ("prepare", "train"):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.py").write_text("")
    (folder / "daily.pipeline.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    (folder / "wrong.pipeline.yml").write_text("pipeline: [")
    (folder / "settings.yaml").write_text("a: 1\n")

    bag = drop()

    assert list(bag.dags) == ["daily"]
    assert len(bag.dags["daily"].task_dict) == 3
    assert list(bag.import_errors) == ["wrong.pipeline.yml.py"]
    assert "wrong.pipeline.yml" in str(bag.import_errors).splitlines()[-1]


def test_a_repository_whose_programs_start_at_the_top(drop, tmp_path: Path):
    """With `start_in`, relative paths and imports are those of `python ml/build.py`."""
    folder = tmp_path / "dags" / "repository"
    (folder / "ml").mkdir(parents=True)
    (folder / "code").mkdir()
    (folder / "code" / "train.py").write_text("")
    (folder / "ml" / "names.py").write_text("NAME = 'trains'\n")
    (folder / "ml" / "build.py").write_text(
        "from azureml.pipeline.core import Pipeline\n"
        "from azureml.pipeline.steps import PythonScriptStep\n"
        "from ml.names import NAME\n"
        "Pipeline(None, [PythonScriptStep('train.py', name=NAME, source_directory='code')])\n"
    )
    (folder / "ml" / "__init__.py").write_text("")
    (error,) = drop().import_errors.values()
    assert "build.py:3: ModuleNotFoundError" in error
    assert f"ml is in {folder}: start the program there" in error
    assert steps(drop(start_in="repository")) == {"repository_ml_build": ["trains"]}

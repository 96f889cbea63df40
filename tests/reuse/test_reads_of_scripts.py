"""What a script reads by itself: noted while it runs, recorded after it, and asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_aml import Dataset, Datastore, Environment, Experiment, Model, Run, Workspace
from airflow_aml.definition.datastore import DEFAULT_DATASTORE
from airflow_aml.definition.runs.finding import get_run
from airflow_aml.definition.runs.pipelinerun import PipelineRun
from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.reuse.hidden import last_of_each, recorded, wrong_with_read
from airflow_aml.runtime.hidden import READS_VARIABLE, reads_file
from airflow_aml.workspace.home import Home

Script = Callable[[Datastore], Any]


@pytest.fixture
def store(workspace: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the default datastore with two files, in a step's process."""
    (tmp_path / "work").mkdir()
    monkeypatch.setenv(READS_VARIABLE, reads_file(str(tmp_path / "work")))
    monkeypatch.setenv("AZUREML_ARM_PROJECT_NAME", "one")
    monkeypatch.setenv("AZUREML_RUN_ID", "r-1")
    folder = workspace.path(f"datastores/{DEFAULT_DATASTORE}")
    (folder / "p").mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (folder / "p" / name).write_text("n\n1\n")
    return folder


def reads(script: Script, workspace: Home, tmp_path: Path) -> list[dict[str, Any]]:
    """What is recorded of a script that does this."""
    script(Datastore.get_default("default"))
    lines = Path(reads_file(str(tmp_path / "work"))).read_text().splitlines()
    return [recorded(workspace, json.loads(line)) for line in dict.fromkeys(lines)]


def whole(store: Datastore) -> Any:
    return store.download(str(Path.cwd() / "here"), prefix="p/", show_progress=False)


def listed(store: Datastore) -> Any:
    return Dataset.File.from_files((store, "p/*.csv")).to_path()


def read(store: Datastore) -> Any:
    return Dataset.Tabular.from_delimited_files((store, "p/*.csv")).to_pandas_dataframe()


def missed(store: Datastore) -> Any:
    return Dataset.File.from_files((store, "later/*")).download(ignore_not_found=True)


WHAT = "what the script reads ('p/*.csv' of the default datastore) changed: 1 file"


@pytest.mark.parametrize(
    ("script", "path", "said"),
    [
        (listed, "p/c.csv", f"{WHAT} (c.csv added)"),
        (read, "p/a.csv", f"{WHAT} (a.csv)"),
        (listed, "q/c.csv", None),
        (
            whole,
            "p/sub/c.csv",
            "what the script reads ('p/' of the default datastore) changed: 1 file "
            "(p/sub/c.csv added)",
        ),
        (
            missed,
            "later/c.csv",
            "what the script reads ('later/*' of the default datastore) is there now",
        ),
    ],
)
def test_files_are_asked_for_again(
    script: Script,
    path: str,
    said: str | None,
    store: Path,
    workspace: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that is added or changed where the script has looked is a reason that names it."""
    monkeypatch.chdir(tmp_path / "work")
    (line,) = reads(script, workspace, tmp_path)
    assert wrong_with_read(workspace, line, "one") is None
    (store / path).parent.mkdir(parents=True, exist_ok=True)
    (store / path).write_text("n\n2\n")
    assert wrong_with_read(workspace, line, "one") == said


def test_local_files_count_unless_they_are_the_scripts_own(
    store: Path, workspace: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path of the machine is asked again; inputs, outputs and the work folder are not noted."""
    for name in ("elsewhere.txt", "work/mine.txt", "in/a.txt", "out/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setenv("AZURE_ML_INPUT_x", str(tmp_path / "in"))
    monkeypatch.setenv("AZUREML_DATAREFERENCE_y", str(tmp_path / "out"))
    names = ("work/mine.txt", "in/a.txt", "out/*.txt", "elsewhere.txt")

    def script(_: Datastore) -> None:
        Dataset.File.from_files([str(tmp_path / name) for name in names]).to_path()
        Dataset.File.from_files([str(tmp_path / name) for name in names[:3]]).to_path()

    (line,) = reads(script, workspace, tmp_path)
    (tmp_path / "elsewhere.txt").write_text("2")
    said = wrong_with_read(workspace, line, "one")
    elsewhere = str(tmp_path / "elsewhere.txt")
    assert said == f"what the script reads ({elsewhere!r}) changed: 1 file (elsewhere.txt)"


def test_files_that_change_while_the_script_runs_are_not_recorded(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """Nobody can tell which bytes it got, so its result is not for reuse."""

    def script(datastore: Datastore) -> None:
        listed(datastore)
        (store / "p/b.csv").write_text("other")

    with pytest.raises(WorkspaceException, match=r"'p/\*.csv' of .* changed while the script ran"):
        reads(script, workspace, tmp_path)


def test_a_new_default_datastore_is_asked_and_its_files_are_compared(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """The same question has the new default datastore's answer, whatever that is."""
    from airflow_aml.workspace.datastores import set_default_datastore

    (line,) = reads(listed, workspace, tmp_path)
    set_default_datastore(workspace, "workspacefilestore")
    said = "what the script reads ('p/*.csv' of the default datastore) is not there any more"
    assert wrong_with_read(workspace, line, "one") == said


def test_what_a_script_registers_itself_is_the_latest(
    store: Path, workspace: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last version of a name has to be, unless another step of its run came after it."""
    monkeypatch.setenv("AZUREML_ROOT_RUN_ID", "run-1")
    (tmp_path / "m.txt").write_text("m")

    def register(path: str) -> None:
        Model.register("default", str(tmp_path / "m.txt"), "line")
        made = Dataset.File.from_files((Datastore.get_default("default"), path))
        made.register("default", "side", create_new_version=True)

    def script(_: Datastore) -> None:
        register("p/a.csv")
        register("p/b.csv")

    def said() -> list[str | None]:
        return [wrong_with_read(workspace, line, "one") for line in last_of_each(noted)]

    noted = reads(script, workspace, tmp_path)
    assert said() == [None, None]
    register("p/a.csv")  # another step of the same run
    assert said() == [None, None]
    monkeypatch.setenv("AZUREML_ROOT_RUN_ID", "run-2")
    register("p")
    assert said() == [
        "model 'line' is at version 4 now, and this result registered version 2",
        "dataset 'side' is at version 4 now, and this result registered version 2",
    ]


def test_the_experiments_name_and_a_query(store: Path, workspace: Home, tmp_path: Path) -> None:
    """The name is that of the run that is decided; what a query gives nobody knows beforehand."""

    def script(datastore: Datastore) -> None:
        print(Run.get_context().experiment.name)

    (line,) = reads(script, workspace, tmp_path)
    assert wrong_with_read(workspace, line, "one") is None
    said = "its script asks for the name of the experiment, which is 'two' now and was 'one'"
    assert wrong_with_read(workspace, line, "two") == said
    asked = {"kind": "files", "name": "SELECT 1", "version": None}
    asked["definition"] = {"kind": "query", "datastore": "db", "query": "SELECT 1"}
    query = recorded(workspace, {"asked": asked, "resolved": {}})
    said = "what the script reads ('SELECT 1') is a query, whose answer may have changed"
    assert wrong_with_read(workspace, query, "one") == said


def test_a_registered_version_whose_data_changed_names_the_file(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """The version is the one it was, and a file is new where it leads."""

    def script(datastore: Datastore) -> None:
        Dataset.get_by_name("default", "raw").to_path()

    listed_now = Dataset.File.from_files((Datastore.get_default("default"), "p"))
    listed_now.register("default", "raw")
    _, by_name, by_path = reads(script, workspace, tmp_path)  # first its registration
    (store / "p/c.csv").write_text("n")
    said = "what the script asks for (dataset 'raw') changed: 1 file (c.csv added)"
    assert wrong_with_read(workspace, by_name, "one") == said
    assert "c.csv added" in str(wrong_with_read(workspace, by_path, "one"))


def test_a_datastore_that_was_not_there_is_asked_for_again(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """The script went on without it; now there is one."""

    def without(default: Datastore) -> None:
        with pytest.raises(UserErrorException, match="no datastore 'later'"):
            Datastore.get(default.workspace, "later")

    (read,) = reads(without, workspace, tmp_path)
    assert wrong_with_read(workspace, read, "one") is None
    Datastore.register_local("default", "later", str(tmp_path))
    said = "what the script asks for (datastore 'later') is there now"
    assert wrong_with_read(workspace, read, "one") == said


@pytest.mark.parametrize(
    "script",
    [
        lambda ws, run: [*Experiment(ws, "side").get_runs()],
        lambda ws, run: [*Run.get_context().experiment.get_runs()],
        lambda ws, run: [*Run.list(Experiment(ws, "side"))],
        lambda ws, run: ws.experiments,
        lambda ws, run: Experiment.list(ws),
        lambda ws, run: Run.get(ws, run).get_metrics(),
        lambda ws, run: ws.get_run(run).get_tags(),
        lambda ws, run: get_run(Experiment(ws, "side"), run).get_file_names(),
        lambda ws, run: Run(Experiment(ws, "side"), run).get_status(),
        lambda ws, run: PipelineRun.get(ws, run).tags,
        lambda ws, run: PipelineRun(Experiment(ws, "side"), run).get_steps(),
    ],
)
def test_who_reads_other_runs_is_never_reused(
    script: Callable[[Workspace, str], Any], workspace: Home, store: Path, tmp_path: Path
) -> None:
    """The best run of an experiment is another one after the next run: nobody can tell before."""
    other = Experiment(Workspace(), "side").start_logging()
    other.log("best", 1)
    other.complete()
    lines = reads(lambda _: script(Workspace(), other.id), workspace, tmp_path)
    said = "its script reads the record of a run, which is never reused"
    assert said in [wrong_with_read(workspace, line, "one") for line in lines]


def test_tags_that_a_script_reads_are_asked_for_again(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """A version stays what it is, and what people say of it does not."""
    (tmp_path / "m.txt").write_text("m")
    Model.register("default", str(tmp_path / "m.txt"), "line", tags={"stage": "trial"})
    raw = Dataset.File.from_files((Datastore.get_default("default"), "p"))
    raw.register("default", "raw", tags={"stage": "trial"})

    def script(_: Datastore) -> None:
        print(Model("default", "line").tags, Dataset.get_by_name("default", "raw").description)

    def said() -> list[str]:
        found = [wrong_with_read(workspace, line, "one") for line in last_of_each(lines)]
        return [each for each in found if each]

    (tmp_path / "work/reads.jsonl").write_text("")
    lines = reads(script, workspace, tmp_path)
    assert said() == []
    Model("default", "line").add_tags({"stage": "live"})
    Dataset.get_by_name("default", "raw").update(description="of May")
    another = "has another answer now"
    assert said() == [
        f"what the script asks for (tags and description of model 'line', version 1) {another}",
        f"what the script asks for (tags and description of dataset 'raw', version 1) {another}",
    ]


def test_who_only_says_something_of_a_model_has_not_read_it(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """A training step that tags its model is not run again by whoever promotes the model."""
    (tmp_path / "m.txt").write_text("m")

    def script(_: Datastore) -> None:
        Model.register("default", str(tmp_path / "m.txt"), "line").add_tags({"fold": "1"})

    lines = reads(script, workspace, tmp_path)
    Model("default", "line").add_tags({"stage": "live"})
    assert [wrong_with_read(workspace, line, "one") for line in lines] == [None]


def test_what_a_script_says_after_it_has_read_has_to_stay(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """Its own change is no reason to run again; somebody else's is."""
    (tmp_path / "m.txt").write_text("m")
    Model.register("default", str(tmp_path / "m.txt"), "line")

    def script(_: Datastore) -> None:
        model = Model("default", "line")
        if "judged" not in model.tags:
            model.add_tags({"judged": "good"})

    (tmp_path / "work/reads.jsonl").write_text("")
    lines = last_of_each(reads(script, workspace, tmp_path))
    assert [wrong_with_read(workspace, line, "one") for line in lines] == [None, None]
    Model("default", "line").add_tags({"judged": "bad"})
    assert [bool(wrong_with_read(workspace, line, "one")) for line in lines] == [False, True]


def test_the_default_datastore_and_an_environment_are_asked_for_again(
    store: Path, workspace: Home, tmp_path: Path
) -> None:
    """Their names stay, and mean something else later."""
    from airflow_aml.workspace.datastores import set_default_datastore

    def register(value: str) -> None:
        made = Environment("trained")
        made.environment_variables["RATE"] = value
        made.register(Workspace())

    def script(datastore: Datastore) -> None:
        environment = Environment.get(Workspace(), "trained")
        assert environment.version == "1"
        print(datastore.name, environment.environment_variables)

    register("1")
    environment, default = reads(script, workspace, tmp_path)
    assert [wrong_with_read(workspace, each, "one") for each in (environment, default)] == [
        None
    ] * 2
    register("2")
    set_default_datastore(workspace, "workspacefilestore")
    assert wrong_with_read(workspace, environment, "one") == (
        "what the script asks for (environment 'trained') has another answer now: version 2 "
        "instead of 1"
    )
    assert wrong_with_read(workspace, default, "one") == (
        "what the script asks for (the name of the default datastore) has another answer now"
    )

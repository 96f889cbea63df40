"""Second runs: what a change touches runs, everything else is skipped, and each says why."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pytest

HEADER = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    def step(name, *arguments, **options):
        options.setdefault("source_directory", name)
        return PythonScriptStep(name + ".py", name=name, arguments=list(arguments), **options)
    rate = PipelineParameter("rate", 1)
    raw = Dataset.File.from_files("raw.txt").as_named_input("raw").as_mount()
    a, b, c = (OutputFileDatasetConfig(name) for name in "abc")
"""

CHAIN = (
    HEADER
    + """
    prepare = step("prepare", "--in", raw, "--out", a)
    train = step("train", "--in", a.as_input("data"), "--rate", rate, "--out", b)
    report = step("report", "--in", b.as_input("model"), "--out", c)
    pipeline = Pipeline(ws, [report])
"""
)

SCRIPT = """
    import argparse, os
    parser = argparse.ArgumentParser()
    for name in ("--in", "--out", "--rate"):
        parser.add_argument(name)
    args, _ = parser.parse_known_args()
    place = getattr(args, "in")
    if os.path.isdir(place):
        (name,) = os.listdir(place)
        place = os.path.join(place, name)
    with open(place) as stream:
        text = stream.read()
    with open(os.path.join(args.out, "text.txt"), "w") as stream:
        stream.write(text.strip() + " %s" % args.rate)
"""

STEPS = ("prepare", "train", "report")


@pytest.fixture
def chain(write, one_dag, run_dag):
    """A pipeline of three steps, its input, and a function that runs it."""
    write("p.py", CHAIN)
    write("raw.txt", "data")
    for name in STEPS:
        write(f"{name}/{name}.py", SCRIPT)
    return lambda conf=None: run_dag(one_dag(), conf)


def steps_of(ran) -> list[str]:
    """``ran`` or ``reused``, in the pipeline's order."""
    words = {"success": "ran", "skipped": "reused"}
    return [words.get(ran.states[name], ran.states[name]) for name in STEPS]


def reason(ran, name: str) -> str:
    return ran.xcom(name)["reason"]


def test_nothing_changed(chain):
    """The second run is one task: every step is reused, with its result at hand."""
    first = chain()
    second = chain()

    assert steps_of(first) == ["ran", "ran", "ran"]
    assert steps_of(second) == ["reused", "reused", "reused"]
    head = second.xcom("reuse")
    assert (head["reused"], head["steps"]) == (3, 3)
    assert head["saved_seconds"] == pytest.approx(
        sum(first.xcom(name)["seconds"] for name in STEPS), abs=0.01
    )
    again = second.xcom("train")
    assert (again["status"], again["seconds"]) == ("Reused", 0.0)
    assert again["fingerprint"] == first.xcom("train")["fingerprint"]
    assert again["source_run"]["run_id"] == first.dag_run.run_id
    assert second.xcom("train", "b") == first.xcom("train", "b")
    assert "nothing changed since run" in again["reason"]


def test_a_renamed_step_changes(chain, write):
    """It is reused under its new name, and what it ran as before tells what changed since."""
    chain()
    write("p.py", CHAIN.replace("name=name, arg", "name={'train': 'fit'}.get(name, name), arg"))
    renamed = chain()
    write("train/train.py", SCRIPT + "\n    # a comment\n")
    changed = chain()

    assert renamed.states["fit"] == "skipped"
    assert reason(changed, "fit") == "train.py changed"


@pytest.fixture
def statsd(monkeypatch):
    """A StatsD server's socket, which Airflow's metrics go to; what it has heard so far."""
    from airflow.sdk import conf
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(server.getsockname()[1]))
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")

        def start():  # what a task's own process does when it starts
            legacy = conf.getboolean("metrics", "legacy_names_on")
            stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=legacy)

        def heard():
            lines = []
            with suppress(BlockingIOError):
                while True:
                    lines.append(server.recv(65536).decode())
            return sorted(line for line in lines if ".aml." in line)

        start()
        yield heard
        monkeypatch.undo()
        start()


def test_savings_are_among_airflows_metrics(chain, write, statsd):
    """What ran, what was reused and what that saved is counted where Airflow's metrics go."""
    slow = SCRIPT + "\n    import time; time.sleep(1.5)\n"
    write("train/train.py", slow)
    chain()
    first = statsd()
    chain()
    second = statsd()
    write("prepare/prepare.py", SCRIPT + "\n    # a comment\n")
    chain()
    cut_off = statsd()

    assert first == ["airflow.aml.reuse.steps_run,dag_id=p:1|c"] * 3
    saved, reused = second
    assert reused == "airflow.aml.reuse.steps_reused,dag_id=p:3|c"
    assert int(re.fullmatch(r"airflow.aml.reuse.seconds_saved,dag_id=p:(\d+)\|c", saved)[1]) >= 2
    assert cut_off[1:] == [
        "airflow.aml.reuse.steps_reused,dag_id=p:2|c",
        "airflow.aml.reuse.steps_run,dag_id=p:1|c",
    ]


def test_one_script_changed(chain, write):
    """Only the step and what its new bytes touch run, and the reason names the file."""
    chain()
    write("train/train.py", SCRIPT.replace("%s", "is %s"))

    second = chain()

    assert steps_of(second) == ["reused", "ran", "ran"]
    assert "train.py" in reason(second, "train")
    assert "data" in reason(second, "report") or "model" in reason(second, "report")


def test_a_change_without_consequences_is_cut_off(chain, write):
    """A step that writes the same bytes again lets everything below it rest."""
    chain()
    write("prepare/prepare.py", SCRIPT + "\n    # a comment\n")

    second = chain()

    assert steps_of(second) == ["ran", "reused", "reused"]
    assert "prepare.py" in reason(second, "prepare")
    assert second.xcom("report")["status"] == "Reused"
    assert steps_of(chain()) == ["reused", "reused", "reused"]


def test_a_parameter_changed_and_back(chain):
    """A new value runs what uses it; an old value finds its old result."""
    chain()
    other = chain({"rate": 2})
    back = chain({"rate": 1})

    assert steps_of(other) == ["reused", "ran", "ran"]
    assert "'rate' changed from 1 to 2" in reason(other, "train")
    assert steps_of(back) == ["reused", "reused", "reused"]


def test_input_data_changed(chain, write):
    """The content of an input counts, and its file is named."""
    chain()
    write("raw.txt", "other data")

    second = chain()

    assert steps_of(second) == ["ran", "ran", "ran"]
    assert "input 'raw'" in reason(second, "prepare")


def test_a_deleted_output_is_a_miss(chain):
    """What somebody removed by hand is made again, and the reason says so."""
    first = chain()
    shutil.rmtree(first.output("train", "b"))

    second = chain()

    assert steps_of(second) == ["reused", "ran", "reused"]
    assert "output 'b' of the earlier result was deleted" in reason(second, "train")


def test_a_damaged_output_is_a_miss(chain):
    """A truncated file is noticed, and the step runs again."""
    file = chain().output("train", "b") / "text.txt"
    file.chmod(file.stat().st_mode | stat.S_IWUSR)
    file.write_text("")

    assert steps_of(chain()) == ["reused", "ran", "reused"]


def test_regenerate_outputs(chain):
    """The form's tick box runs everything; the run after that reuses the new results."""
    first = chain()
    second = chain({"aml_regenerate_outputs": True})
    third = chain()

    assert steps_of(second) == ["ran", "ran", "ran"]
    assert reason(second, "train") == "regenerate_outputs was asked for"
    assert third.output("train", "b") == second.output("train", "b") != first.output("train", "b")


def test_allow_reuse_false(chain, write):
    """Such a step always runs; what is below it rests if it wrote the same bytes."""
    write(
        "p.py",
        CHAIN.replace('"--rate", rate,', '"--rate", rate, allow_reuse=False,').replace(
            'allow_reuse=False, "--out", b)', '"--out", b, allow_reuse=False)'
        ),
    )
    chain()

    second = chain()

    assert steps_of(second) == ["reused", "ran", "reused"]
    assert reason(second, "train") == "the author says allow_reuse=False"


def test_another_pipeline_shares_the_results(chain, write, run_dag, parse):
    """Results belong to the workspace: a copy of the pipeline elsewhere finds them."""
    chain()
    root = Path(parse().dags["p"].fileloc).parent
    for name in (*STEPS, "raw.txt"):
        source, target = root / name, root / "copy" / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    write("copy/other.py", CHAIN)

    assert steps_of(run_dag(parse().dags["copy_other"])) == ["reused", "reused", "reused"]


def test_a_touched_file_and_litter_do_not_count(chain, parse):
    """Times, modes, editors' files and bytecode are no content."""
    chain()
    root = Path(parse().dags["p"].fileloc).parent
    os.utime(root / "train" / "train.py", (1, 1))
    (root / "train" / "train.py").chmod(0o600)
    (root / "train" / "__pycache__").mkdir()
    (root / "train" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (root / "train" / "train.py~").write_text("old")

    assert steps_of(chain()) == ["reused", "reused", "reused"]


def test_fixed_destination_shows_the_result_that_counts(write, one_dag, run_dag, workspace):
    """A, B, A: the third run publishes A's files again without running A's script."""
    write("work/work.py", SCRIPT)
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    fixed = OutputFileDatasetConfig("o", destination=(store, "latest/"))
    pipeline = Pipeline(ws, [step("work", "--in", raw, "--rate", rate, "--out", fixed)])
    """,
    )
    view = workspace.root / "datastores" / "workspaceblobstore" / "latest" / "text.txt"

    first = run_dag(one_dag(), {"rate": 1})
    shown = [view.read_text()]
    run_dag(one_dag(), {"rate": 2})
    shown.append(view.read_text())
    third = run_dag(one_dag(), {"rate": 1})
    shown.append(view.read_text())
    fourth = run_dag(one_dag(), {"rate": 1})

    assert shown == ["data 1", "data 2", "data 1"]
    assert (third.states["work"], third.xcom("work")["status"]) == ("success", "Reused")
    assert "published again" in third.xcom("work")["reason"]
    assert third.output("work", "o") == first.output("work", "o")
    assert fourth.states["work"] == "skipped"


def test_the_latest_dataset_is_the_result_that_counts(write, one_dag, run_dag):
    """A, B, A: the registered dataset's latest version is A's again."""
    write("work/work.py", SCRIPT)
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    made = OutputFileDatasetConfig("o").register_on_complete("made")
    pipeline = Pipeline(ws, [step("work", "--in", raw, "--rate", rate, "--out", made)])
    """,
    )
    from airflow_aml import Dataset, Workspace

    def latest():
        (path,) = Dataset.get_by_name(Workspace(), "made").download()
        return Path(path).read_text()

    seen = []
    for rate in (1, 2, 1):
        run_dag(one_dag(), {"rate": rate})
        seen.append(latest())
    last = run_dag(one_dag(), {"rate": 1})

    assert seen == ["data 1", "data 2", "data 1"]
    assert last.states["work"] == "skipped"


def test_a_dataset_that_is_registered_later_is_made_of_the_result_that_is_there(
    write, one_dag, run_dag
):
    """A registration added to a step whose result is reused is made; one removed is not."""
    from airflow_aml import Dataset, Workspace
    from airflow_aml.errors import UserErrorException

    write("work/work.py", SCRIPT)
    write("raw.txt", "data")

    def run(made: str):
        pipeline = "pipeline = Pipeline(ws, [step('work', '--in', raw, '--out', made)])"
        write("p.py", HEADER + f"    made = {made}\n    {pipeline}\n")
        return run_dag(one_dag())

    plain = "OutputFileDatasetConfig('o')"
    run(plain)
    with pytest.raises(UserErrorException):
        Dataset.get_by_name(Workspace(), "made")
    added = run(f"{plain}.register_on_complete('made')")
    again = run(f"{plain}.register_on_complete('made')")
    removed = run(plain)

    (path,) = Dataset.get_by_name(Workspace(), "made").download()
    assert Path(path).read_text() == "data None"
    assert (added.states["work"], added.xcom("work")["status"]) == ("success", "Reused")
    assert "it is not registered as 'made'" in added.xcom("work")["reason"]
    assert (again.states["work"], removed.states["work"]) == ("skipped", "skipped")


READS = """
    from airflow_aml import Dataset, Run
    run = Run.get_context()
    raw = run.experiment.workspace.get_default_datastore()
    print(Dataset.File.from_files((raw, "p/*.csv")).to_path())
"""
OWN = """
    import sys
    from airflow_aml import Dataset, Run
    open("mine.csv", "w").write("n,1")
    Dataset.File.from_files("mine.csv").to_path()
    Dataset.File.from_files(sys.argv[2]).to_path()
    Run.get_context().input_datasets["t"].get_partition_key_values()
"""


def test_files_that_a_script_finds_by_itself_are_asked_for_again(write, one_dag, run_dag, tmp_path):
    """A new file under its glob runs it again and is named; inputs and its own files never do."""
    from airflow_aml import Workspace

    store = Workspace().get_default_datastore()
    write("finds/finds.py", READS)
    write("own/own.py", OWN)
    write("in/a.txt", "a")
    write(
        "p.py",
        HEADER
        + """
    table = Dataset.Tabular.from_delimited_files((store, "t/1.csv"), partition_format="t/{n}.csv")
    given = Dataset.File.from_files("in").as_named_input("given").as_mount()
    own = step("own", "--in", given, inputs=[table.as_named_input("t")])
    pipeline = Pipeline(ws, [own, step("finds")])
    """,
    )

    def put(path):
        (tmp_path / path.name).write_text("n\n1\n")
        files = [str(tmp_path / path.name)]
        store.upload_files(files, target_path=str(path.parent), show_progress=False)

    put(Path("t/1.csv"))
    put(Path("p/a.csv"))
    first, second = run_dag(one_dag()), run_dag(one_dag())
    put(Path("p/b.csv"))
    third = run_dag(one_dag())

    assert [first.states[name] for name in ("own", "finds")] == ["success", "success"]
    assert [second.states[name] for name in ("own", "finds")] == ["skipped", "skipped"]
    assert [third.states[name] for name in ("own", "finds")] == ["skipped", "success"]
    assert reason(third, "finds") == (
        "what the script reads ('p/*.csv' of the default datastore) changed: 1 file (b.csv added)"
    )


def test_another_default_datastore_gets_what_is_reused(write, one_dag, run_dag, tmp_path):
    """A fixed destination is filled there without its script; an output of no path runs again."""
    from airflow_aml import Datastore, Workspace

    ws = Workspace()
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        Datastore.register_local(ws, name, str(tmp_path / name))
    write("fixed/fixed.py", SCRIPT)
    write("plain/plain.py", SCRIPT)
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    shown = OutputFileDatasetConfig("shown", destination=(store, "models"))
    one = step("fixed", "--in", raw, "--out", shown)
    pipeline = Pipeline(ws, [one, step("plain", "--in", raw, "--out", a)])
    """,
    )
    ran = {}
    for name in ("old", "new", "again"):
        if name != "again":
            ws.set_default_datastore(name)
        ran[name] = run_dag(one_dag())

    for name in ("old", "new"):
        assert (tmp_path / name / "models/text.txt").read_text() == "data None"
        assert len([*(tmp_path / name / "dataset").glob("*/a/text.txt")]) == 1
    assert ran["new"].xcom("fixed")["status"] == "Reused"
    said = "the destination of output 'shown' is 'models' of datastore 'new' now"
    assert reason(ran["new"], "fixed") == f"nothing changed, but {said}: it is published again"
    assert reason(ran["new"], "plain") == "output 'a' is to be in datastore 'new' now"
    assert [ran["again"].states[each] for each in ("fixed", "plain")] == ["skipped", "skipped"]


def test_steps_that_register_one_name_do_not_overtake_each_other(write, one_dag, run_dag):
    """In order the later one is the latest; side by side whoever came last; reuse leaves it so."""
    from airflow_aml import Dataset, Workspace

    for name in ("one", "two", "left", "right"):
        write(f"{name}/{name}.py", SCRIPT)
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    def made(name, dataset):
        out = OutputFileDatasetConfig("o").register_on_complete(dataset)
        return step(name, "--in", raw, "--rate", name, "--out", out)
    one, two = made("one", "in_order"), made("two", "in_order")
    two.run_after(one)
    pipeline = Pipeline(ws, [one, two, made("left", "at_once"), made("right", "at_once")])
    """,
    )

    def latest():
        found = [Dataset.get_by_name(Workspace(), name) for name in ("in_order", "at_once")]
        return [(each.version, Path(each.download()[0]).read_text()) for each in found]

    run_dag(one_dag())
    first = latest()
    second = run_dag(one_dag())
    assert {second.states[name] for name in ("one", "two", "left", "right")} == {"skipped"}
    assert latest() == first
    assert first[0] == (2, "data two")
    write("one/one.py", SCRIPT + "\n    # a comment\n")
    third = run_dag(one_dag())
    assert [third.states[name] for name in ("one", "two")] == ["success", "success"]
    said = "the latest version of dataset 'in_order' is 3, not its own 2"
    assert reason(third, "two") == f"nothing changed, but {said}: it is published again"
    assert latest() == [(4, "data two"), first[1]]


def test_lists_that_a_script_has_read_are_asked_for_again(write, one_dag, run_dag, tmp_path):
    """Models by name and tag, names of datasets: reused while the lists stay, and no longer."""
    from airflow_aml import Model, Workspace

    write(
        "ask/ask.py",
        """
        from airflow_aml import Model, Run
        ws = Run.get_context().experiment.workspace
        print(len(Model.list(ws, name="m")), Model(ws, "m", tags=["good"]).version, [*ws.datasets])
    """,
    )
    write("look/look.py", "from airflow_aml import Run; Run.get_context().parent.get_tags()")
    write("p.py", HEADER + '    pipeline = Pipeline(ws, [step("ask"), step("look")])')
    (tmp_path / "weights").write_text("1")

    def register(name):
        Model.register(Workspace(), str(tmp_path / "weights"), name, tags={"good": "yes"})

    register("m")
    run_dag(one_dag())
    register("another")
    second = run_dag(one_dag())
    register("m")
    third = run_dag(one_dag())

    assert (second.states["ask"], third.states["ask"]) == ("skipped", "success")
    said = "what the script asks for (the versions of model 'm') has another answer now"
    assert reason(third, "ask") == said
    said = "its script reads the record of a run, which is never reused"
    assert reason(second, "look") == said


def test_who_only_writes_to_the_pipelines_run_is_reused(write, one_dag, run_dag):
    """Metrics, properties, files and a model of the whole run: nothing of it was read. That it
    goes on is nothing that a script would have to read."""
    write(
        "tell/tell.py",
        """
        from airflow_aml import Run
        run = Run.get_context()
        print(run.get_details(), run.get_status(), run.parent.get_status())
        whole = run.parent
        whole.log("best", 1)
        whole.tag("kind", "ridge")
        whole.add_properties({"team": "a"})
        whole.upload_file("model.txt", __file__)
        whole.register_model("best", "model.txt")
    """,
    )
    write("p.py", HEADER + '    pipeline = Pipeline(ws, [step("tell")])')
    first, second = run_dag(one_dag()), run_dag(one_dag())
    assert (first.states["tell"], second.states["tell"]) == ("success", "skipped")


def test_hidden_reads_are_asked_again(write, one_dag, run_dag, tmp_path):
    """A script that looks up a dataset by name runs again when that name has a new version."""
    from airflow_aml import Dataset, Workspace

    write(
        "ask/ask.py",
        """
        from airflow_aml import Dataset, Workspace
        print(Dataset.get_by_name(Workspace(), "facts").version)
    """,
    )
    write("p.py", HEADER + '    pipeline = Pipeline(ws, [step("ask")])')
    ws = Workspace()
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(f"n\n{number}\n")

    def register(number):
        Dataset.Tabular.from_delimited_files(str(tmp_path / f"{number}.csv")).register(
            ws, "facts", create_new_version=True
        )

    register(1)
    states = [run_dag(one_dag()).states["ask"], run_dag(one_dag()).states["ask"]]
    register(2)
    third = run_dag(one_dag())

    assert [*states, third.states["ask"]] == ["success", "skipped", "success"]
    assert "'facts'" in third.xcom("ask")["reason"]

    (tmp_path / "2.csv").write_text("n\n3\n")
    fourth = run_dag(one_dag())
    assert fourth.states["ask"] == "success", "the same version, with other data"
    assert run_dag(one_dag()).states["ask"] == "skipped"


def test_an_input_file_with_another_name(chain, write):
    """What a single file is called is something that a script sees."""
    chain()
    write("sales_2.txt", "data")
    write("p.py", CHAIN.replace("raw.txt", "sales_2.txt"))

    assert steps_of(chain())[0] == "ran"


def test_a_long_chain_hands_on_what_is_read(write, one_dag, run_dag):
    """Of many reused steps the XComs that a step reads are written; the sensor lists them all."""
    write("work/work.py", SCRIPT)
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    steps, data = [], raw
    for number in range(16):
        out = OutputFileDatasetConfig("o")
        given = rate if number == 14 else 0
        one = PythonScriptStep(
            "work.py", name=f"s{number}", source_directory="work",
            arguments=["--in", data, "--rate", given, "--out", out],
        )
        steps.append(one)
        data = out.as_input("data")
    pipeline = Pipeline(ws, steps)
    """,
    )
    first = run_dag(one_dag())
    second = run_dag(one_dag())
    third = run_dag(one_dag(), {"rate": 5})

    assert set(second.states.values()) == {"success", "skipped"}
    listed = second.xcom("reuse", "reused")
    assert listed["s15"]["o"] == first.xcom("s15", "o")
    assert listed["s0"]["return_value"]["status"] == "Reused"
    assert [third.states[f"s{n}"] for n in range(16)] == ["skipped"] * 14 + ["success"] * 2
    assert third.xcom("s13", "o") == first.xcom("s13", "o")
    assert third.xcom("s3", "o") is None
    assert (third.output("s15", "o") / "text.txt").read_text().endswith(" 0 5 0")


def test_a_join_whose_arms_wrote_the_same_again(write, one_dag, run_dag):
    """Both arms of a diamond run again to the same bytes: the join below them is cut off."""
    for name in ("left", "right"):
        write(f"{name}/{name}.py", SCRIPT)
    write("join/join.py", "pass")
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    arms = [step("left", "--in", raw, "--out", a), step("right", "--in", raw, "--out", b)]
    pipeline = Pipeline(ws, [*arms, step("join", a.as_input("one"), b.as_input("two"))])
    """,
    )
    run_dag(one_dag())
    for name in ("left", "right"):
        write(f"{name}/{name}.py", SCRIPT + "\n    # a comment\n")

    states = run_dag(one_dag()).states

    assert (states["left"], states["right"], states["join"]) == ("success", "success", "skipped")


def test_files_that_an_earlier_step_publishes_are_looked_at_when_the_turn_comes(
    write, one_dag, run_dag
):
    """A dataset of a place that a step of the same run fills: its result is never a stale one."""
    for name in ("prepare", "report"):
        write(f"{name}/{name}.py", SCRIPT)
    write("raw.txt", "data")
    write(
        "p.py",
        HEADER
        + """
    a = OutputFileDatasetConfig("a", destination=(store, "shared"))
    prepare = step("prepare", "--in", raw, "--rate", rate, "--out", a)
    shared = Dataset.File.from_files((store, "shared")).as_named_input("shared").as_mount()
    report = step("report", "--in", shared, "--out", b)
    report.run_after(prepare)
    pipeline = Pipeline(ws, [report])
    """,
    )
    run_dag(one_dag())
    run_dag(one_dag())
    two = run_dag(one_dag(), {"rate": 2})
    assert reason(two, "report") == "input 'shared' changed: 1 file (text.txt)"
    again = run_dag(one_dag(), {"rate": 2})
    assert [again.states[name] for name in ("prepare", "report")] == ["skipped", "skipped"]
    one = run_dag(one_dag(), {"rate": 1})
    assert reason(one, "prepare").endswith("it is published again")
    assert one.states["report"] == "skipped"

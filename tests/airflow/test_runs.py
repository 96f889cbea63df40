"""Runs: real scripts, started by Airflow's own task runner, and what becomes of their data."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import psutil
import pytest

from airflow_aml.runtime import COOKIE

HEADER = """
    # airflow dag
    from airflow_aml import *
    store = Workspace().get_default_datastore()
    def step(script, name=None, **options):
        options.update(name=name or script, source_directory="src")
        return PythonScriptStep(script + ".py", **options)
"""

WRITER = """
    import argparse, os
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    parser.add_argument("--text", default="hello")
    args = parser.parse_args()
    with open(os.path.join(args.out, "data.txt"), "w") as f:
        f.write(args.text)
    print("wrote", args.text)
"""

READER = """
    import argparse, os
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="folder")
    parser.add_argument("--out")
    args = parser.parse_args()
    with open(os.path.join(args.folder, "data.txt")) as f:
        text = f.read()
    with open(os.path.join(args.out, "upper.txt"), "w") as f:
        f.write(text.upper())
"""

CHAIN = (
    HEADER
    + """
    first, second = OutputFileDatasetConfig("first"), OutputFileDatasetConfig("second")
    text = PipelineParameter("text", "hello")
    a = step("writer", "a", arguments=["--out", first, "--text", text])
    b = step("reader", "b", arguments=["--in", first.as_input("data"), "--out", second])
    p = Pipeline("ws", [b])
"""
)


@pytest.fixture(autouse=True)
def scripts(write):
    """The step scripts that most of these pipelines use."""
    write("src/writer.py", WRITER)
    write("src/reader.py", READER)


def test_data_passes_between_steps_by_reference(write, one_dag, run_dag, workspace):
    """The reader gets the writer's committed folder; XComs hold where it is and what it is."""
    write("p.py", CHAIN)

    ran = run_dag(one_dag())

    assert ran.state == "success"
    assert (ran.output("b", "second") / "upper.txt").read_text() == "HELLO"
    reference = ran.xcom("a", "first")
    assert sorted(reference) == ["bytes", "digest", "files", "uri"]
    assert (reference["files"], reference["bytes"]) == (1, 5)
    assert Path(ran.output("a", "first")).is_relative_to(workspace.root / "data")
    result = ran.xcom("a")
    assert (result["status"], result["saved_seconds"]) == ("Finished", 0.0)
    assert result["seconds"] > 0


def test_a_parameter_reaches_the_script(write, one_dag, run_dag):
    """A run's value replaces the default; the rendered command line shows it."""
    write("p.py", CHAIN)

    ran = run_dag(one_dag(), {"text": "other words"})

    assert (ran.output("b", "second") / "upper.txt").read_text() == "OTHER WORDS"


def test_braces_in_an_argument_are_only_braces(write, one_dag, run_dag):
    """What looks like a template, and not even a valid one, reaches the script as it stands."""
    write("p.py", CHAIN.replace('"hello"', '"{{ nothing"'))

    ran = run_dag(one_dag())

    assert (ran.output("b", "second") / "upper.txt").read_text() == "{{ NOTHING"


def test_every_run_has_its_own_outputs(write, one_dag, run_dag):
    """Two runs never share a folder, and equal content has equal digests."""
    write("p.py", CHAIN)
    dag = one_dag()

    first, second = run_dag(dag), run_dag(dag, {"aml_regenerate_outputs": True})

    assert first.output("a", "first") != second.output("a", "first")
    assert first.xcom("a", "first")["digest"] == second.xcom("a", "first")["digest"]


def test_committed_files_are_read_only(write, one_dag, run_dag):
    """What a step has handed on cannot be changed by accident."""
    write("p.py", CHAIN)

    path = run_dag(one_dag()).output("a", "first") / "data.txt"

    assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def test_the_author_chooses_a_place_with_run_id(write, one_dag, run_dag, workspace):
    """A destination with {run-id} and {output-name} is where the output is committed."""
    write(
        "p.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o", destination=(store, "results/{run-id}/{output-name}"))
    p = Pipeline("ws", [step("writer", arguments=["--out", out])])
    """,
    )

    place = run_dag(one_dag()).output("writer", "o")

    root = workspace.root / "datastores" / "workspaceblobstore" / "results"
    assert place.is_relative_to(root)
    assert place.name == "o"


def test_a_fixed_place_is_a_view(write, one_dag, run_dag, workspace):
    """Files there are replaced by name, others kept, and readers use the run's own copy."""
    write(
        "p.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o", destination=(store, "latest"))
    text = PipelineParameter("text", "one")
    p = Pipeline("ws", [step("writer", arguments=["--out", out, "--text", text])])
    """,
    )
    view = workspace.root / "datastores" / "workspaceblobstore" / "latest"
    view.mkdir(parents=True)
    (view / "kept.txt").write_text("kept")
    dag = one_dag()

    first = run_dag(dag)
    second = run_dag(dag, {"text": "two"})

    assert (view / "data.txt").read_text() == "two"
    assert (view / "kept.txt").read_text() == "kept"
    assert (first.output("writer", "o") / "data.txt").read_text() == "one"
    assert (second.output("writer", "o") / "data.txt").read_text() == "two"


def test_a_file_edited_during_the_run_changes_nothing_in_it(write, one_dag, run_dag, tmp_path):
    """Steps use the source folder as it was when the run began."""
    write(
        "src/vandal.py",
        f"""
        open({str(tmp_path / "dags/src/writer.py")!r}, "w").write("raise SystemExit(9)")
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o")
    vandal, victim = step("vandal"), step("writer", arguments=["--out", out])
    victim.run_after(vandal)
    p = Pipeline("ws", [victim])
    """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    assert "SystemExit(9)" in (tmp_path / "dags/src/writer.py").read_text()


def test_local_files_and_globs_are_inputs(write, one_dag, run_dag):
    """One file arrives as that file, a folder as that folder, a glob as a folder of its matches."""
    write("data/a.csv", "a")
    write("data/b.csv", "b")
    write("data/c.txt", "c")
    write(
        "src/show.py",
        """
        import os, sys
        file, folder, matches, out = sys.argv[1:]
        assert open(file).read() == "a", file
        assert sorted(os.listdir(folder)) == ["a.csv", "b.csv", "c.txt"]
        found = sorted(n for _, _, names in os.walk(matches) for n in names)
        assert found == ["a.csv", "b.csv"], found
        assert os.environ["AZURE_ML_INPUT_one"] == os.environ["one"] == file
        assert os.environ["AML_PARAMETER_p"] == "3"
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    def data(path, name):
        return Dataset.File.from_files(path).as_named_input(name).as_mount()
    p = Pipeline("ws", [step("show", params={"p": 3}, arguments=[
        data("data/a.csv", "one"), data("data", "all"), data("data/*.csv", "some"),
        OutputFileDatasetConfig("o"),
    ])])
    """,
    )

    assert run_dag(one_dag()).state == "success"


def test_pipeline_data_paths_do_not_exist_yet(write, one_dag, run_dag):
    """A PipelineData's parent exists, the path itself does not: v1 scripts make it themselves."""
    write(
        "src/make.py",
        """
        import os, sys
        path = sys.argv[1]
        assert path == os.environ["AZUREML_DATAREFERENCE_model"]
        assert os.path.isdir(os.path.dirname(path)) and not os.path.exists(path)
        os.makedirs(path)
        open(os.path.join(path, "m.bin"), "wb").write(b"1234")
    """,
    )
    write(
        "src/use.py",
        """
        import os, sys
        assert os.listdir(sys.argv[1]) == ["m.bin"]
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    model = PipelineData("model", datastore=store)
    make = step("make", arguments=[model], outputs=[model])
    use = step("use", arguments=[model], inputs=[model])
    p = Pipeline("ws", [use])
    """,
    )

    assert run_dag(one_dag()).state == "success"


def test_a_script_that_fails_is_not_retried(write, one_dag, run_dag, capfd):
    """Exit code and the last lines of stderr are in the error; what waits for it is not started."""
    write(
        "src/bad.py",
        """
        import sys
        print("useful line", file=sys.stderr)
        sys.exit(7)
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    bad, later = step("bad"), step("writer", "later")
    later.run_after(bad)
    p = Pipeline("ws", [later])
    """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "failed"
    assert (ran.states["bad"], ran.states["later"]) == ("failed", "upstream_failed")
    assert ran.tries("bad") == 1
    said = "".join(capfd.readouterr())
    assert "7" in said
    assert "useful line" in said


BREAK_THE_STORE = """
    import os, sys
    from urllib.parse import urlsplit
    place = urlsplit(os.environ["AIRFLOW__AML__WORKSPACE"]).path + "/data"
    if os.path.exists(place):
        os.unlink(place)
    else:
        open(place, "w").close()  # a file where the folder of all outputs must go
"""


def test_a_broken_store_is_tried_again(write, one_dag, run_dag):
    """When an output cannot be stored, that is no fault of the script: Airflow tries again."""
    write("src/flaky.py", BREAK_THE_STORE)
    write(
        "p.py",
        HEADER
        + "    p = Pipeline('ws', [step('flaky', arguments=[OutputFileDatasetConfig('out')])])",
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    assert ran.tries("flaky") == 2


def test_what_a_lost_attempt_left_is_swept(write, one_dag, run_dag, tmp_path):
    """Before the next try, processes and folders of earlier ones are ended and removed."""
    write(
        "src/flaky.py",
        BREAK_THE_STORE
        + f"""
    import subprocess
    notes = {str(tmp_path)!r}
    if not os.path.exists(notes + "/earlier"):
        earlier = os.path.join(os.path.dirname(os.path.dirname(os.getcwd())),
                               os.environ["AZUREML_RUN_ID"] + "-0-earlier")
        os.makedirs(os.path.join(earlier, "src"))
        variables = dict(os.environ, {COOKIE}=os.path.basename(earlier))
        left = subprocess.Popen(["sleep", "60"], env=variables, start_new_session=True)
        with open(notes + "/earlier", "w") as stream:
            stream.write(f"{{left.pid}} {{earlier}}")
    """,
    )
    write(
        "p.py",
        HEADER
        + "    p = Pipeline('ws', [step('flaky', arguments=[OutputFileDatasetConfig('out')])])",
    )

    ran = run_dag(one_dag())

    pid, folder = (tmp_path / "earlier").read_text().split()
    assert (ran.state, ran.tries("flaky")) == ("success", 2)
    assert Path(folder).parent == tmp_path / "scratch" / "airflow-aml"
    assert not Path(folder).exists()
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == "zombie"


def test_a_time_limit_is_the_end_of_the_step(write, one_dag, run_dag, capfd):
    """max_run_duration_seconds ends the script; as in v1 it is not tried again."""
    write("src/slow.py", "import time; time.sleep(60)")
    write(
        "p.py",
        HEADER
        + """
    limited = RunConfiguration()
    limited.max_run_duration_seconds = 1
    p = Pipeline("ws", [step("slow", runconfig=limited)])
    """,
    )

    ran = run_dag(one_dag())

    assert (ran.state, ran.tries("slow")) == ("failed", 1)
    assert "'slow' was ended after 1 s, its max_run_duration_seconds." in "".join(
        capfd.readouterr()
    )


@pytest.mark.parametrize("goes_on", [False, True])
def test_continue_on_step_failure(write, one_dag, run_dag, goes_on):
    """Off, as by default, nothing starts once a step has failed; on, independent branches go on."""
    write("src/bad.py", "raise SystemExit(1)")
    write("src/nothing.py", "")
    write("src/other.py", "")
    write(
        "p.py",
        HEADER
        + f"""
    bad, slow, other = step("bad"), step("nothing", "slow"), step("other")
    other.run_after(slow)
    p = Pipeline("ws", [bad, slow, other])
    p.submit("e", continue_on_step_failure={goes_on})
    """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "failed"
    assert ran.states["bad"] == "failed"
    assert (ran.states["other"] == "success") == goes_on


def test_a_wrong_parameter_fails_the_run_at_its_start(write, one_dag, run_dag):
    """A value of the wrong type never reaches a script; the text names the type."""
    write("p.py", CHAIN)
    dag = one_dag()

    with pytest.raises(Exception, match="is not of type 'string'"):
        run_dag(dag, {"text": 5})


def test_an_unknown_key_is_only_a_warning(write, one_dag, run_dag, capfd):
    """As in v1 over REST: what no parameter has is named and ignored."""
    write("p.py", CHAIN)

    ran = run_dag(one_dag(), {"txet": "typing error", "_aml": {"experiment": "mine"}})

    assert ran.state == "success"
    assert "'txet', which is no parameter" in "".join(capfd.readouterr())


def test_the_run_is_kept_with_its_plan(write, one_dag, run_dag, workspace):
    """plan.json holds parameters, experiment and the snapshots that steps use."""
    write("p.py", CHAIN)

    ran = run_dag(one_dag(), {"text": "x", "_aml": {"experiment": "mine", "tags": {"k": "v"}}})

    run_id = ran.xcom("reuse")["pipeline_run_id"]
    plan = json.loads((workspace.root / "runs" / run_id / "plan.json").read_text())
    assert plan["parameters"] == {"text": "x"}
    assert (plan["experiment"], plan["tags"]) == ("mine", {"k": "v"})
    assert sorted(plan["steps"]) == ["a", "b"]


def test_a_scripts_dag_runs_the_script(write, one_dag, run_dag):
    """Whoever starts a run of the DAG of a ScriptRunConfig: it is listed as that script's run."""
    from airflow_aml import Experiment, ScriptRun, Workspace

    submit = "Experiment(Workspace(), 'alone').submit(ScriptRunConfig('src', 'writer.py', args))"
    write("alone.py", HEADER + f"    args = ['--out', '.']\n    {submit}")

    run_dag(one_dag())

    (run,) = Experiment(Workspace(), "alone").get_runs()
    assert (type(run), run.type, run.get_status(), run.number) == (
        ScriptRun,
        "azureml.scriptrun",
        "Completed",
        1,
    )
    assert run.get_details_with_logs()["logFiles"]["logs/azureml/stdoutlogs.txt"] == (
        "wrote hello\n"
    )


def test_what_a_script_leaves_in_outputs_is_kept(write, one_dag, run_dag, workspace):
    """v1 kept ./outputs with the run."""
    write(
        "src/leave.py",
        """
        import os
        open("outputs/note.txt", "w").write(os.environ["AZUREML_RUN_ID"])
    """,
    )
    write("p.py", HEADER + "    p = Pipeline('ws', [step('leave')])")

    run_dag(one_dag())

    (note,) = workspace.root.glob("runs/*/steps/*/files/outputs/note.txt")
    assert note.read_text() == note.parents[2].name


def test_nothing_is_left_behind(write, one_dag, run_dag, workspace, tmp_path):
    """Working copies and staging folders are gone after a run, also after a failed one."""
    write("src/bad.py", "raise SystemExit(1)")
    write("p.py", CHAIN + '    p2 = step("bad").run_after(b)\n    p.submit("x")\n')

    run_dag(one_dag())

    staged = workspace.root / "staging"
    assert not staged.exists() or os.listdir(staged) == []
    scratch = tmp_path / "scratch" / "airflow-aml"
    assert not scratch.exists() or os.listdir(scratch) == []


def test_two_steps_of_one_name_both_run(write, one_dag, run_dag):
    """v1 allows it; here they are two tasks with two outputs."""
    write(
        "p.py",
        HEADER
        + """
    outs = {"one": OutputFileDatasetConfig(), "two": OutputFileDatasetConfig()}
    steps = [step("writer", arguments=["--out", o, "--text", t]) for t, o in outs.items()]
    p = Pipeline("ws", steps)
    """,
    )

    ran = run_dag(one_dag())

    assert ran.output("writer", "output_1") != ran.output("writer_2", "output_1")


def test_signs_of_jinja_are_plain_text(write, one_dag, run_dag):
    """v1's arguments are no templates, whatever they hold."""
    write(
        "src/same.py",
        """
        import sys
        assert sys.argv[1:] == ["{{ ds }}", "{% raw", "{{ 1 + 1 }}"], sys.argv
    """,
    )
    write(
        "p.py",
        HEADER
        + """
    p = Pipeline("ws", [step("same", arguments=["{{ ds }}", "{% raw", "{{ 1 + 1 }}"])])
    """,
    )

    assert run_dag(one_dag()).state == "success"


def test_committed_folders_take_no_more_files(write, one_dag, run_dag):
    """Nothing is added to or removed from what a step has handed on (root can, as always)."""
    write("p.py", CHAIN)

    folder = run_dag(one_dag()).output("a", "first")

    assert not folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)

"""What can go wrong with a step's container, and what its image has to do with reuse."""

from __future__ import annotations

import json

import pytest

from scripts.docker_engine import BARE_IMAGE, IMAGE

FILE = """
# airflow dag
from airflow_aml import *
ws = Workspace()
steps = [
    PythonScriptStep(script, name=name, source_directory="src", compute_target=name)
    for name, script in {steps!r}
]
Pipeline(ws, steps).submit("docker", continue_on_step_failure=True)
"""


@pytest.fixture
def computes(engine, monkeypatch):
    """Sets the site's computes: containers of the test's engine, unless they say otherwise."""

    def define(**documents):
        given = {"kind": "docker", "image": IMAGE, "engine": engine.address, "network": "none"}
        setting = {name: {**given, **document} for name, document in documents.items()}
        monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps(setting))

    return define


def why(workspace):
    """Why steps have failed, by name."""
    return {path.name: path.read_text() for path in workspace.root.glob("runs/*/failed/*")}


def test_what_is_wrong_with_a_container_is_told_in_one_sentence(
    computes, write, one_dag, run_dag, workspace, tmp_path
):
    """No image, no engine, no Python, a user who cannot write, too little memory."""
    computes(
        no_image={"image": "aml-missing:1"},
        no_python={"image": BARE_IMAGE},
        no_engine={"engine": f"unix://{tmp_path}/none.sock"},
        stranger={"user": "65534:65534"},
        small={"memory": "32m"},
    )
    write("src/a.py", "print('ran')")
    write("src/eat.py", "x = [bytearray(1 << 20) for _ in range(200)]")
    names = ("no_image", "no_python", "no_engine", "stranger")
    steps = [(name, "a.py") for name in names] + [("small", "eat.py")]
    write("p.py", FILE.format(steps=steps))

    dag = one_dag()
    for task in dag.tasks:
        task.retries = 0

    ran = run_dag(dag)

    failed = why(workspace)
    assert set(failed) == {*names, "small"}, ran.states
    assert "there is no image 'aml-missing:1' here" in failed["no_image"]
    assert "the image 'aml-bare:test' has no Python" in failed["no_python"]
    assert f"engine at unix://{tmp_path}/none.sock does not answer" in failed["no_engine"]
    assert "the user 65534:65534 of the container cannot write" in failed["stranger"]
    assert "ended by SIGKILL. Its container ran out of memory (the limit is 32m)" in failed["small"]


def test_another_image_under_the_same_name_runs_the_step_again(
    computes, engine, write, one_dag, run_dag
):
    """And the reason names the change; the worker's own packages do not count."""
    engine.docker("tag", IMAGE, "aml-mine:1")
    computes(mine={"image": "aml-mine:1", "user": "0"})
    write("src/a.py", "from airflow_aml import Run\nRun.get_context().log('n', 1)\n")
    write("p.py", FILE.format(steps=[("mine", "a.py")]))
    dag = one_dag()
    first = run_dag(dag)
    assert first.states["mine"] == "success"
    assert first.xcom("mine")["metrics"] == {"n": 1}
    assert run_dag(dag).states["mine"] == "skipped"
    before = engine.docker("inspect", "-f", "{{.Id}}", "aml-mine:1")
    container = engine.docker("create", IMAGE, "true")
    engine.docker("commit", container, "aml-mine:1")
    engine.docker("rm", container)
    after = engine.docker("inspect", "-f", "{{.Id}}", "aml-mine:1")

    again = run_dag(dag)

    assert again.states["mine"] == "success"
    assert again.xcom("mine")["reason"] == f"the image changed from {before} to {after}"


ASKS = """
import os
from airflow_aml import Run
run = Run.get_context()
found = run.get_secret("db-password")
run.log("length", len(found))
print("found", found)
assert os.path.exists(os.path.join(os.environ["HOME"], "contained.py"))
assert not os.path.exists(os.path.join(os.environ["HOME"], "handed.json"))
assert "open" + " sesame" not in str(dict(os.environ))
for name in ("absent", "other"):
    try:
        run.get_secret(name)
    except Exception as error:
        print("refused:", error)
"""


def test_a_script_that_files_are_sent_to_gets_the_secrets_that_its_compute_names(
    computes, engine, write, one_dag, run_dag, workspace, monkeypatch, capfd
):
    """The container's first process answers; in the log they are hidden, and no file has them."""
    monkeypatch.setenv("AIRFLOW_VAR_AML_SECRET_DB_PASSWORD", "open sesame")
    monkeypatch.setenv("AIRFLOW_VAR_AML_SECRET_OTHER", "not for containers")
    computes(far={"transport": "archive", "secrets": ["db-password", "absent"]})
    write("src/a.py", ASKS)
    write("p.py", FILE.format(steps=[("far", "a.py")]))

    ran = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert ran.state == "success", said
    assert ran.xcom("far")["metrics"] == {"length": len("open sesame")}
    assert "found ***" in said
    assert "there is no secret 'absent'" in said
    assert "'other' could not be looked up: the 'secrets' of its compute do not name it" in said
    assert "open sesame" not in said
    kept = (path.read_bytes() for path in workspace.root.rglob("*") if path.is_file())
    assert not any(b"open sesame" in each for each in kept)


def test_secrets_are_not_named_where_a_script_may_ask_for_any(computes, write, parse):
    """A list that limits nothing is refused when the file is read."""
    computes(near={"secrets": ["db-password"]})
    write("src/a.py", "print('never')")
    write("p.py", FILE.format(steps=[("near", "a.py")]))

    (error,) = parse().errors.values()
    assert "compute 'near': 'secrets' are named for containers that files are sent to" in error

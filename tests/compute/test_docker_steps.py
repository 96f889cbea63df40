"""What can go wrong with a step's container, and what its image has to do with reuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from scripts.docker_engine import BARE_IMAGE, IMAGE
from scripts.image_registry import image_registry
from scripts.test_servers import NotInstalledError

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


LOOKS = """
import os
from pathlib import Path
def told(*files):
    return next(Path(each).read_text().split()[0] for each in files if os.path.exists(each))
cgroup = "/sys/fs/cgroup"
print("memory", told(f"{cgroup}/memory.max", f"{cgroup}/memory/memory.limit_in_bytes"))
print("cpu", told(f"{cgroup}/cpu.max", f"{cgroup}/cpu/cpu.cfs_quota_us"))
shm = os.statvfs("/dev/shm")
print("shm", shm.f_blocks * shm.f_frsize)
print("net", *sorted(os.listdir("/sys/class/net")))
print("user", os.getuid(), os.getgid())
"""


def test_a_container_has_what_its_compute_says_and_no_more(
    computes, write, one_dag, run_dag, workspace, capfd
):
    """Cores, memory, /dev/shm, network and user, as the script itself sees them."""
    computes(box={"cpu": 0.5, "memory": "256m", "shm_size": "64m", "user": "0:100"})
    write("src/a.py", LOOKS)
    write("p.py", FILE.format(steps=[("box", "a.py")]))

    ran = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert ran.state == "success", said
    for line in (f"memory {256 << 20}", "cpu 50000", f"shm {64 << 20}", "net lo", "user 0 100"):
        assert line in said


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


PASSWORDS = "reader:$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n"  # sesame


def test_an_image_of_a_private_registry_is_pulled_by_the_computes_connection(
    computes, engine, write, one_dag, run_dag, workspace, monkeypatch, tmp_path
):
    """Which logs in there; without one the registry's refusal is told, and not tried again."""
    passwords = tmp_path / "passwords"
    passwords.write_text(PASSWORDS)
    try:
        public = image_registry(tmp_path / "public")
    except NotInstalledError as error:
        pytest.skip(str(error))
    with public, image_registry(tmp_path / "ours", passwords, tmp_path / "public/images") as ours:
        pushed, image = (f"127.0.0.1:{each.port}/team/train:1" for each in (public, ours))
        engine.docker("tag", IMAGE, pushed)
        engine.docker("push", "-q", pushed)
        connection = {"conn_type": "docker", "host": f"127.0.0.1:{ours.port}"}
        login = {**connection, "login": "reader", "password": "sesame"}
        monkeypatch.setenv("AIRFLOW_CONN_OURS", json.dumps(login))
        computes(mine={"image": image, "connection": "ours"}, nobodys={"image": image})
        write("src/a.py", "print('ran')")
        # One after the other: what the first has pulled would be there for the second.
        write("p.py", FILE.format(steps=[("nobodys", "a.py")]))
        run_dag(one_dag())
        told = why(workspace)["nobodys"]
        assert f"there is no image '{image}' here, and" in told
        assert "no basic auth credentials" in told
        write("p.py", FILE.format(steps=[("mine", "a.py")]))

        ran = run_dag(one_dag())

    assert ran.state == "success", why(workspace)


ELSEWHERE = """
mount --make-rprivate /
mkdir -p "$1" && mount --bind "$2" "$1" && cd "$1" && shift 2 && exec "$@"
"""


def test_where_airflow_runs_in_a_container_the_map_says_how_the_engine_calls_its_folders(
    engine, tmp_path
):
    """The worker's folder is one that the engine does not see under that name."""
    theirs, ours = tmp_path / "srv", tmp_path / "opt"
    (theirs / "src").mkdir(parents=True)
    (theirs / "src" / "a.py").write_text(
        "import sys; open(sys.argv[1] + '/made.txt', 'w').write(open(sys.argv[2]).read())"
    )
    (theirs / "given.txt").write_text("given")
    (theirs / "p.py").write_text(
        "from airflow_aml import *\n"
        "given = Dataset.File.from_files('given.txt').as_named_input('given').as_mount()\n"
        "made = OutputFileDatasetConfig('made')\n"
        "step = PythonScriptStep('a.py', source_directory='src', arguments=[made, given],\n"
        "                        inputs=[given], compute_target='box')\n"
        "Pipeline(Workspace(), [step])\n"
    )
    box = {"kind": "docker", "image": IMAGE, "engine": engine.address, "network": "none"}
    box["host_path_map"] = {str(ours): str(theirs)}

    run = [sys.executable, "-m", "airflow_aml.cli", "run", "--json", "p.py"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", ELSEWHERE, "sh", str(ours), str(theirs), *run],
        env={
            **os.environ,
            "AIRFLOW__AML__WORKSPACE": f"file://{ours}/workspace",
            "AIRFLOW__AML__SCRATCH": str(ours / "scratch"),
            "AIRFLOW__AML__COMPUTES": json.dumps({"box": box}),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert not ours.exists() or not list(ours.iterdir())
    (made,) = theirs.glob("workspace/data/**/made.txt")
    assert made.read_text() == "given"

"""What can go wrong with a step's pod, and who goes on with it when its watchers are lost."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from airflow_aml.reuse.lease import Owner, holder, take
from airflow_aml.reuse.software.pythons import installed
from airflow_aml.workspace.home import open_home
from scripts import test_servers
from scripts.docker_engine import BARE_IMAGE, IMAGE
from scripts.test_servers import NotInstalledError, make_container

FILE = """
# airflow dag
from airflow_aml import *
ws = Workspace()
steps = [
    PythonScriptStep(script, name=name, source_directory="src", compute_target=name)
    for name, script in {steps!r}
]
Pipeline(ws, steps).submit("pods", continue_on_step_failure=True)
"""
WAITS_ONCE = """
import os, sys, time
if not os.path.exists({flag!r}):
    open({flag!r}, "w").close()
    print("waits", flush=True)
    time.sleep({seconds})
print("done")
"""
PATIENCE = 60.0


@pytest.fixture
def computes(pods, monkeypatch):
    """Sets the site's computes: pods of the test's cluster, unless they say otherwise."""

    def define(**documents):
        setting = {name: {**pods, **document} for name, document in documents.items()}
        monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps(setting))

    return define


@pytest.fixture
def once(tmp_path, write):
    """A script that waits when it runs for the first time; the file that tells that it does."""

    def make(seconds):
        flag = tmp_path / "waited"
        write("src/a.py", WAITS_ONCE.format(flag=str(flag), seconds=seconds))
        return flag

    return make


def until(holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def why(workspace):
    """Why steps have failed, by name."""
    return {path.name: path.read_text() for path in workspace.root.glob("runs/*/failed/*")}


def without_retries(dag):
    for task in dag.tasks:
        task.retries = 0
    return dag


def test_what_is_wrong_with_a_pod_is_told_in_one_sentence(
    computes, cluster, write, one_dag, run_dag, workspace
):
    """No image, no Python, no node, no volume with the workspace or no right to it, no memory."""
    computes(
        no_image={"image": "aml-missing:1"},
        no_python={"image": BARE_IMAGE},
        no_node={"cpu": 64, "startup_seconds": 2},
        no_volume={"volumes": {}},
        no_right={"user": "1234:1234"},
        small={"memory": "48m"},
    )
    write("src/a.py", "print('ran')")
    write("src/eat.py", "x = [bytearray(1 << 20) for _ in range(200)]")
    names = ("no_image", "no_python", "no_node", "no_volume", "no_right")
    steps = [(name, "a.py") for name in names] + [("small", "eat.py")]
    write("p.py", FILE.format(steps=steps))

    ran = run_dag(without_retries(one_dag()))

    failed = why(workspace)
    assert set(failed) == {*names, "small"}, ran.states
    assert "the image 'aml-missing:1' cannot be had: ErrImagePull" in failed["no_image"]
    assert "the image 'aml-bare:test' has no Python: there is no python3" in failed["no_python"]
    assert "no node takes its pod (it has waited 2 s): Unschedulable" in failed["no_node"]
    assert "1 Insufficient cpu" in failed["no_node"]
    assert f"pods do not see the workspace {workspace.url}" in failed["no_volume"]
    assert "user 1234 cannot have the runtime from" in failed["no_right"]
    assert "Permission denied" in failed["no_right"]
    assert "ran out of memory (the limit is 48" in failed["small"]
    until(lambda: not cluster.left())
    assert not any((workspace.root / "staging").glob("*"))


def test_a_cluster_that_refuses_is_told_in_its_words(
    computes, cluster, write, one_dag, run_dag, workspace, monkeypatch
):
    """Nothing of the step is left, and it is not tried again."""
    monkeypatch.setattr(cluster, "forbidden", {"theirs"})
    computes(refused={"namespace": "theirs"})
    write("src/a.py", "print('never')")
    write("p.py", FILE.format(steps=[("refused", "a.py")]))

    ran = run_dag(one_dag())

    told = json.loads(why(workspace)["refused"])["why"]
    assert told == (
        "step 'refused', compute 'refused': the Kubernetes cluster refuses: Forbidden (403). "
        'pods is forbidden in the namespace "theirs"'
    )
    assert ran.tries("refused") == 1
    assert not any((workspace.root / "staging").glob("*"))


@pytest.mark.soak
def test_a_cluster_that_does_not_answer_may_come_back(
    computes, cluster, write, one_dag, run_dag, workspace, monkeypatch, tmp_path
):
    """The provider has asked it for a while before that is a failure."""
    nobody = cluster.kubeconfig(tmp_path / "nobody")
    nobody.write_text(nobody.read_text().replace(cluster.url, "http://127.0.0.1:1"))
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(nobody)}}
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY", json.dumps(connection))
    computes(absent={"connection": "nobody"})
    write("src/a.py", "print('never')")
    write("p.py", FILE.format(steps=[("absent", "a.py")]))

    run_dag(without_retries(one_dag()))

    assert "the Kubernetes cluster does not answer: " in why(workspace)["absent"]
    assert not any((workspace.root / "staging").glob("*"))


def test_an_input_that_pods_do_not_see_is_refused_by_name(
    computes, pods, write, one_dag, run_dag, workspace, tmp_path
):
    """It lies on the worker's disk, and on no volume."""
    volumes = {str(workspace.root): "nobody"}
    computes(one={"volumes": volumes})
    write("src/a.py", "print('ran')")
    write("given.txt", "given")
    write(
        "p.py",
        """
        # airflow dag
        from airflow_aml import *
        given = Dataset.File.from_files("given.txt").as_named_input("given").as_mount()
        step = PythonScriptStep("a.py", source_directory="src", inputs=[given],
                                compute_target="one")
        Pipeline(Workspace(), [step]).submit("pods")
        """,
    )

    run_dag(without_retries(one_dag()))

    (said,) = why(workspace).values()
    assert "compute 'one': pods do not see the input 'given' at /" in said


def test_a_pod_that_is_deleted_from_outside_is_made_again(
    computes, cluster, once, write, one_dag, run_dag, workspace
):
    """Its step is tried again, as one of a lost worker is."""
    computes(one={})
    waits = once(60)
    write("p.py", FILE.format(steps=[("one", "a.py")]))

    def delete():
        until(waits.exists)
        ((namespace, name),) = cluster.pods
        cluster.delete(namespace, name)

    deleting = threading.Thread(target=delete)
    deleting.start()
    ran = run_dag(one_dag())
    deleting.join()

    assert ran.states["one"] == "success"
    assert ran.tries("one") == 2
    until(lambda: not cluster.left())


RUN = """
import sys
from pathlib import Path
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, DagBag, sync_bag_to_db
folder = Path(sys.argv[1])
(dag,) = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder").dags.values()
DagBundlesManager().sync_bundles_to_db()
bag = DagBag(collect_dags=False, bundle_name="dags-folder")
bag.bag_dag(dag)
sync_bag_to_db(bag, "dags-folder", None)
dag.test()
"""


@pytest.mark.soak
def test_a_retry_goes_on_with_the_pod_that_a_lost_worker_has_left(
    computes, cluster, once, write, one_dag, database, workspace, tmp_path
):
    """The script runs once, and its result is recorded and can be reused."""
    computes(one={})
    waits = once(8)
    write("p.py", FILE.format(steps=[("one", "a.py")]))
    before = len(cluster.calls)
    lost = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "dags")])
    until(waits.exists)
    lost.send_signal(signal.SIGKILL)
    lost.wait()
    ((_, name),) = cluster.pods

    state, tries = _try_again(one_dag(), "one")

    assert (state, tries) == ("success", 2)
    made = [call for call in cluster.calls[before:] if call == "POST /api/v1/namespaces/team/pods"]
    assert len(made) == 1, name
    assert list(workspace.root.glob("reuse/v1/*/*/*.json"))
    assert not any((workspace.root / "staging").glob("*"))
    assert not why(workspace)
    until(lambda: not cluster.left())


@pytest.mark.soak
def test_a_retry_whose_earlier_pod_is_deleted_begins_anew(
    computes, cluster, once, write, one_dag, database, workspace, tmp_path
):
    """As it is where somebody clears the step: that try is not lost with the pod."""
    computes(one={})
    waits = once(60)
    write("p.py", FILE.format(steps=[("one", "a.py")]))
    lost = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "dags")])
    until(waits.exists)
    lost.send_signal(signal.SIGKILL)
    lost.wait()
    ((_, name),) = cluster.pods
    before = len(cluster.calls)

    def delete():
        until(lambda: f"GET /api/v1/namespaces/team/pods/{name}/log" in cluster.calls[before:])
        cluster.delete("team", name)

    deleting = threading.Thread(target=delete)
    deleting.start()
    state, tries = _try_again(one_dag(), "one")
    deleting.join()

    assert (state, tries) == ("success", 2)
    assert not why(workspace)
    assert cluster.calls[before:].count("POST /api/v1/namespaces/team/pods") == 1
    until(lambda: not cluster.left())


def _try_again(dag, task_id):
    """Does what the scheduler does for a task whose worker is lost: its next try."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk.definitions import dag as dags
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        wanted = (
            select(TaskInstance)
            .where(TaskInstance.dag_id == dag.dag_id, TaskInstance.task_id == task_id)
            .order_by(TaskInstance.id.desc())  # of the newest run: ids tell the time
            .limit(1)
        )
        ti = session.scalars(wanted).one()
        ti.state, ti.try_number = "scheduled", ti.try_number + 1
        ti.next_method = ti.next_kwargs = None
        session.flush()
        session.expunge_all()
    dags._run_task(ti=ti, task=dag.task_dict[task_id], run_triggerer=True)
    with create_session() as session:
        found = session.scalars(wanted).one()
        return str(found.state), found.try_number


def test_another_triggerer_takes_over_a_pod(cluster, capfd, tmp_path):
    """The end of the first one does not end the pod, and no line is lost."""
    from airflow_aml.airflow.steps.following import StepPodTrigger

    program = "import time\nfor n in range(6): print('line', n, flush=True); time.sleep(0.5)"
    cluster.create(
        "team",
        {
            "metadata": {"name": "taken-over"},
            "spec": {
                "containers": [
                    {"name": "base", "image": IMAGE, "command": ["python3", "-c", program]}
                ]
            },
        },
    )
    trigger = StepPodTrigger(
        pod_name="taken-over",
        pod_namespace="team",
        trigger_start_time=datetime.now(UTC),
        base_container_name="base",
        config_dict=json.loads(cluster.kubeconfig(tmp_path / "kubeconfig").read_text()),
        poll_interval=0.2,
        startup_check_interval=0.2,
        log_events_on_startup=False,
        trigger_kwargs={"attempt": "x"},
    )

    async def scenario():
        first, said = asyncio.create_task(anext(trigger.run())), ""
        while "line 1" not in said:
            await asyncio.sleep(0.1)
            said += capfd.readouterr().out
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        capfd.readouterr()
        again = StepPodTrigger(**trigger.serialize()[1])
        event = await anext(again.run())
        return event.payload, re.findall(r"line \d", capfd.readouterr().out)

    payload, told = asyncio.run(asyncio.wait_for(scenario(), PATIENCE))

    assert (payload["status"], payload["attempt"]) == ("success", "x")
    assert told == [f"line {n}" for n in range(6)]
    cluster.delete("team", "taken-over")
    until(lambda: not cluster.left())


def test_a_step_that_waits_for_its_pod_keeps_its_lease(workspace):
    """Though the process that took it has gone: others see an owner that cannot be asked."""
    from airflow.sdk.exceptions import TaskDeferred

    from airflow_aml.airflow.steps.holding import held
    from airflow_aml.workspace.process import Process

    home = open_home(workspace.url)
    me = Owner("dag", "run", "task", process=Process.this())
    _, lease = take(home, "sha256:ab", me)

    with pytest.raises(TaskDeferred), held(home, lease):
        raise TaskDeferred(trigger=None, method_name="")

    kept = holder(home, "sha256:ab")
    assert kept is not None
    assert kept.token == lease.token
    assert kept.owner.process is None
    with held(home, kept):
        pass
    assert holder(home, "sha256:ab") is None


@pytest.fixture
def store():
    """An S3 service."""
    try:
        server = test_servers.s3()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        yield server


TEMPLATE = """
apiVersion: v1
kind: Pod
spec:
  hostNetwork: true
  containers:
    - name: base
      env:
        - {{name: PYTHONPATH, value: /site}}
        - {{name: WORD, valueFrom: {{secretKeyRef: {{name: ours, key: word}}}}}}
      volumeMounts: [{{name: site, mountPath: /site, readOnly: true}}]
  volumes: [{{name: site, hostPath: {{path: {site}}}}}]
"""
PLAIN_TEMPLATE = "".join(line for line in TEMPLATE.splitlines(True) if "WORD" not in line)
TWO_STEPS = """
# airflow dag
from airflow_aml import *
made = OutputFileDatasetConfig("made")
first = PythonScriptStep("make.py", name="first", source_directory="src", arguments=[made],
                         compute_target="pods")
second = PythonScriptStep("read.py", name="second", source_directory="src",
                          arguments=[made.as_input("again")], compute_target="pods")
Pipeline(Workspace(), [first, second]).submit("pods")
"""


def test_a_workspace_in_an_object_store_is_read_and_written_by_the_pods_themselves(
    computes, cluster, store, write, one_dag, run_dag, workspace, tmp_path, monkeypatch
):
    """What opens it is in a secret that goes with the pod; the second run starts none.

    Secrets that a site has in the cluster reach the script by its pod template.
    """
    url = f"{make_container(store, 'pods')}/aml"
    connection = {
        "conn_type": "aws",
        "login": store.options["key"],
        "password": store.options["secret"],
        "extra": {"endpoint_url": store.url, "region_name": "eu-west-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", url.replace("s3://", "s3://store@"))
    template = tmp_path / "pod.yaml"
    template.write_text(TEMPLATE.format(site=sysconfig.get_paths()["purelib"]))
    computes(pods={"volumes": {}, "pod_template": str(template)})
    ours = {"metadata": {"name": "ours"}, "data": {"word": b64encode(b"hush").decode()}}
    monkeypatch.setitem(cluster.secrets, ("team", "ours"), ours)
    write(
        "src/make.py",
        """
        import os, sys
        from airflow_aml import Run
        open(os.path.join(sys.argv[1], "a.txt"), "w").write("made")
        Run.get_context().log("n", len(os.environ["WORD"]))
        """,
    )
    write("src/read.py", "import os, sys; print(open(os.path.join(sys.argv[1], 'a.txt')).read())")
    write("p.py", TWO_STEPS)
    dag = one_dag()
    before = len(cluster.calls)

    ran = run_dag(dag)

    assert ran.states == {"reuse": "success", "first": "success", "second": "success"}
    assert ran.xcom("first", "made")["uri"].startswith(url)
    assert ran.xcom("first")["metrics"] == {"n": 4}
    secrets = "POST /api/v1/namespaces/team/secrets"
    assert cluster.calls[before:].count(secrets) == 2
    until(lambda: cluster.left() == ["ours"])
    before = len(cluster.calls)
    again = run_dag(dag)
    assert (again.states["first"], again.states["second"]) == ("skipped", "skipped")
    assert cluster.calls[before:] == []
    home = open_home(url, options={**store.options})
    assert list(home.store.find("staging/")) == []


EQUIPPED = """
# airflow dag
from airflow_aml import *
ws = Workspace()
{before}
steps = [
    PythonScriptStep("show.py", name=name, source_directory="src", compute_target=name,
                     runconfig=config, arguments=[name])
    for name in {names!r}
]
Pipeline(ws, steps).submit("pods", continue_on_step_failure=True)
"""
ASKING = """
config = RunConfiguration()
config.environment.python.conda_dependencies = CondaDependencies.create(
    pip_packages=["six=={six}"], python_version={python!r})
"""
NAMED = """
mine = Environment.from_docker_image("mine", {image!r})
mine.python.conda_dependencies = CondaDependencies.create(pip_packages=["six=={six}"])
mine.register(ws)
config = RunConfiguration()
config.environment.name = "mine"
"""


def test_packages_beside_a_pods_image_are_built_once_and_travel_by_the_workspace(
    computes, write, one_dag, run_dag, workspace, tmp_path, monkeypatch, capfd
):
    """Of a step's own list or of a registered environment; another pin runs the step again."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    computes(one={"image": "aml-missing:1"}, two={"image": "aml-missing:1"})
    write("src/show.py", "import six; print('six', six.__version__, six.__file__)")
    names = ["one", "two"]
    write("p.py", EQUIPPED.format(before=NAMED.format(image=IMAGE, six="1.16.0"), names=names))

    first = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert first.state == "success", said
    assert said.count("environment built: Python") == 1
    assert said.count("six 1.16.0 /aml/") == 2
    assert len(list((workspace.root / "runtime").glob("packages-*.zip"))) == 1
    assert run_dag(one_dag()).states["one"] == "skipped"

    computes(one={}, two={})
    asked = ASKING.format(six="1.17.0", python=None)
    write("p.py", EQUIPPED.format(before=asked, names=["one"]))
    again = run_dag(one_dag())
    assert "package six changed from 1.16.0 to 1.17.0" in again.xcom("one")["reason"]


@pytest.mark.soak
def test_packages_travel_by_a_workspace_in_azures_blob_storage(
    computes, cluster, write, one_dag, run_dag, workspace, tmp_path, monkeypatch, capfd
):
    """One zip in the container for both steps; before what the image brings to read it with."""
    try:
        server = test_servers.azurite()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        url = f"{make_container(server, 'pods')}/aml"
        connection = {"conn_type": "wasb", "extra": server.options}
        monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", url.replace("abfs://", "abfs://store@"))
        monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
        template = tmp_path / "pod.yaml"
        template.write_text(PLAIN_TEMPLATE.format(site=sysconfig.get_paths()["purelib"]))
        pod = {"volumes": {}, "pod_template": str(template)}
        computes(one=pod, two=pod)
        write("src/show.py", "import six; print('six', six.__version__, six.__file__)")
        names = ["one", "two"]
        asked = ASKING.format(six="1.16.0", python=None)
        write("p.py", EQUIPPED.format(before=asked, names=names))
        dag = one_dag()

        ran = run_dag(dag)

        said = "".join(capfd.readouterr())
        assert ran.state == "success", said
        assert said.count("environment built: Python") == 1
        assert said.count("six 1.16.0 /aml/") == 2
        home = open_home(url, options={**server.options})
        zips = [each for each in home.store.find("runtime/") if "packages-" in str(each)]
        assert len(zips) == 1
        assert list(home.store.find("staging/")) == []
        again = run_dag(dag)
        assert (again.states["one"], again.states["two"]) == ("skipped", "skipped")


@pytest.mark.skipif("3.8" not in installed(), reason="this machine has no Python 3.8")
def test_packages_for_another_python_than_the_pods_are_refused(
    computes, write, one_dag, run_dag, workspace
):
    """They could not be imported there."""
    computes(one={})
    write("src/show.py", "print('never')")
    write(
        "p.py",
        EQUIPPED.format(before=ASKING.format(six="1.16.0", python="3.8"), names=["one"]),
    )

    run_dag(without_retries(one_dag()))

    assert "packages of the step are for Python 3.8: the image has Python" in why(workspace)["one"]


def test_a_script_in_a_pod_gets_the_secrets_that_its_compute_names(
    computes, cluster, write, one_dag, run_dag, workspace, monkeypatch, capfd
):
    """By a secret of Kubernetes' that goes with the pod; in the log they are hidden."""
    monkeypatch.setenv("AIRFLOW_VAR_AML_SECRET_DB_PASSWORD", "open sesame")
    monkeypatch.setenv("AIRFLOW_VAR_AML_SECRET_OTHER", "not for pods")
    computes(one={"secrets": ["db-password", "absent"]})
    write(
        "src/show.py",
        """
        import os
        from airflow_aml import Run
        run = Run.get_context()
        found = run.get_secret("db-password")
        run.log("length", len(found))
        print("found", found)
        assert "AIRFLOW_AML_HANDED" not in os.environ
        for name in ("absent", "other"):
            try:
                run.get_secret(name)
            except Exception as error:
                print("refused:", error)
        """,
    )
    write("p.py", EQUIPPED.format(before="config = RunConfiguration()", names=["one"]))

    ran = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert ran.state == "success", said
    assert ran.xcom("one")["metrics"] == {"length": len("open sesame")}
    assert "found ***" in said
    assert "open sesame" not in said
    assert "refused: " in said
    assert "there is no secret 'absent'" in said
    assert "'other' could not be looked up: the 'secrets' of its compute do not name it" in said
    until(lambda: not cluster.left())
    kept = (path.read_bytes() for path in workspace.root.rglob("*") if path.is_file())
    assert not any(b"open sesame" in each for each in kept)


VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


def test_nothing_is_called_that_the_pages_role_does_not_allow(cluster):
    """Whatever the tests above have had the operator and its trigger call."""
    page = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    (role,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    rules = yaml.safe_load(role)["rules"]
    verbs = {each: set(rule["verbs"]) for rule in rules for each in rule["resources"]}

    for call in cluster.calls:
        method, path = call.split()
        kind, *rest = re.split("/namespaces/(?:team|theirs)/", path)[1].split("/")
        verb = "list" if method == "GET" and not rest else VERBS[method]
        assert verb in verbs["/".join([kind, *rest[1:]])], call

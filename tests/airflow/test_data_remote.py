"""Runs whose workspace or datastores are in object stores: real scripts, real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_aml.workspace import datastores, layout
from airflow_aml.workspace.datastores import DatastoreRecord
from airflow_aml.workspace.home import Home, open_home
from scripts import test_servers
from scripts.test_servers import NotInstalledError, Server, make_container

HEADER = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    def step(script, name=None, source="src", **options):
        return PythonScriptStep(
            script + ".py", name=name or script, source_directory=source, **options)
"""


@dataclass(frozen=True)
class Cloud:
    """A container of a server, and the Airflow connection ``cloud`` that opens it."""

    scheme: str
    server: Server
    folder: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://runs/{self.folder}"

    @property
    def secret(self) -> str:
        options = self.server.options
        if self.scheme == "s3":
            return options["secret"]
        return dict(p.partition("=")[::2] for p in options["connection_string"].split(";") if p)[
            "AccountKey"
        ]

    @property
    def connection(self) -> str:
        options = self.server.options
        if self.scheme == "abfs":
            return json.dumps({"conn_type": "wasb", "extra": options})
        extra = {"endpoint_url": options["endpoint_url"], "region_name": "eu-west-1"}
        fields = {"conn_type": "aws", "login": options["key"], "password": options["secret"]}
        return json.dumps({**fields, "extra": extra})

    def home(self) -> Home:
        return open_home(self.url, options=self.server.options)

    def datastore(self, name: str) -> DatastoreRecord:
        kind = {"s3": "S3", "abfs": "AzureBlob"}[self.scheme]
        return DatastoreRecord(name, kind, f"{self.url}/{name}", {}, "cloud")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """Azurite and moto, started when a test first asks."""
    running: dict[str, Server] = {}
    yield running
    for server in running.values():
        server.__exit__()


@pytest.fixture(params=["abfs", "s3"])
def cloud(request, servers, monkeypatch, tmp_path) -> Cloud:
    """An object store that nothing but a connection opens."""
    if request.param not in servers:
        try:
            server = test_servers.azurite() if request.param == "abfs" else test_servers.s3()
        except NotInstalledError as reason:
            pytest.skip(str(reason))
        servers[request.param] = server
        make_container(server, "runs")
    made = Cloud(request.param, servers[request.param], uuid.uuid4().hex)
    monkeypatch.setenv("AIRFLOW_CONN_CLOUD", made.connection)
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture
def remote_workspace(cloud, workspace, monkeypatch) -> Home:
    """A workspace in the object store, set by one setting."""
    url = f"{cloud.scheme}://cloud@runs/{cloud.folder}"
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", url)
    return cloud.home()


@pytest.fixture(autouse=True)
def scripts(write):
    """The step scripts of these pipelines."""
    write(
        "src/write.py",
        """
        import os, sys
        out, text = sys.argv[1], sys.argv[2]
        os.makedirs(os.path.join(out, "deep er"), exist_ok=True)
        open(os.path.join(out, "t.csv"), "w").write("x,y\\n1," + text + "\\n")
        open(os.path.join(out, "deep er", "ü.txt"), "w").write(text)
        os.makedirs("outputs", exist_ok=True)
        open("outputs/note.txt", "w").write("kept")
    """,
    )
    write(
        "src/read.py",
        """
        import os, sys
        folder, out = sys.argv[1], sys.argv[2]
        print("READS", folder, sorted(os.listdir(folder)))
        text = open(os.path.join(folder, "deep er", "ü.txt")).read()
        open(os.path.join(out, "upper.txt"), "w").write(text.upper())
    """,
    )


CHAIN = """
    first, second = OutputFileDatasetConfig("first"), OutputFileDatasetConfig("second")
    a = step("write", "a", arguments=[first, "hello"])
    b = step("read", "b", arguments=[first.as_input("data"), second])
    p = Pipeline(ws, [b])
"""


def everything(folder: Path) -> str:
    """The text of every file below a folder."""
    return "\n".join(
        path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()
    )


def test_a_workspace_in_an_object_store(write, one_dag, run_dag, remote_workspace, cloud, capfd):
    """The same pipeline runs, changed by one setting; everything it keeps is in the store."""
    write("p.py", HEADER + CHAIN)

    ran = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert ran.state == "success", said
    store = remote_workspace.store
    first, second = ran.xcom("a", "first"), ran.xcom("b", "second")
    assert (first["files"], first["bytes"]) == (2, 17)
    assert first["uri"].startswith(f"{cloud.url}/data/")
    assert store.read(second["uri"][len(cloud.url) + 1 :] + "/upper.txt") == b"HELLO"
    manifest = json.loads(store.read(first["uri"][len(cloud.url) + 1 :] + ".manifest.json"))
    assert (manifest["uri"], manifest["digest"]) == (first["uri"], first["digest"])
    assert [each[0] for each in manifest["files"]] == ["deep er/ü.txt", "t.csv"]
    assert all(each[3] for each in manifest["files"])
    assert f"staged from {first['uri']} (2 files" in said
    assert "input 'data' is at " in said
    run_id = layout.pipeline_run_id(remote_workspace.uuid, ran.dag_run.dag_id, ran.dag_run.run_id)
    kept = layout.step(run_id, layout.step_run_id(run_id, "a"))
    assert store.read(f"{kept}/files/outputs/note.txt") == b"kept"
    assert not [each.path for each in store.find("data/") if each.path.endswith(".claim.json")]


def test_a_second_run_does_nothing_again(write, one_dag, run_dag, remote_workspace, capfd):
    """A result in an object store is found, and its reference is handed on."""
    write("p.py", HEADER + CHAIN)
    dag = one_dag()
    first = run_dag(dag)

    second = run_dag(dag)

    assert (first.state, second.state) == ("success", "success"), "".join(capfd.readouterr())
    assert (second.states["a"], second.states["b"]) == ("skipped", "skipped")
    assert second.xcom("b", "second") == first.xcom("b", "second")


def test_a_step_reads_what_another_run_has_made(
    write, one_dag, run_dag, remote_workspace, tmp_path, capfd
):
    """The output of a step that is reused is staged by the manifest of the run that made it."""
    write("writing/write.py", (tmp_path / "dags/src/write.py").read_text())
    chain = CHAIN.replace('step("write", "a", ', 'step("write", "a", source="writing", ')
    write("p.py", HEADER + chain)
    assert run_dag(one_dag()).state == "success"
    write("src/read.py", "import os, sys; print('AGAIN', sorted(os.listdir(sys.argv[1])))")

    ran = run_dag(one_dag())

    assert (ran.states["a"], ran.states["b"]) == ("skipped", "success")
    assert "AGAIN ['deep er', 't.csv']" in "".join(capfd.readouterr())


def test_a_hand_written_dag(write, one_dag, run_dag, remote_workspace, cloud):
    """References of remote outputs pass between operators of any DAG."""
    write(
        "p.py",
        """
        from airflow.sdk import DAG
        from airflow_aml import OutputFileDatasetConfig, PythonScriptStepOperator
        with DAG("by_hand"):
            a = PythonScriptStepOperator(
                task_id="a", script_name="write.py", source_directory="src",
                arguments=[OutputFileDatasetConfig("first"), "hello"])
            b = PythonScriptStepOperator(
                task_id="b", script_name="read.py", source_directory="src",
                arguments=[a.output["first"], OutputFileDatasetConfig("second")])
    """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    uri = ran.xcom("b", "second")["uri"]
    assert remote_workspace.store.read(uri[len(cloud.url) + 1 :] + "/upper.txt") == b"HELLO"


def test_the_terminal_runs_in_a_remote_workspace(write, remote_workspace, cloud):
    """`airflow-aml run` needs the same one setting, and the connection in its environment."""
    path = write("p.py", HEADER + CHAIN)

    done = subprocess.run(
        [sys.executable, "-m", "airflow_aml.cli", "run", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert [step["status"] for step in outcome["steps"]] == ["Finished", "Finished"]
    assert outcome["steps"][1]["outputs"]["second"].startswith(f"{cloud.url}/data/")
    assert cloud.secret not in done.stdout + done.stderr


def test_a_default_datastore_in_an_object_store(write, one_dag, run_dag, workspace, cloud, capfd):
    """The workspace stays on disk; uploads and outputs go where the default datastore is."""
    write("data/in.txt", "from the store")
    write(
        "src/copy.py",
        """
        import shutil, sys
        assert open(sys.argv[1]).read() == "from the store", sys.argv
        shutil.copy(sys.argv[1], sys.argv[2] + "/copied.txt")
    """,
    )
    datastores.save_datastore(workspace, cloud.datastore("lake"), {})
    datastores.set_default_datastore(workspace, "lake")
    write(
        "p.py",
        HEADER
        + """
    store.upload_files(["data/in.txt"], target_path="train", overwrite=True)
    one = Dataset.File.from_files((store, "train/in.txt")).as_named_input("one").as_mount()
    out = OutputFileDatasetConfig("out")
    fixed = OutputFileDatasetConfig("fixed", destination=(store, "latest/data"))
    own = OutputFileDatasetConfig("own", destination=(store, "runs/{run-id}"))
    p = Pipeline(ws, [step("copy", "a", arguments=[one, out]),
                      step("copy", "b", arguments=[one, fixed]),
                      step("copy", "c", arguments=[one, own])])
    """,
    )

    ran = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert ran.state == "success", said
    lake = datastores.open_datastore(workspace, "lake")
    files = [each.path for each in lake.find()]
    assert "train/in.txt" in files
    assert "latest/data/copied.txt" in files
    for task, name in (("a", "out"), ("c", "own")):
        uri = ran.xcom(task, name)["uri"]
        assert uri.startswith(f"{lake.url}/")
        assert lake.read(uri[len(lake.url) + 1 :] + "/copied.txt") == b"from the store"
    assert ran.xcom("b", "fixed")["uri"].startswith(workspace.url)
    assert not [path for path in files if "lease" in path or "manifest" in path or "claim" in path]


def test_a_fixed_destination_is_put_right_again(write, one_dag, run_dag, workspace, cloud, capfd):
    """A step whose result is reused does not leave another's files at its destination."""
    datastores.save_datastore(workspace, cloud.datastore("lake"), {})
    datastores.set_default_datastore(workspace, "lake")
    write(
        "p.py",
        HEADER
        + """
    own = OutputFileDatasetConfig("own", destination=(store, "latest/data"))
    p = Pipeline(ws, [step("write", arguments=[own, "hello"])])
    """,
    )
    dag = one_dag()
    assert run_dag(dag).state == "success"
    lake = datastores.open_datastore(workspace, "lake")
    lake.write("latest/data/t.csv", b"another's")

    ran = run_dag(dag)

    assert ran.states["write"] == "success", "".join(capfd.readouterr())
    assert ran.xcom("write")["status"] == "Reused"
    assert lake.read("latest/data/t.csv") == b"x,y\n1,hello\n"


def test_no_secret_is_written_or_said(
    write, one_dag, run_dag, remote_workspace, cloud, tmp_path, capfd
):
    """The key is in the step's environment, and in no document, XCom, log, report or error."""
    write(
        "src/tell.py",
        """
        import json, os, sys
        from airflow_aml import Run
        handed = json.loads(os.environ["AIRFLOW_AML_STORES"])
        assert list(handed) == [os.environ["AIRFLOW__AML__WORKSPACE"]], list(handed)
        assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]
        ws = Run.get_context().experiment.workspace
        ws.get_default_datastore().upload_files(["tell.py"], target_path="from script")
        for folder, _, names in os.walk(".."):
            for name in names:
                with open(os.path.join(folder, name), errors="replace") as f:
                    open(sys.argv[1], "a").write(f.read())
        sys.exit(3)
    """,
    )
    pipeline = f"""
    p = Pipeline(ws, [step("tell", arguments=[{str(tmp_path / "seen.txt")!r}])])
"""
    write("p.py", HEADER + pipeline)

    ran = run_dag(one_dag())

    said = "".join(capfd.readouterr())
    assert ran.state == "failed"
    assert ran.tries("tell") == 1
    assert "exit code 3" in said
    store = remote_workspace.store
    assert store.exists("datastores/workspaceblobstore/from script/tell.py")
    documents = b"\n".join(store.read(each.path) for each in store.find())
    seen = (tmp_path / "seen.txt").read_text()
    assert "PK" in seen  # all that lay around the script, its snapshot for one
    for text in (said, seen, documents.decode(errors="replace"), everything(tmp_path / "scratch")):
        assert cloud.secret not in text
    kept = sorted(Path(os.environ["AIRFLOW_HOME"]).glob("airflow.db*"))
    database = b"".join(path.read_bytes() for path in kept)
    assert b"tell" in database  # rendered fields, XComs, and all that Airflow keeps
    assert cloud.secret.encode() not in database


def test_what_a_step_uploaded_need_not_come_back(
    write, one_dag, run_dag, remote_workspace, cloud, tmp_path
):
    """The next step on the same worker gets the very file, by a hard link to the cache."""
    write(
        "src/read.py",
        """
        import os, sys
        status = os.stat(os.path.join(sys.argv[1], "t.csv"))
        print("LINKS", status.st_nlink, oct(status.st_mode))
        open(os.path.join(sys.argv[2], "links"), "w").write(str(status.st_nlink))
    """,
    )
    write("p.py", HEADER + CHAIN)

    ran = run_dag(one_dag())

    assert ran.state == "success"
    uri = ran.xcom("b", "second")["uri"]
    assert remote_workspace.store.read(uri[len(cloud.url) + 1 :] + "/links") == b"2"


def test_a_registered_output_is_read_by_the_next_pipeline(
    write, parse, run_dag, remote_workspace, capfd
):
    """A dataset of an output is staged by its manifest; a table is read where it is."""
    write(
        "src/table.py",
        """
        from airflow_aml import Run
        print("ROWS", Run.get_context().input_datasets["t"].to_pandas_dataframe().values.tolist())
    """,
    )
    write(
        "a.py",
        HEADER
        + """
    out = OutputFileDatasetConfig("o").register_on_complete(name="made")
    p = Pipeline(ws, [step("write", arguments=[out, "7"])])
    """,
    )
    write(
        "b.py",
        HEADER
        + """
    made = Dataset.get_by_name(ws, "made").as_named_input("m").as_mount()
    some = Dataset.get_by_name(ws, "made").take(1).as_named_input("s").as_mount()
    out = OutputFileDatasetConfig("o2")
    table = Dataset.Tabular.from_delimited_files((store, "csv/*.csv")).as_named_input("t")
    store.upload_files(["t.csv"], target_path="csv")
    p = Pipeline(ws, [step("read", arguments=[made, out]),
                      step("some", arguments=[some]),
                      step("table", inputs=[table], arguments=[table])])
    """,
    )
    write("t.csv", "x\n5\n")
    write("src/some.py", "import os, sys; print('SOME', os.listdir(sys.argv[1]))")
    dags = parse().dags

    assert run_dag(dags["a"]).state == "success"
    ran = run_dag(dags["b"])

    said = "".join(capfd.readouterr())
    assert ran.state == "success", said
    assert "READS" in said
    assert "SOME ['deep er']" in said
    assert "ROWS [[5]]" in said

"""What removing data goes by: documents say whose every file is, and which of it is registered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.definition.data.model import definition_of
from airflow_aml.definition.registered import place_of_uri
from airflow_aml.reuse import gc
from airflow_aml.reuse.roots import Keep
from airflow_aml.workspace import committed, datasets, datastores
from airflow_aml.workspace.datastores import DatastoreRecord, load_datastore
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.stores.base import Store
from scripts import test_servers
from scripts.test_servers import make_container


def test_documents_tell_registered_data_from_intermediate_data(
    write, one_dag, run_dag, workspace, tmp_path
):
    """Every committed output has a manifest that names its place; a registered one has a version
    that names the same place and the step run, also where steps write into a datastore with
    keep_days."""
    (tmp_path / "short").mkdir()
    write("src/two.py", "import sys\nfor p in sys.argv[1:]: open(p + '/a.txt', 'w').write('a')\n")
    write(
        "p.py",
        f"""
        # airflow dag
        from airflow_aml import *
        ws = Workspace()
        store = Datastore.register_local(ws, "short", {str(tmp_path / "short")!r}, keep_days=7)
        kept = OutputFileDatasetConfig("kept", (store, "x/{{run-id}}/kept"))
        kept = kept.register_on_complete("kept")
        passing = OutputFileDatasetConfig("passing", (store, "x/{{run-id}}/passing"))
        own = OutputFileDatasetConfig("own")
        two = PythonScriptStep("two.py", arguments=[kept, passing, own], source_directory="src")
        p = Pipeline(ws, [two])
        """,
    )

    ran = run_dag(one_dag())

    assert ran.state == "success"
    uris = {name: ran.xcom("two", name)["uri"] for name in ("kept", "passing", "own")}
    manifests = {
        json.loads(path.read_text())["uri"]: path
        for path in (workspace.root / "data").glob("*/*.manifest.json")
    }
    assert set(manifests) == set(uris.values())
    found = datasets.get(workspace, "kept").version
    assert definition_of(found.definition).paths == (place_of_uri(uris["kept"], workspace),)
    assert found.origin["step_run"] == manifests[uris["kept"]].parent.name
    assert load_datastore(workspace, "short").keep_days == 7


@pytest.fixture(params=["local", "s3"])
def short(
    request: pytest.FixtureRequest, workspace: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A datastore that keeps what passes through it for a week, and is the default one."""
    if request.param == "local":
        (tmp_path / "short").mkdir()
        record = DatastoreRecord("short", "Local", (tmp_path / "short").as_uri(), keep_days=7)
        datastores.save_datastore(workspace, record, {})
        datastores.set_default_datastore(workspace, "short")
        yield datastores.open_datastore(workspace, "short")
        return
    with test_servers.s3() as server:
        make_container(server, "short")
        login = {"login": server.options["key"], "password": server.options["secret"]}
        extra = {"endpoint_url": server.url, "region_name": "eu-west-1"}
        connection = json.dumps({"conn_type": "aws", **login, "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_CLOUD", connection)
        record = DatastoreRecord("short", "S3", "s3://short/team", {}, "cloud", keep_days=7)
        datastores.save_datastore(workspace, record, {})
        datastores.set_default_datastore(workspace, "short")
        yield datastores.open_datastore(workspace, "short")


PASSING = """
    # airflow dag
    from airflow_aml import *
    ws = Workspace()
    store = ws.get_default_datastore()
    text = PipelineParameter("text", "a")
    passing = OutputFileDatasetConfig("passing")
    kept = OutputFileDatasetConfig("kept").register_on_complete("kept")
    fixed = OutputFileDatasetConfig("fixed", (store, "shop/fixed"))
    write = dict(source_directory="src", script_name="write.py")
    p = Pipeline(ws, [
        PythonScriptStep(name="one", arguments=[text, passing], **write),
        PythonScriptStep(name="two", arguments=[text, kept], **write),
        PythonScriptStep(name="three", arguments=[text, fixed], **write),
    ])
"""


def test_old_intermediate_data_leaves_its_datastore(
    write: Any, one_dag: Any, run_dag: Any, workspace: Home, short: Store
) -> None:
    """A week after a newer good run, gc takes an old run's passing data out of the datastore, and
    neither what is registered nor what lies at a fixed destination; before, it says what it
    would do."""
    write("src/write.py", "import sys\nopen(sys.argv[2] + '/a.txt', 'w').write(sys.argv[1])\n")
    write("p.py", PASSING)
    dag = one_dag()
    old, new = run_dag(dag), run_dag(dag, {"text": "b"})
    uris = {(run, name): run_.xcom(step, name)["uri"]
            for run, run_ in (("old", old), ("new", new))
            for step, name in (("one", "passing"), ("two", "kept"))}  # fmt: skip
    places = {key: _path(short, uri) for key, uri in uris.items()}
    assert all(short.exists(f"{path}/a.txt") for path in places.values())
    short.write("dataset/mine.txt", b"somebody's")

    def found(days: float) -> gc.Garbage:
        later = datetime.now(UTC) + timedelta(days=days)
        return gc.plan(workspace, Keep(older_than=90 * 86400.0, at=later))

    assert [each.path for each in found(6).items if each.kind == "output"] == []
    garbage = found(8)
    assert [each.path for each in garbage.items if each.kind == "output"] == [
        uris["old", "passing"]
    ]
    assert all(short.exists(f"{path}/a.txt") for path in places.values())

    freed = gc.collect(workspace, garbage, 0.0)

    assert freed.failed == freed.spared == ()
    there = {key for key, path in places.items() if short.exists(f"{path}/a.txt")}
    assert there == set(places) - {("old", "passing")}
    assert short.read("shop/fixed/a.txt") == b"b"
    assert short.read("dataset/mine.txt") == b"somebody's"
    assert committed.find_document(workspace, uris["old", "passing"]) is None
    assert [each.path for each in found(9).items if each.kind == "output"] == []


def test_a_folder_that_is_registered_keeps_what_is_in_it(
    write: Any, one_dag: Any, run_dag: Any, workspace: Home, short: Store
) -> None:
    """A dataset over a folder or a pattern keeps every run's data below it; what somebody wrote
    over stays as well."""
    write("src/write.py", "import sys\nopen(sys.argv[2] + '/a.txt', 'w').write(sys.argv[1])\n")
    write("p.py", PASSING)
    dag = one_dag()
    old = run_dag(dag)
    run_dag(dag, {"text": "b"})
    path = _path(short, old.xcom("one", "passing")["uri"])
    for named in ("dataset/", "dataset/*/passing/*.txt"):
        place = {"kind": "datastore_path", "datastore": "short", "path": named}
        definition = {"kind": "files", "paths": [place]}
        datasets.register(workspace, "all", datasets.DatasetVersion(named, definition))
        _collect(workspace, 8)
        assert short.exists(f"{path}/a.txt"), named
        datasets.remove_all(workspace, "all")

    if short.local_root is not None:
        Path(short.local_root, path, "a.txt").chmod(0o644)
        Path(short.local_root, path).chmod(0o755)
    short.write(f"{path}/a.txt", b"mine now")
    _collect(workspace, 8)
    assert short.read(f"{path}/a.txt") == b"mine now"


def _collect(workspace: Home, days: float) -> None:
    later = datetime.now(UTC) + timedelta(days=days)
    gc.collect(workspace, gc.plan(workspace, Keep(older_than=90 * 86400.0, at=later)), 0.0)


def _path(store: Store, uri: str) -> str:
    return uri[len(store.url) + 1 :]

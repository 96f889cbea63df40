"""Opening a workspace: who may, where it is, and what it is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_aml.errors import NotServedError, WorkspaceException
from airflow_aml.workspace.home import default_url, open_home, path_of_uri, uri_of_path


def test_first_opening_creates_and_the_next_finds(tmp_path: Path) -> None:
    """A workspace is created once and keeps its identity."""
    url = f"file://{tmp_path}/team/aml"
    first = open_home(url, name="team")
    assert open_home(url, name="team") == first
    assert (first.url, first.name, first.root) == (url, "team", tmp_path / "team" / "aml")
    document = json.loads((first.root / "workspace.json").read_text())
    assert document == {"uuid": first.uuid, "layout_version": 1}
    assert os.listdir(first.root) == ["workspace.json"]


def test_many_processes_at_once_agree(tmp_path: Path) -> None:
    """Twenty processes that open a new workspace in the same moment all get one identity."""
    program = (
        "import os, sys, time\n"
        "from airflow_aml.workspace.home import open_home\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(open_home(sys.argv[1]).uuid)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "aml")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(20)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate()[0] for process in processes}
    assert len(answers) == 1
    assert os.listdir(tmp_path / "aml") == ["workspace.json"]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"uuid": 7, "layout_version": 1}', '{"uuid": "x"}']
)
def test_garbage_is_refused(tmp_path: Path, text: str) -> None:
    """A document that is no workspace's is named, and left alone."""
    (tmp_path / "workspace.json").write_text(text)
    with pytest.raises(WorkspaceException, match=r"workspace\.json"):
        open_home(str(tmp_path))
    assert (tmp_path / "workspace.json").read_text() == text


def test_later_layout_is_refused(tmp_path: Path) -> None:
    """A workspace of a later release is not touched, and the text says to upgrade."""
    home = open_home(str(tmp_path))
    document = {"uuid": home.uuid, "layout_version": 2}
    (tmp_path / "workspace.json").write_text(json.dumps(document))
    with pytest.raises(WorkspaceException, match=r"later release .* Upgrade"):
        open_home(str(tmp_path))


@pytest.mark.parametrize("scheme", ["gs", "wasbs", "http"])
def test_other_schemes_are_refused(scheme: str) -> None:
    """Another kind of store is refused by the name of its scheme, and the text says which serve."""
    with pytest.raises(NotServedError, match=rf"'{scheme}'.*abfss.*s3"):
        open_home(f"{scheme}://bucket/aml")


@pytest.mark.parametrize("url", ["aml", "./aml", "~/aml", "", "file://other-host/aml"])
def test_what_names_no_folder_is_refused(url: str) -> None:
    """A relative path or another machine's is no workspace here."""
    with pytest.raises(WorkspaceException):
        open_home(url)


def test_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    """A file in the way is named in the error, with the setting that leads elsewhere."""
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceException, match="AIRFLOW__AML__WORKSPACE"):
        open_home(str(tmp_path / "file" / "aml"))


def test_default_is_inside_the_airflow_home() -> None:
    """The setting wins, then AIRFLOW_HOME, then the usual home."""
    assert default_url({"AIRFLOW__AML__WORKSPACE": "s3://b/x", "AIRFLOW_HOME": "/a"}) == "s3://b/x"
    assert default_url({"AIRFLOW_HOME": "/a b/%41"}) == "file:///a%20b/%2541/aml"
    assert default_url({}) == uri_of_path(os.path.expanduser("~/airflow/aml"))


def test_paths_stay_inside(tmp_path: Path) -> None:
    """A place is inside the workspace, or it is refused."""
    home = open_home(str(tmp_path / "a b"))
    assert home.path("data/x/out put") == tmp_path / "a b" / "data" / "x" / "out put"
    assert home.uri("data/x/out put") == f"file://{tmp_path}/a%20b/data/x/out%20put"
    for relative in ("../x", "data/../../x", "/etc/passwd"):
        with pytest.raises(WorkspaceException, match="not inside"):
            home.path(relative)


def test_uris_that_people_write(tmp_path: Path) -> None:
    """What is not escaped, but should be, still means what it says."""
    assert path_of_uri("file:///data/50%/é x#1?") == "/data/50%/é x#1?"
    assert path_of_uri("file://localhost/data") == "/data"
    assert path_of_uri("file:/data") == "/data"
    assert path_of_uri("FILE:///data") == "/data"
    with pytest.raises(NotServedError):
        path_of_uri("/data")


@given(st.binary(max_size=40).map(lambda raw: b"/" + raw.replace(b"\0", b"")))
def test_every_path_survives_its_uri(raw: bytes) -> None:
    """Spaces, percent signs, any script, and names that are no text at all come back the same."""
    path = os.fsdecode(raw)
    uri = uri_of_path(path)
    assert uri.isascii()
    assert path_of_uri(uri) == path


def test_who_only_looks_makes_no_workspace(tmp_path: Path) -> None:
    """What is not there is an empty workspace until somebody opens it to use it."""
    for url in (str(tmp_path / "new"), f"memory://{uuid.uuid4().hex}/aml"):
        looked = open_home(url, create=False)
        assert not looked.is_made
        assert list(looked.store.find("")) == []
        made = open_home(url)
        assert made.is_made
        assert open_home(url, create=False) == made

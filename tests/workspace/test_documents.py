"""Documents are there whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.documents import create_json, read_json, write_json


def test_readers_never_see_half_a_document(tmp_path: Path) -> None:
    """While one writes again and again, others read only whole documents."""
    path = tmp_path / "plan.json"
    write_json(path, {"n": 0, "text": "x" * 100_000})
    done = threading.Event()
    seen = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(read_json(path)["text"]))

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(50):
        write_json(path, {"n": n, "text": "x" * 100_000}, durable=False)
    done.set()
    reader.join()
    assert set(seen) == {100_000}
    assert os.listdir(tmp_path) == ["plan.json"]


def test_what_cannot_be_written_leaves_the_old(tmp_path: Path) -> None:
    """A value that is no JSON changes nothing and leaves nothing."""
    path = tmp_path / "plan.json"
    write_json(path, {"ä": "\ud800"})
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert read_json(path) == {"ä": "\ud800"}
    assert os.listdir(tmp_path) == ["plan.json"]


def test_only_one_creates(tmp_path: Path) -> None:
    """Whoever comes second is told, and the first one's text stays."""
    path = tmp_path / "lease.json"
    assert create_json(path, 1) is True
    assert create_json(path, 2) is False
    assert read_json(path) == 1
    assert os.listdir(tmp_path) == ["lease.json"]


def test_disk_without_hard_links(tmp_path: Path, monkeypatch) -> None:
    """Where the disk has no hard links, only one creates all the same."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "lease.json"
    assert [create_json(path, 1), create_json(path, 2)] == [True, False]
    assert read_json(path) == 1
    assert os.listdir(tmp_path) == ["lease.json"]


def test_damage_is_named(tmp_path: Path) -> None:
    """A damaged document is an error that says which one."""
    (tmp_path / "x.json").write_bytes(b"{\xff")
    with pytest.raises(WorkspaceException, match=r"x\.json.*damaged"):
        read_json(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "y.json")

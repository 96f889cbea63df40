from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from airflow_aml.errors import UserErrorException
from airflow_aml.reuse import environment, layout
from airflow_aml.reuse.environment import Environment, installed, of_interpreter, of_this_process
from airflow_aml.workspace.home import Home


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The interpreter of another virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return tmp_path / "venv" / "bin" / "python"


def site_packages(interpreter: Path) -> Path:
    return next((interpreter.parent.parent / "lib").glob("python*")) / "site-packages"


def test_this_interpreters_packages_are_what_pip_would_list() -> None:
    """Names and versions agree with the standard library's slow way, for all packages here."""
    ours = of_this_process()
    assert ours.python == ".".join(map(str, sys.version_info[:3]))
    for name in ("hypothesis", "apache-airflow-core", "ruff"):
        assert ours.packages[name] == metadata.version(name)
    assert len(ours.packages) > 50


def test_listing_takes_milliseconds() -> None:
    """It is done in every run, so it may cost next to nothing."""
    best = 9.0
    for _ in range(5):
        started = time.process_time()
        installed(sys.path)
        best = min(best, time.process_time() - started)
    assert best < 0.02


def test_a_new_version_of_a_package_is_another_environment(tmp_path: Path) -> None:
    """The digest changes with a version and comes back with it; time and order do not count."""
    old = Environment("cpython", "3.11.7", {"a": "1", "b": "2"})
    assert Environment("cpython", "3.11.7", {"b": "2", "a": "1"}).digest == old.digest
    for other in (
        Environment("cpython", "3.11.7", {"a": "1", "b": "3"}),
        Environment("cpython", "3.11.7", {"a": "1"}),
        Environment("cpython", "3.11.8", {"a": "1", "b": "2"}),
        Environment("pypy", "3.11.7", {"a": "1", "b": "2"}),
        environment.of_image("sha256:1"),
    ):
        assert other.digest != old.digest


def test_every_kind_of_installation_is_seen(tmp_path: Path) -> None:
    """Wheels, eggs, and what setup.py develop leaves; names are normalised."""
    for name in ("Scikit_Learn-1.5.0.dist-info", "old.pkg-0.9-py3.11.egg-info"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.egg-info").mkdir()
    (tmp_path / "mine.egg-info" / "PKG-INFO").write_text("Name: mine\nVersion: 2.0\n")
    (tmp_path / "bare-1.1.egg-info").write_text("Name: bare\nVersion: 1.1\n")
    (tmp_path / "numpy").mkdir()
    assert installed([str(tmp_path)]) == {
        "bare": "1.1",
        "mine": "2.0",
        "old-pkg": "0.9",
        "scikit-learn": "1.5.0",
    }


def test_the_first_on_the_path_counts(tmp_path: Path) -> None:
    """A package that hides another is the one that a script imports."""
    for folder, version in (("first", "1"), ("second", "2")):
        (tmp_path / folder / f"a-{version}.dist-info").mkdir(parents=True)
    folders = [str(tmp_path / "no folder"), "", *(str(tmp_path / n) for n in ("first", "second"))]
    assert installed(folders) == {"a": "1"}


def test_another_interpreter_is_asked_once(other: Path, caches: Path) -> None:
    """The second time its answer comes from the cache, and what is installed then is seen."""
    first = of_interpreter(str(other))
    assert "hypothesis" not in first.packages
    (memory,) = (caches / "interpreters").iterdir()
    written = memory.stat().st_mtime_ns
    assert of_interpreter(str(other)) == first
    assert memory.stat().st_mtime_ns == written
    (site_packages(other) / "new_thing-3.1.dist-info").mkdir()
    assert of_interpreter(str(other)).packages == {**first.packages, "new-thing": "3.1"}


def test_a_pth_file_that_came_later_is_followed(other: Path, tmp_path: Path) -> None:
    """A folder that is added to an interpreter's path counts from the next run on."""
    of_interpreter(str(other))
    (tmp_path / "more" / "linked-1.0.dist-info").mkdir(parents=True)
    (site_packages(other) / "more.pth").write_text(str(tmp_path / "more"))
    assert of_interpreter(str(other)).packages["linked"] == "1.0"


def test_a_lost_or_garbled_cache_costs_time_only(other: Path, caches: Path) -> None:
    """Whatever is in the cache, the answer is right."""
    first = of_interpreter(str(other))
    (memory,) = (caches / "interpreters").iterdir()
    for text in ("", "{", "[]", '{"marks": 1}'):
        memory.write_text(text)
        assert of_interpreter(str(other)) == first


@pytest.mark.parametrize("kind", ["missing", "no python", "not executable"])
def test_what_is_no_interpreter_is_named(tmp_path: Path, kind: str) -> None:
    """A wrong interpreter is one clear error."""
    path = tmp_path / "python"
    if kind != "missing":
        path.write_text("#!/bin/sh\nexit 3\n")
        os.chmod(path, 0o755 if kind == "no python" else 0o644)
    with pytest.raises(UserErrorException, match=str(path)):
        of_interpreter(str(path))


def test_an_environment_is_listed_once_in_the_workspace(home: Home) -> None:
    """What explain needs to name a package is kept under the digest."""
    ours = of_this_process()
    digest = environment.keep(ours, home)
    assert environment.keep(ours, home) == digest == ours.digest
    assert environment.load(digest, home) == ours
    assert environment.load("sha256:unknown", home) is None
    home.store.write(layout.environment("sha256:bad"), b"[]")
    assert environment.load("sha256:bad", home) is None

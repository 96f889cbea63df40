"""Python versions that a machine does not have, where a site lets uv download them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.reuse.software import Lock, Site, interpreter_of, lock_of, wish_of
from airflow_aml.reuse.software.pythons import find_python, installed, own_version
from airflow_aml.workspace.home import open_home

OTHERS = {version: path for version, path in installed().items() if version != own_version()}
LEFT_OUT = ("test", "__pycache__", "site-packages", "idlelib", "config-")

pytestmark = pytest.mark.skipif(
    not OTHERS or sys.platform != "linux",
    reason="this machine has one Python alone, so that none can be packed as a download",
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Another Python of this machine, packed as those that uv downloads: version, archive."""
    version = max(OTHERS, key=lambda each: int(each.split(".")[1]))
    root = subprocess.check_output(
        [OTHERS[version], "-c", "import sys; print(sys.base_prefix)"], text=True
    ).strip()
    archive = tmp_path_factory.mktemp("mirror") / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for part in (f"bin/python{version}", f"lib/python{version}"):
            tar.add(Path(root, part), f"python/{part}", filter=without_tests)
    return version, archive


def without_tests(member):
    name = os.path.basename(member.name)
    return None if name.startswith(LEFT_OUT) else member


@pytest.fixture
def offer(packed, tmp_path, monkeypatch):
    """A machine that has our Python alone; a function that says what uv finds at its source."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "no-pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("AIRFLOW__AML__PYTHON_DOWNLOADS", "True")
    version, archive = packed

    def offered(url="", digest=""):
        family = platform.machine()
        entry = {
            "name": "cpython",
            "arch": {"family": family, "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": 3,
            "minor": int(version.split(".")[1]),
            "patch": 0,
            "prerelease": "",
            "url": url or archive.as_uri(),
            "sha256": digest or hashlib.sha256(archive.read_bytes()).hexdigest(),
            "variant": None,
            "build": None,
        }
        listing = tmp_path / "downloads.json"
        listing.write_text(json.dumps({f"cpython-{version}.0-linux-{family}-gnu": entry}))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(listing))
        return version

    return offered


def test_a_version_that_is_not_there_is_downloaded_once(offer):
    """A step's environment is made of it, it says so, and later ones take it from the disk."""
    version = offer()
    said = []

    interpreter = interpreter_of(Lock(version, {"six": "1.16.0"}), said.append)
    find_python(version, said.append)

    shown = subprocess.check_output(
        [interpreter, "-c", "import six, sys; print(six.__version__, *sys.version_info[:2])"],
        text=True,
    )
    assert shown.split() == ["1.16.0", *version.split(".")]
    assert said.count(f"downloading Python {version}") == 1
    assert said[1].startswith(f"environment built: Python {version}")


def test_a_run_that_locks_downloads_it(offer, tmp_path):
    """The packages that fit are those for the downloaded one."""
    version = offer()
    home = open_home(str(tmp_path / "workspace"))
    wish = wish_of(EnvironmentSpec(python_version=version, pip_packages=("six",)), Site(), home)

    assert lock_of(wish, home).python == version
    assert find_python(version).startswith(os.environ["UV_PYTHON_INSTALL_DIR"])


def test_many_who_need_it_at_once_get_one(offer):
    """uv waits for uv, and none sees half an interpreter."""
    version = offer()
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: find_python(version), range(8)))

    assert len(paths) == 1
    subprocess.run([*paths, "-c", "import json, ctypes"], check=True)


def test_nothing_is_downloaded_where_nobody_has_allowed_it(offer, monkeypatch):
    """The error names the setting that would."""
    version = offer()
    monkeypatch.setenv("AIRFLOW__AML__PYTHON_DOWNLOADS", "False")

    with pytest.raises(UserErrorException, match=r"this machine has none.*python_downloads = True"):
        find_python(version)
    assert not os.path.exists(os.environ["UV_PYTHON_INSTALL_DIR"])


def test_a_version_that_nobody_offers_is_refused_with_what_is_there(offer):
    """uv's own sentence, what the machine has, and the setting that takes another one."""
    offer()
    with pytest.raises(UserErrorException) as refused:
        find_python("3.19")

    text = str(refused.value)
    assert f"it has {own_version()}, and none can be downloaded. uv says:" in text
    assert "No download found" in text
    assert f'python_versions = {{"3.19": "{own_version()}"}}' in text


def test_a_source_that_does_not_answer_may_answer_later(offer, monkeypatch):
    """The task is tried again, as with an index of packages that does not answer."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    version = offer("http://127.0.0.1:9/python.tar.gz")

    with pytest.raises(WorkspaceException, match="Connection refused"):
        find_python(version)


def test_what_is_not_what_was_promised_is_not_used(offer):
    """A download with another checksum leaves nothing behind that a step could run with."""
    version = offer(digest="0" * 64)

    with pytest.raises(UserErrorException, match="Hash mismatch"):
        find_python(version)
    assert version not in installed()

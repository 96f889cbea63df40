"""Environments on one machine: built once, never half, and seen to be changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.reuse.software import Lock, Site, interpreter_of, lock_of, wish_of
from airflow_aml.reuse.software.pythons import installed

SIX = Lock("3.11", {"six": "1.16.0"})
SHOW = "import six; print(six.__version__)"
ASK = """
import sys
from airflow_aml.reuse.software import Lock, interpreter_of
print(interpreter_of(Lock("3.11", {"six": "1.16.0"}), lambda text: print(text, file=sys.stderr)))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A machine that has built nothing yet."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "environments"


def run(interpreter, program):
    done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_twenty_who_ask_at_once_get_one_build():
    """One builds, nineteen wait for it, all get the same interpreter."""
    said = []
    with ThreadPoolExecutor(20) as pool:
        paths = list(pool.map(lambda _: interpreter_of(SIX, said.append), range(20)))

    assert len(set(paths)) == 1
    assert len([each for each in said if each.startswith("environment built")]) == 1
    assert run(paths[0], SHOW) == "1.16.0"


def test_two_processes_get_one_build(cache):
    """The same holds between processes, which is what steps are."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = [each.communicate() for each in asking]

    assert len({path for path, _ in answers}) == 1
    assert "".join(said for _, said in answers).count("environment built") == 1


def test_a_build_that_was_killed_is_made_again(cache):
    """Nothing half-built is used: without its mark an environment does not count."""
    asking = subprocess.Popen([sys.executable, "-c", ASK], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(cache.glob("*/0/pyvenv.cfg")) and time.monotonic() < deadline:
        time.sleep(0.005)
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    for mark in cache.glob("*/0.json"):  # it was faster than we
        mark.unlink()

    assert run(interpreter_of(SIX), SHOW) == "1.16.0"
    assert len(list(cache.glob("*/*.json"))) == 1


@pytest.mark.parametrize("change", ["edited", "added", "removed"])
def test_one_that_was_changed_by_hand_is_built_anew(cache, change):
    """It says so, and whoever still runs in the changed one keeps it."""
    first = interpreter_of(SIX)
    (module,) = Path(first).parents[1].glob("lib/python*/site-packages/six.py")
    if change == "edited":
        module.write_text(module.read_text().replace("1.16.0", "6.6.6"))
    elif change == "added":
        module.with_name("sneaked_in.py").write_text("")
    else:
        module.unlink()
    said = []

    again = interpreter_of(SIX, said.append)

    assert "was changed by hand" in said[0]
    assert again != first
    assert os.path.exists(first)
    assert run(again, SHOW) == "1.16.0"
    assert interpreter_of(SIX) == again


def test_running_in_it_is_no_change():
    """What Python compiles by itself is not taken for somebody's hand."""
    first = interpreter_of(SIX)
    run(first, SHOW)

    assert interpreter_of(SIX) == first


def test_a_package_that_cannot_be_had_is_uvs_own_explanation():
    """A version that no index has fails with what uv says, and is not tried again."""
    with pytest.raises(UserErrorException, match=r"cannot be installed. uv says:[\s\S]*six"):
        interpreter_of(Lock("3.11", {"six": "99.99"}))


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    """What is in the way of the disk may be gone at the next try, and says which folder it is."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "file"))

    with pytest.raises(WorkspaceException, match=r"cannot be built.*AIRFLOW_AML_CACHE"):
        interpreter_of(SIX)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """uv's own words, as a failure that Airflow may try again; what was half-built is removed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(disk))
    try:
        with pytest.raises(WorkspaceException, match="No space left on device"):
            interpreter_of(SIX)
        assert not list(disk.glob("environments/*/0"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("version", [each for each in ("3.8", "3.12") if each in installed()])
def test_another_python_is_used_where_the_machine_has_it(workspace, version):
    """python=3.8 in the wish is the version that the script runs in."""
    spec = EnvironmentSpec(python_version=f"{version}.1", pip_packages=("six==1.16.0",))

    lock = lock_of(wish_of(spec, Site(), workspace), workspace)

    show = "import sys, six; print('%d.%d' % sys.version_info[:2], six.__version__)"
    assert run(interpreter_of(lock), show) == f"{version} 1.16.0"

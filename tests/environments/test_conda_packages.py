"""Conda packages that PyPI does not have, on machines with micromamba (a stand-in for it here)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from airflow_aml.cli import main
from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.reuse.software import Site, activation_of, interpreter_of, lock_of, wish_of

STANDIN = Path(__file__).with_name("standin_micromamba.py")
PIPELINE = """
    # airflow dag
    from airflow_aml import CondaDependencies, Pipeline, PythonScriptStep, RunConfiguration

    config = RunConfiguration()
    config.environment.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["openjdk", "six=1.16.0"]
    )
    step = PythonScriptStep("call.py", name="call", source_directory=".", runconfig=config)
    pipeline = Pipeline("ws", [step])
"""
CALL = "import os, subprocess, six; subprocess.run(['java'], check=True)\n"
JAVA = "#!/bin/sh\necho java {} of $JAVA_HOME\n"


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with a cache of its own and micromamba on PATH."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "micromamba"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MAMBA_EXE", raising=False)
    return program


@pytest.fixture
def channel(tmp_path):
    """A channel on the disk; a function that releases a package into it."""
    folder = tmp_path / "channel"
    listed = {"noarch": {}, "linux-64": {}}
    for subdir in listed:
        (folder / subdir).mkdir(parents=True)

    def release(version):
        java = {
            "bin/java": JAVA.format(version),
            "etc/conda/activate.d/openjdk.sh": "export JAVA_HOME=$CONDA_PREFIX/lib/jvm\n",
        }
        listed["linux-64"].update(
            [
                archive(folder / "linux-64", "openjdk", version, java, depends=["libjvm"]),
                archive(folder / "linux-64", "libjvm", "1.0", {"lib/jvm/release": "1.0"}),
            ]
        )
        for subdir, packages in listed.items():
            data = {"info": {"subdir": subdir}, "packages": packages, "repodata_version": 1}
            (folder / subdir / "repodata.json").write_text(json.dumps(data))
        return Site(channels=(folder.as_uri(),))

    return release


def archive(folder, name, version, files, depends=()):
    """A conda package with these files: its name in the folder, and what a channel says of it."""
    index = {
        "name": name,
        "version": version,
        "build": "h1_0",
        "build_number": 0,
        "depends": list(depends),
        "subdir": "linux-64",
    }
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "size_in_bytes": len(text),
        }
        for path, text in files.items()
    ]
    about = {
        "info/index.json": json.dumps(index),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        "info/files": "\n".join(files),
    }
    place = folder / f"{name}-{version}-h1_0.tar.bz2"
    with tarfile.open(place, "w:bz2") as tar:
        for path, text in {**files, **about}.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text), 0o755 if path.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(text.encode()))
    data = place.read_bytes()
    checked = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    return place.name, {**index, **checked, "size": len(data)}


def lock(workspace, site, *conda, pip=(), **more):
    wish = wish_of(EnvironmentSpec(pip_packages=pip, conda_packages=conda), site, workspace)
    return lock_of(wish, workspace, **more)


def test_a_program_comes_beside_the_python_packages(workspace, channel):
    """``java`` runs, finds its home, and the Python beside it is uv's."""
    site = channel("8.0.4")
    made = lock(workspace, site, "python=3.11", "openjdk=8", "six=1.16.0")
    said = []

    interpreter = interpreter_of(made, said.append)

    activation = activation_of(interpreter)
    java = subprocess.check_output(
        ["java"],
        env={**activation.variables, "PATH": os.pathsep.join([*activation.path, "/usr/bin:/bin"])},
        text=True,
    )
    assert java.strip() == f"java 8.0.4 of {activation.variables['CONDA_PREFIX']}/lib/jvm"
    assert made.requirements == ("six==1.16.0",)
    assert "3 packages" in said[0]
    subprocess.run([interpreter, "-c", "import six"], check=True)
    assert interpreter_of(made, said.append) == interpreter


def test_the_lock_stays_whatever_is_released_since(workspace, channel):
    """A newer openjdk counts for who locks anew, and changes the digest that steps are run by."""
    site = channel("8.0.4")
    before = lock(workspace, site, "openjdk")
    channel("11.0.1")

    assert lock(workspace, site, "openjdk") == before
    after = lock(workspace, site, "openjdk", anew=True)
    assert before.environment.packages["conda:openjdk"] == "8.0.4=h1_0"
    assert after.environment.packages["conda:openjdk"] == "11.0.1=h1_0"
    assert before.digest != after.digest


def test_a_program_that_was_changed_by_hand_is_seen(workspace, channel):
    """Its environment is built anew, as with Python packages."""
    made = lock(workspace, channel("8.0.4"), "openjdk")
    first = interpreter_of(made)
    java = Path(first).parents[1] / "conda" / "bin" / "java"
    java.write_text("#!/bin/sh\necho mine\n")
    said = []

    assert interpreter_of(made, said.append) != first
    assert "was changed by hand" in said[0]


def test_a_site_names_what_else_is_from_a_channel(workspace, channel):
    """Its table says so for a package that we take for one of PyPI's."""
    site = channel("8.0.4")
    (url,) = site.channels
    mine = Site(packages={"java-for-us": f"{url.rpartition('/')[2]}::openjdk"}, channels=(url,))

    wish = wish_of(EnvironmentSpec(conda_packages=("java-for-us",)), mine, workspace)

    assert wish.conda == ("channel::openjdk",)
    assert wish.requirements == ()


def test_what_no_channel_has_is_micromambas_explanation(workspace, channel):
    """Its own text, and nothing is tried again."""
    with pytest.raises(UserErrorException) as refused:
        lock(workspace, channel("8.0.4"), "openjdk=17")

    assert "conda's openjdk=17 cannot be had. micromamba says:" in str(refused.value)
    assert "openjdk" in str(refused.value).partition("says:")[2]


def test_a_worker_without_micromamba_says_that_others_have_it(workspace, channel, machine):
    """The run was planned where there is one."""
    made = lock(workspace, channel("8.0.4"), "openjdk")
    machine.unlink()

    with pytest.raises(UserErrorException, match=r"micromamba is not on this machine.*all workers"):
        interpreter_of(made)


def test_without_micromamba_the_package_is_refused_by_name(workspace, machine):
    """The text says all that can be done."""
    machine.unlink()

    with pytest.raises(NotServedError, match=r"openjdk=8.*micromamba on PATH.*\[aml\] packages"):
        lock(workspace, Site(), "openjdk=8")


def test_beside_an_image_there_are_python_packages_alone(workspace):
    """A container's programs are its image's, also where the worker has micromamba."""
    spec = EnvironmentSpec(conda_packages=("openjdk=8",), image="python:3.11")

    with pytest.raises(NotServedError, match=r"openjdk=8.*beside an image.*\"openjdk\": null"):
        wish_of(spec, Site(), workspace, contained=True)


def test_an_answer_of_another_kind_is_told(workspace, machine):
    """A micromamba that answers otherwise is no reason for a traceback."""
    machine.write_text("#!/bin/sh\necho '{\"success\": true}'\n")

    with pytest.raises(UserErrorException, match=r"answer is not understood.*actions\.LINK"):
        lock(workspace, Site(), "openjdk=8")


def test_a_step_calls_the_program_and_a_newer_one_runs_it_again(
    write, one_dag, run_dag, channel, monkeypatch, capfd
):
    """The second run is reused; after locking anew the reason names the package."""
    (url,) = channel("8.0.4").channels
    monkeypatch.setenv("AIRFLOW__AML__CONDA_CHANNELS", url)
    monkeypatch.setenv("JAVA_HOME", "/opt/another")
    write("call.py", CALL)
    path = str(write("pipeline.py", PIPELINE))

    assert run_dag(one_dag()).state == "success"
    said = "".join(capfd.readouterr())
    assert "java 8.0.4 of " in said
    assert "/conda/lib/jvm" in said
    assert run_dag(one_dag()).states["call"] == "skipped"

    channel("11.0.1")
    capfd.readouterr()
    assert main(["environments", path, "--lock"]) == 0
    assert "conda:openjdk=11.0.1=h1_0" in capfd.readouterr().out
    assert main(["plan", path]) == 3
    reason = "package conda:openjdk changed from 8.0.4=h1_0 to 11.0.1=h1_0"
    assert reason in capfd.readouterr().out
    assert run_dag(one_dag()).states["call"] == "success"
    assert "java 11.0.1 of " in "".join(capfd.readouterr())

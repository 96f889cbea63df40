"""The floors that travel with a step run in every interpreter that a step may bring."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from laboratory import Lab

import airflow_aml
from airflow_aml.runtime.job import (
    RUNTIME_ERROR,
    InputRef,
    JobInput,
    OutputRef,
    StepReport,
    Text,
)

PACKAGE = Path(airflow_aml.__file__).parent


def interpreters() -> dict[str, str]:
    """Version -> path of every Python that this machine offers."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates = [str(path) for path in sorted(pyenv.glob("*/bin/python"))]
    candidates += [shutil.which(f"python3.{minor}") or "" for minor in range(6, 16)]
    found: dict[str, str] = {}
    for path in filter(None, candidates):
        ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            found.setdefault(answer.stdout.strip(), path)
    return found


FOUND = interpreters()


def minor(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


SERVED = sorted((v for v in FOUND if minor(v) >= (3, 8)), key=minor)
OLD = sorted((v for v in FOUND if (3, 7) <= minor(v) < (3, 8)), key=minor)


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """An environment in which the package is importable and nothing else of ours is."""
    place = tmp_path / "only"
    place.mkdir()
    (place / "airflow_aml").symlink_to(PACKAGE)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("version", SERVED or [pytest.param("", marks=pytest.mark.skip("none"))])
def test_step_runs_in(lab: Lab, alone: dict, version: str) -> None:
    """A step with inputs, outputs and a view is staged, run and committed by that Python."""
    (lab.folder / "in").mkdir()
    for name in ("a", "b"):
        (lab.folder / "in" / name).write_text(name)
    script = (
        "import os, sys\n"
        "names = sorted(os.listdir(sys.argv[1]))\n"
        "open(os.path.join(sys.argv[2], 'names'), 'w').write(','.join(names))\n"
        "open('outputs/log', 'w').write('x')\n"
        "print('%d.%d' % sys.version_info[:2], 'caf\\u00e9', sys.argv[3])\n"
    )
    job = lab.job(
        script,
        interpreter=FOUND[version],
        inputs=(JobInput("in", (f"{lab.folder}/in/*",)),),
        outputs=("out",),
        arguments=(InputRef("in"), OutputRef("out"), Text("ü")),
    )
    command = [FOUND[version], "-m", "airflow_aml.runtime", str(job.write())]
    ended = subprocess.run(command, env=alone, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode() == f"{version} café ü\n"
    report = StepReport.read(job.report_path)
    assert report.outcome == "finished"
    assert Path(job.outputs[0].destination, "names").read_text() == "a,b"
    assert Path(job.record, "files", "outputs", "log").read_text() == "x"


@pytest.mark.parametrize("version", SERVED or [pytest.param("", marks=pytest.mark.skip("none"))])
def test_workspace_floor_runs_in(alone: dict, tmp_path: Path, version: str) -> None:
    """That Python opens a workspace and takes the snapshot that every other takes."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print(1)\n")
    (tmp_path / "src" / "é x.txt").write_text("ü")
    (tmp_path / "src" / ".amlignore").write_text("*.log\n")
    (tmp_path / "src" / "x.log").write_text("")
    program = (
        "import sys\n"
        "from airflow_aml.workspace import home, manifests, snapshots\n"
        "place = home.open_home(sys.argv[2])\n"
        "snapshot = snapshots.take(sys.argv[1], place)\n"
        "snapshots.extract(snapshot.path, sys.argv[3])\n"
        "print(snapshot.digest, len(manifests.build(sys.argv[3]).files))\n"
    )
    places = [str(tmp_path / name) for name in ("src", "ws", "out")]
    command = [FOUND[version], "-c", program, *places]
    ended = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    digest, files = ended.stdout.split()
    from airflow_aml.workspace.home import open_home
    from airflow_aml.workspace.snapshots import take

    assert (digest, files) == (take(tmp_path / "src", open_home(places[1])).digest, "3")


@pytest.mark.parametrize("version", OLD or [pytest.param("", marks=pytest.mark.skip("none"))])
def test_older_interpreter_is_refused_by_name(alone: dict, version: str) -> None:
    """A Python that is too old says so, and which one is needed."""
    command = [FOUND[version], "-m", "airflow_aml.runtime", "job.json"]
    ended = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert ended.returncode == RUNTIME_ERROR
    assert re.search(rf"need Python 3\.8 or later; .* is Python {version}", ended.stderr)


def test_only_the_standard_library_is_imported(lab: Lab) -> None:
    """What every step pays for at its start stays small, and is none of Airflow's."""
    program = "import json, sys, airflow_aml.runtime.entry; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n{program}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(answer.stdout))
    heavy = {"airflow", "asyncio", "dataclasses", "inspect", "logging", "pathlib", "shutil"}
    heavy |= {"tempfile", "typing_extensions", "urllib.parse", "zipfile", "uuid", "hashlib"}
    assert loaded & heavy == set()
    assert not [name for name in loaded if name.startswith("airflow_aml.definition")]


def test_overhead_is_small(lab: Lab) -> None:
    """Running a trivial script as a step costs little more than starting a second Python."""
    job = lab.job("pass")
    path = str(job.write())
    script = os.path.join(job.work, "script.py")
    Path(script).write_text("pass")

    def seconds(*arguments: str) -> float:
        shutil.rmtree(os.path.join(job.work, "src"), ignore_errors=True)
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True)
        return time.perf_counter() - started

    rounds = [(seconds(script), seconds("-m", "airflow_aml.runtime", path)) for _ in range(7)]
    bare = statistics.median(one for one, _ in rounds)
    step = statistics.median(two for _, two in rounds)
    # 14 ms and 66 ms on the machine where it was written; a slow machine is slow for both.
    assert step < 8 * bare + 0.1

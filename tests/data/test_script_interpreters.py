"""Data calls in scripts' own interpreters: the standard library is enough for files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import airflow_aml

PROGRAM = """
import json, os, sys
from airflow_aml import Dataset, Datastore, Run, Workspace

ws = Run.get_context().experiment.workspace
store = ws.get_default_datastore()
os.makedirs("data")
open("data/a.txt", "w").write("x")
store.upload("data", "in", show_progress=False)
made = Dataset.File.from_files((store, "in/**")).register(ws, "d", create_new_version=True)
found = Dataset.get_by_name(ws, "d")
with found.mount() as mounted:
    names = os.listdir(mounted.mount_point)
try:
    Dataset.Tabular.from_delimited_files((store, "in/*.txt")).to_pandas_dataframe()
    refused = ""
except Exception as error:
    refused = str(error)
try:
    Dataset.File.from_files("https://localhost/x.csv").download()
    refused_url = ""
except Exception as error:
    refused_url = str(error)
heavy = [name for name in ("pandas", "fsspec", "airflow") if name in sys.modules]
print(json.dumps([found.version, found.to_path(), names, refused, refused_url, heavy]))
"""


def _interpreters() -> dict[str, str]:
    """Version -> path of every Python from 3.8 on that this machine offers."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates = [str(path) for path in sorted(pyenv.glob("*/bin/python"))]
    candidates += [shutil.which(f"python3.{minor}") or "" for minor in range(8, 16)]
    found: dict[str, str] = {}
    for path in filter(None, candidates):
        ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        version = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
        if version and tuple(map(int, version.split("."))) >= (3, 8):
            found.setdefault(version, path)
    return found


INTERPRETERS = _interpreters()


@pytest.mark.parametrize("version", sorted(INTERPRETERS, key=lambda v: int(v.partition(".")[2])))
def test_files_need_nothing_but_python(version, tmp_path):
    """Upload, register, look up and mount on every interpreter; tables say what they need."""
    place = tmp_path / "only"
    place.mkdir()
    (place / "airflow_aml").symlink_to(Path(airflow_aml.__file__).parent)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(place),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW__AML__WORKSPACE": (tmp_path / "workspace").as_uri(),
        "AZUREML_RUN_ID": "r",
        "AZUREML_ARM_PROJECT_NAME": "e",
    }

    done = subprocess.run(
        [INTERPRETERS[version], "-S", "-c", PROGRAM],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    number, paths, names, refused, refused_url, heavy = json.loads(done.stdout)
    assert (number, paths, names, heavy) == (1, ["/a.txt"], ["a.txt"], [])
    assert "reading tables needs pandas" in refused
    assert "https://localhost/x.csv cannot be read here" in refused_url
    assert "pip install fsspec" in refused_url

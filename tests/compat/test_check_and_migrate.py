"""`airflow-aml check` and `migrate`: what a project uses, and its imports rewritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import airflow_aml.azureml_compat  # noqa: F401
from airflow_aml.azureml_compat.checking import Use, uses
from airflow_aml.cli import main

PROGRAMS = Path(__file__).parent.parent / "programs"

PROGRAM = b"""\
import azureml.core
from azureml.core import Workspace, Experiment as E, Webservice
from azureml.core.compute import HDInsightCompute
from azureml.opendatasets import NycTlcGreen
from azureml.pipeline import core, steps
from azureml.widgets import RunDetails

print(azureml.core.VERSION)
ws = Workspace.from_config()
ws.webservices
run = E(ws, "e").submit(core.Pipeline(ws, [steps.PythonScriptStep("a.py")]))
run.wait_for_completion()
run.publish_pipeline("n", "d", "1")
try:
    Webservice(ws, "scorer")
except Webservice:
    pass
isinstance(run, HDInsightCompute)
data = NycTlcGreen.get_file_dataset()
class Mine(steps.AutoMLStep):
    pass
"""


def test_each_use_is_told_with_its_line():
    """Names by any path and alias, and members of what they give; imports alone are no use."""
    found = uses(PROGRAM)

    told = {(use.line, use.name, use.status) for use in found}
    assert {
        (8, "azureml.core.VERSION", "served"),
        (9, "Workspace.from_config", "served"),
        (10, "Workspace.webservices", "not served yet"),
        (11, "azureml.core.Experiment", "served"),
        (11, "azureml.pipeline.core.Pipeline", "served"),
        (11, "azureml.pipeline.steps.PythonScriptStep", "served"),
        (11, "Experiment.submit", "served"),
        (12, "PipelineRun.wait_for_completion", "served"),
        (15, "azureml.core.Webservice", "refused"),
        (19, "azureml.opendatasets.NycTlcGreen", "refused"),
        (20, "azureml.pipeline.steps.AutoMLStep", "refused"),
    } <= told
    assert not [use for use in found if use.line in (2, 3, 4, 5, 6, 16, 18)]
    (open_data,) = [use for use in found if use.line == 19]
    assert isinstance(open_data, Use)
    assert "from_files" in open_data.instead


def test_check_tells_lines_and_a_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Text for people, JSON for programs; exit code 3 where something is not served."""
    (tmp_path / "program.py").write_bytes(PROGRAM)
    (tmp_path / "broken.py").write_text("import azureml\nx = = 1\n")
    (tmp_path / "other.py").write_text("print('nothing of v1')\n")
    (tmp_path / "null.py").write_text("import azureml\n\0")

    assert main(["check", str(tmp_path)]) == 3
    told = capsys.readouterr().out
    assert f"{tmp_path}/program.py:15: azureml.core.Webservice: refused: models are kept" in told
    assert f"{tmp_path}/broken.py:2: SyntaxError: invalid syntax" in told
    assert f"{tmp_path}/null.py: SyntaxError: source code string cannot contain null" in told
    assert told.splitlines()[-1].startswith("3 files, ")

    assert main(["check", "--json", str(tmp_path / "program.py")]) == 3
    document = json.loads(capsys.readouterr().out)
    assert 0 < document["score"] < 100
    assert {use["line"] for use in document["files"][0]["uses"]} >= {8, 9, 15}

    assert main(["check", str(PROGRAMS / "seed_000")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("0 not served: 100 % served")
    assert main(["check", str(tmp_path / "nowhere")]) == 1


def test_an_import_that_will_fail_is_told():
    """What v1 is not known to have is no use that is served, unless the program catches that."""
    found = uses(
        b"""\
import azureml.nowhere
from azureml.core import Workspac, Run
from azureml.nowhere.deep import Thing
from azureml.exceptions._azureml_exception import UserErrorException
from azureml.opendatasets import Anything
from azureml.core import *
import azureml_mine
try:
    from azureml.core import Elsewhere
except (ValueError, ImportError):
    from azureml.core import ElsewhereToo
"""
    )

    assert [(use.line, use.name, use.status) for use in found] == [
        (1, "azureml.nowhere", "unknown"),
        (2, "azureml.core.Workspac", "unknown"),
        (3, "azureml.nowhere.deep", "unknown"),
        (11, "azureml.core.ElsewhereToo", "unknown"),
    ]


def test_a_method_that_is_not_there_is_told():
    """Also of classes that answer for names of their own, and of those that deploy."""
    found = uses(
        b"""\
from azureml.core import Experiment, Model, Workspace
ws = Workspace.from_config()
ws.nowhere()
ws.name.upper()
Model.deploy(ws, "scorer", [])
run = Experiment(ws, "e").submit(None)
run.nowhere()
run.get_metrics()
"""
    )

    stopping = {(use.line, use.name, use.status) for use in found if use.status != "served"}
    assert stopping == {
        (3, "Workspace.nowhere", "not served yet"),
        (5, "Model.deploy", "refused"),
        (7, "PipelineRun.nowhere", "not served yet"),
    }


def test_check_reads_notebooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Names are followed from cell to cell, told with cell and line; magics do no harm."""
    cells = ["%matplotlib inline\nfrom azureml.core import Workspace", "ws = Workspace()\n\n"]
    cells += ["# a text", "!ls\nprint(ws.name)\nws.webservices"]
    document = {"metadata": {}, "cells": [{"cell_type": "code", "source": each} for each in cells]}
    document["cells"][2]["cell_type"] = "markdown"
    path = tmp_path / "tutorial.ipynb"
    path.write_text(json.dumps(document))

    assert main(["check", str(tmp_path)]) == 3
    told = capsys.readouterr().out
    assert f"{path}, cell 4:3: Workspace.webservices: not served yet" in told
    assert told.splitlines()[-1].startswith("1 file, ")

    document["cells"][3]["source"] = ["a = 1\n", "x = = 1"]
    path.write_text(json.dumps(document))
    assert main(["check", str(path)]) == 3
    assert f"{path}, cell 4:2: SyntaxError: invalid syntax" in capsys.readouterr().out
    assert main(["migrate", str(path)]) == 1
    assert "is a notebook; a Python file is expected" in capsys.readouterr().err


def test_migrate_changes_imports_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Comments, line breaks and everything else stay; what is not served keeps its name."""
    before = (
        "# -*- coding: latin-1 -*-\r\n"
        "from azureml.core import (  # the core\r\n"
        "    Workspace as W,\r\n"
        "    Experiment,   # runs\r\n"
        ")\r\n"
        "def go():\r\n"
        "\tfrom azureml.exceptions import ComputeTargetException ; print('\xe4')\r\n"
        "\tfrom azureml.core.compute_target import ComputeTargetException  # caught\r\n"
        "from azureml.pipeline.steps import PythonScriptStep, KustoStep\r\n"
        "import azureml.core\r\n"
    )
    path = tmp_path / "program.py"
    path.write_bytes(before.encode("latin-1"))

    assert main(["migrate", "--diff", str(path)]) == 0
    assert path.read_bytes() == before.encode("latin-1")
    assert "+from airflow_aml import (  # the core" in capsys.readouterr().out
    assert main(["migrate", str(path)]) == 0

    assert path.read_bytes().decode("latin-1") == (
        "# -*- coding: latin-1 -*-\r\n"
        "from airflow_aml import (  # the core\r\n"
        "    Workspace as W,\r\n"
        "    Experiment,   # runs\r\n"
        ")\r\n"
        "def go():\r\n"
        "\timport airflow_aml.azureml_compat\r\n"
        "\tfrom azureml.exceptions import ComputeTargetException ; print('\xe4')\r\n"
        "\tfrom airflow_aml import ComputeTargetException  # caught\r\n"
        "from airflow_aml import PythonScriptStep\r\n"
        "import airflow_aml.azureml_compat\r\n"
        "from azureml.pipeline.steps import KustoStep\r\n"
        "import azureml.core\r\n"
    )


def test_a_migrated_project_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """After migrate, `airflow-aml list` knows its pipelines; a second time is no change."""
    folder = tmp_path / "shapes"
    shutil.copytree(PROGRAMS / "shapes", folder)

    assert main(["migrate", str(folder)]) == 0
    assert main(["migrate", str(folder)]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("0 files of ")
    for name in ("sequence.py", "unused_imports.py", "helper_modules.py"):
        assert main(["list", str(folder / name)]) == 0, capsys.readouterr().err


def test_migrate_leaves_all_files_where_one_is_broken(tmp_path: Path, capsys):
    """One file that is no Python stops it before anything is written."""
    (tmp_path / "a.py").write_text("from azureml.core import Run\n")
    (tmp_path / "b.py").write_text("import azureml\nx = = 1\n")

    assert main(["migrate", str(tmp_path)]) == 1
    assert "b.py:2: SyntaxError" in capsys.readouterr().err
    assert (tmp_path / "a.py").read_text() == "from azureml.core import Run\n"

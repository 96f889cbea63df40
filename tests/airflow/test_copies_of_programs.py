"""A program's copy of a pipeline that is not the one which Airflow has."""

from __future__ import annotations

import runpy
import shutil
from typing import Any

from airflow_aml import Workspace
from airflow_aml.airflow.copies import digests
from airflow_aml.definition.homes import home_of

PROGRAM = """
    # airflow dag
    from airflow_aml import Pipeline, PipelineParameter, PythonScriptStep
    text = PipelineParameter("text", "hello")
    read = PythonScriptStep(
        "reader.py", "read", source_directory="src", arguments=["--text", text, "--from", __file__])
    p = Pipeline("ws", [read])
"""


def test_a_program_with_another_copy_starts_no_step(write, one_dag, run_dag, tmp_path, capfd):
    """What the program sent is compared first: a step's arguments, and the text of each script."""
    write("p.py", PROGRAM)
    write("src/reader.py", "import helper\n")
    write("src/helper.py", "print('read')\n")
    dag = one_dag()

    def sent(edited: str, old: str, new: str) -> dict[str, Any]:
        desk = tmp_path / "desk"
        shutil.rmtree(desk, ignore_errors=True)
        shutil.copytree(tmp_path / "dags", desk, ignore=shutil.ignore_patterns("__pycache__"))
        (desk / "src" / "notes.txt").write_text("only here")
        text = (desk / edited).read_text()
        (desk / edited).write_text(text.replace(old, new))
        pipeline = runpy.run_path(str(desk / "p.py"))["p"]
        home = home_of(Workspace("ws"))
        return {"_aml": {"copy": digests(pipeline.spec, pipeline.folder, home)}}

    for edited, old, new, says in (
        ("p.py", '"--text", text', '"--text", text, "--more"', "step 'read' differs"),
        ("src/helper.py", "read", "heard", "file 'src/helper.py' differs"),
    ):
        ran = run_dag(dag, sent(edited, old, new))
        assert (ran.state, ran.states["reuse"]) == ("failed", "failed")
        assert says in "".join(capfd.readouterr())
    assert run_dag(dag, sent("p.py", '"hello"', '"its value is sent"')).state == "success"

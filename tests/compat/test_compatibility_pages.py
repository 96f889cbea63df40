"""The pages about SDK v1: the generated one is up to date, and the commands of the other work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import check_docs, compatibility, templates

SHAPES = Path(__file__).parent.parent / "programs" / "shapes"
EXIT_CODES = {"check": (0, 3), "plan": (3,), "list": (1,)}


def test_the_list_of_names_is_up_to_date():
    """`python -m scripts.compatibility` would change nothing."""
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page()


def test_documented_commands_of_moving(tmp_path: Path, workspace):
    """The commands run one after the other in a project of v1 programs."""
    shutil.copytree(SHAPES, tmp_path / "project")
    page = templates.PROJECT / "docs" / "from-azure-ml.md"
    lines = [
        line
        for part in check_docs.parts(page)
        if isinstance(part, check_docs.Block) and part.language == "sh"
        for line in part.text.splitlines()
    ]
    assert len(lines) == 9
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path / "project",
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in EXIT_CODES.get(line.split()[1], (0,)), f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr

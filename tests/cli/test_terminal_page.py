"""Every command of the pages on the terminal, reuse and environments works as it stands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import check_docs, templates

PAGES = ("terminal.md", "reuse.md", "environments.md")
EXIT_CODES = {"plan": (0, 3)}


def commands() -> list[str]:
    """Each line of the pages' shell blocks once, in their order, as one after another works."""
    found: dict[str, None] = {}
    for page in PAGES:
        for part in check_docs.parts(templates.PROJECT / "docs" / page):
            if isinstance(part, check_docs.Block) and part.language == "sh":
                found.update(dict.fromkeys(part.text.splitlines()))
    return [line.partition(" #")[0].strip() for line in found]


@pytest.mark.timeout(900)
def test_documented_commands(tmp_path: Path, workspace) -> None:
    """The commands run one after the other in a copy of the templates."""
    shutil.copytree(templates.TEMPLATES, tmp_path / "dags_templates")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = commands()
    assert len(known) > 15
    for line in known:
        words = [word for word in shlex.split(line) if "=" not in word.partition("/")[0]]
        verb = words[1]
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in EXIT_CODES.get(verb, (0,)), f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr

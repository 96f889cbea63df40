"""Ignore files mean what git says they mean; git itself is the judge."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_aml.workspace.ignore import IgnoreRules

PIECES = ["a", "b", "ab", "B", "*", "**", "?", "/", "[ab]", "[!a]", "[a-", "]", "\\", " ", "."]
PIECES += ["[[:alpha:]]", "[^b]", "a/", "/a", "**/", "/**", "!", "#", "\\ ", "[]a]", "[b-a]", "-"]
LINES = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
FILES = [
    "a",
    "b/a",
    "b/b",
    "ab/a b",
    "ab/b/a",
    "ab/b/e",
    "B",
    "e/a/b/a",
    "a b",
    "].x",
    "-",
    "#a",
    "!b",
]


def listed_by_git(folder: Path) -> list:
    environ = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    command = ["git", "-C", str(folder), "ls-files", "-z", "--others", "--exclude-standard"]
    output = subprocess.run(command, check=True, env=environ, capture_output=True).stdout
    return sorted(name for name in output.decode().split("\0") if name)


def listed_by_us(folder: Path, text: str) -> list:
    rules = IgnoreRules(text)
    found = []
    for name in [".gitignore", *FILES]:
        parts = name.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        if any(rules.leaves_out(each, is_folder=True) for each in above):
            continue
        if not rules.leaves_out(name, is_folder=False):
            found.append(name)
    return sorted(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("ignore")
    subprocess.run(["git", "init", "-q", folder], check=True)
    files = [name for name in FILES if not any(other.startswith(f"{name}/") for other in FILES)]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, min_size=1, max_size=4).map("\n".join))
@example("*\n!*/\n!a")
@example("a\n!b")
@example("a \\ ")
@example("a\r\nb\r")
@example("[a-")
@example("\\")
@example("**")
@example("b/**\n!b/a")
@example("***/a")
@example("/")
@example("!")
def test_any_file_means_what_git_says(folder: Path, text: str) -> None:
    """Whatever stands in an ignore file, git lists the same files."""
    (folder / ".gitignore").write_bytes(text.encode())
    assert listed_by_us(folder, text) == listed_by_git(folder)

"""What git says of source folders, under v1's names (reference 2.5).

Two git processes for each repository, however many folders of it are asked about, beside
whatever the asking program does meanwhile. Folders outside of git cost nothing, and a git that is
missing, refuses or takes too long leaves the answer empty: no run fails for it.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

PATIENCE = 2.0
"""Seconds that git may take."""

_STATUS = ("status", "--porcelain=v2", "--branch", "-z", "--")
_REMOTE = ("config", "--get", "remote.origin.url")
# Nothing of the repository's configuration runs a program, and nothing is written to it.
_GIT = ("git", "-c", "core.fsmonitor=false")
_CALM = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables that would make git look at another repository."""

_PATH_AT = {"1": 8, "2": 9, "u": 10, "?": 1}
"""Kind of a status entry -> the field in which its path is."""

Properties = Dict[str, str]


class GitLook:
    """Asks git about folders, each with a name; the answers are fetched later."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._deadline = time.monotonic() + PATIENCE
        self._repositories: Dict[str, Dict[str, str]] = {}
        for name, folder in folders.items():
            root = _repository(folder)
            if root is not None:
                below = os.path.relpath(os.path.realpath(folder), root)
                self._repositories.setdefault(root, {})[name] = below
        self._asked = {
            root: (_start(root, *_STATUS, *below.values()), _start(root, *_REMOTE))
            for root, below in self._repositories.items()
        }

    def answers(self) -> Dict[str, Properties]:
        """Properties by name; a folder that git knows nothing of is left out."""
        found: Dict[str, Properties] = {}
        for root, (status, remote) in self._asked.items():
            said, url = self._said(status), self._said(remote)
            if said is not None:
                branch, commit, changed = _read_status(said)
                common = _properties(branch, commit, _without_secrets((url or "").strip()))
                for name, below in self._repositories[root].items():
                    dirty = _is_changed(below, changed)
                    found[name] = {**common, "azureml.git.dirty": str(dirty)}
        return found

    def _said(self, process: Optional[subprocess.Popen[bytes]]) -> Optional[str]:
        if process is None:
            return None
        try:
            out, _ = process.communicate(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        return out.decode("utf-8", "replace") if process.returncode == 0 else None


def _repository(folder: str) -> Optional[str]:
    """The root of the work tree that the folder is in."""
    above = os.path.realpath(folder)
    while not os.path.lexists(os.path.join(above, ".git")):
        above, before = os.path.dirname(above), above
        if above == before:
            return None
    return above


def _start(root: str, *words: str) -> Optional[subprocess.Popen[bytes]]:
    environ = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    try:
        return subprocess.Popen(
            [*_GIT, *words],
            cwd=root,
            env={**environ, **_CALM},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _read_status(said: str) -> Tuple[str, str, List[str]]:
    """Branch, commit, and the paths that are not as committed, relative to the work tree."""
    heads: Dict[str, str] = {}
    changed: List[str] = []
    fields = iter(said.split("\0"))
    for field in fields:
        if field.startswith("# "):
            name, _, value = field[2:].partition(" ")
            heads[name] = value
        elif field:
            changed.extend(_paths(field, fields))
    return heads.get("branch.head", ""), heads.get("branch.oid", ""), changed


def _paths(field: str, more: Iterator[str]) -> Iterator[str]:
    position = _PATH_AT.get(field[0])
    if position is not None:
        yield field.split(" ", position)[position]
    if field[0] == "2":  # renamed: what it was follows
        yield next(more)


def _is_changed(folder: str, changed: Iterable[str]) -> bool:
    if folder == ".":
        return any(changed)
    below = folder.replace(os.sep, "/") + "/"
    # Of a folder that is new to git only its name is told, with a slash.
    return any(
        path.startswith(below) or (path.endswith("/") and below.startswith(path))
        for path in changed
    )


def _properties(branch: str, commit: str, url: str) -> Properties:
    told = {
        "azureml.git.repository_uri": url,
        "mlflow.source.git.repoURL": url,
        "azureml.git.branch": branch,
        "mlflow.source.git.branch": branch,
        "azureml.git.commit": commit,
        "mlflow.source.git.commit": commit,
    }
    return {name: value for name, value in told.items() if value and value[0] != "("}


def _without_secrets(url: str) -> str:
    """A URL without the user and password that many put into it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"

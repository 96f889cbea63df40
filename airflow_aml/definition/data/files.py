"""Which files a definition means: places become the files that are there now.

Every place is looked at through a store, local paths through one of the whole machine, so the
rules are the same everywhere: a path without glob signs is a file or a folder with all below it,
``*`` and ``?`` stay inside a folder, ``**`` does not, and a folder that a pattern matches stands
for all below it. v1's rule for names: what the paths have in common is left out (reference 1.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from airflow_aml.definition.data.model import (
    DataPlace,
    LocalPath,
    StoredPath,
    WebPath,
    WorkspacePath,
)
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.stores.base import Store, StoredFile

_SIGNS = re.compile(r"[*?\[]")


class NoSuchFiles(UserErrorException):
    """Nothing is where a path or a pattern leads."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a dataset.

    Attributes:
        store: where it is; None for a URL.
        path: in that store, or the URL.
        relative: its name inside the dataset, without a leading slash.
        shown: its path as a ``Path`` column has it.
        partitions: what its path says (``partition_format``).
        md5: of its content, where the store knows it.
    """

    store: Optional[Store]
    path: str
    relative: str
    shown: str
    size: int = 0
    version: str = ""
    partitions: Dict[str, Any] = field(default_factory=dict)
    md5: Optional[str] = None

    @property
    def local(self) -> Optional[str]:
        """Its path on this machine, if it is here already."""
        if self.store is None or self.store.local_root is None:
            return None
        root = self.store.local_root.rstrip("/")
        return f"{root}/{self.path}"


@dataclass(frozen=True)
class Places:
    """What places are relative to.

    Attributes:
        folder: absolute; local paths start here.
        datastore: opens a datastore by name (the default one for an empty name).
        workspace: opens the workspace itself.
        machine: opens the root of this machine.
    """

    folder: str
    datastore: Callable[[str], Store]
    workspace: Callable[[], Store]
    machine: Callable[[], Store]

    def look_up(self, place: DataPlace) -> Tuple[Store, str, str]:
        """(store, path in it, what messages call the store)."""
        if isinstance(place, StoredPath):
            store = self.datastore(place.datastore)
            name = place.datastore or "the default datastore"
            return store, place.path, f"datastore {name!r}" if place.datastore else name
        if isinstance(place, WorkspacePath):
            return self.workspace(), place.path, "the workspace"
        assert isinstance(place, LocalPath)
        return self.machine(), absolute(place.path, self.folder).lstrip("/"), "this machine"


def absolute(path: str, folder: str) -> str:
    """A local path, absolute and without ``..``."""
    import os

    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def files_of(paths: Sequence[DataPlace], places: Places) -> List[SourceFile]:
    """Every file that the places mean, each once, in the places' order and sorted by path there.

    Raises:
        NoSuchFiles: there is no such file or folder, or a pattern matches nothing.
    """
    groups: List[Tuple[Optional[Store], str, List[StoredFile]]] = []
    for place in paths:
        if isinstance(place, WebPath):
            groups.append((None, place.url.rpartition("/")[0], [StoredFile(place.url, 0, "")]))
            continue
        store, path, where = places.look_up(place)
        groups.append((store, fixed_part(path), matching(store, path, where)))
    base = _common_base(groups)
    result: Dict[Tuple[str, str], SourceFile] = {}
    for (origin, _, found), place in zip(groups, paths):
        for each in found:
            key = (origin.url if origin else "", each.path)
            if key not in result:
                relative = _relative(each.path, base, place)
                shown = each.path if origin is None else "/" + each.path
                result[key] = SourceFile(
                    origin, each.path, relative, shown, each.size, each.version, md5=each.md5
                )
    return list(result.values())


def matching(store: Store, path: str, where: str) -> List[StoredFile]:
    """The files of a store that a path or pattern means, sorted.

    Raises:
        NoSuchFiles: there are none.
    """
    path = path.strip("/")
    exact = _exact(store, path)
    if exact:
        return exact
    # A path of this machine says itself where it is.
    shown, url = (f"/{path}", None) if store.local_root == "/" else (path, store.url)
    if not has_pattern(path):
        raise NoSuchFiles(
            f"there is no file or folder {shown!r} in {where}.",
            where=url,
            hint="It was removed since, was never written, or is called otherwise.",
        )
    prefix = fixed_part(path)
    pattern = pattern_of(path)
    found = [
        each
        for each in store.find(f"{prefix}/" if prefix else "")
        if pattern.match(each.path) and not _hidden(each.path[len(prefix) :])
    ]
    if not found:
        raise NoSuchFiles(
            f"no file matches {shown!r} in {where}.",
            where=url,
            hint="Check the pattern: * stays inside a folder, ** does not.",
        )
    return found


def _exact(store: Store, path: str) -> List[StoredFile]:
    """The file of that name, or all below the folder of that name."""
    if not path:
        return list(store.find())
    if store.exists(path):
        return [each for each in store.find(path) if each.path == path]
    return list(store.find(f"{path}/"))


def has_pattern(path: str) -> bool:
    """Whether a path holds glob signs."""
    return bool(_SIGNS.search(path))


def fixed_part(path: str) -> str:
    """The folder that a path's names start at: all of a folder, a file's parent, a glob's root.

    Whether a path without glob signs is a file only its store knows; it is taken for a folder here.
    """
    parts = path.strip("/").split("/")
    for number, part in enumerate(parts):
        if has_pattern(part):
            return "/".join(parts[:number])
    return "/".join(parts)


def pattern_of(path: str) -> re.Pattern[str]:
    """The regular expression of a glob; a folder that it matches stands for all below it."""
    text = ""
    parts = path.strip("/").split("/")
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:.*/)?"
            continue
        text += _segment(part) + ("" if last else "/")
    return re.compile(rf"(?s:{text}(?:/.*)?)\Z")


def _segment(part: str) -> str:
    import fnmatch

    pieces = re.split(r"(\*+|\?)", part)
    text = ""
    for piece in pieces:
        if piece.startswith("*"):
            text += "[^/]*"
        elif piece == "?":
            text += "[^/]"
        else:  # letters and [sets]
            text += fnmatch.translate(piece).replace("(?s:", "", 1).rsplit(")", 1)[0]
    return text


def _hidden(path: str) -> bool:
    return "/.aml-" in path


def _common_base(
    groups: Sequence[Tuple[Optional[Store], str, Sequence[StoredFile]]],
) -> Optional[str]:
    """What all paths have in common; None when they are in several stores."""
    urls = {store.url if store else "" for store, _, _ in groups}
    if len(urls) != 1:
        return None
    bases = [_folder(fixed, found) for _, fixed, found in groups]
    return _common_folder(bases)


def _folder(fixed: str, found: Sequence[StoredFile]) -> str:
    if len(found) == 1 and found[0].path == fixed:
        return fixed.rpartition("/")[0]
    return fixed


def _common_folder(folders: Iterable[str]) -> str:
    common: Optional[List[str]] = None
    for folder in folders:
        parts = folder.split("/") if folder else []
        if common is None:
            common = parts
            continue
        length = 0
        while length < min(len(common), len(parts)) and common[length] == parts[length]:
            length += 1
        common = common[:length]
    return "/".join(common or [])


def _relative(path: str, base: Optional[str], place: DataPlace) -> str:
    if base is None:
        # From several stores: each keeps its whole path, below its store's name.
        name = getattr(place, "datastore", None) or place.kind.partition("_")[0]
        return f"{name}/{path.partition('://')[2] or path}"
    return path[len(base) :].lstrip("/") if base else path

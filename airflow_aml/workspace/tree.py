"""Walking a folder: every file of it, with links followed, without recursion, in one order."""

from __future__ import annotations

import os
import stat
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple, Union


class Found(NamedTuple):
    """A file of the walk.

    ``relative`` is POSIX; ``path`` opens it, whatever this machine's locale is; ``status`` is the
    file's own, also where a link led to it; ``linked`` says that one did.
    """

    relative: str
    path: bytes
    status: os.stat_result
    linked: bool


class _Folder(NamedTuple):
    relative: str
    path: bytes
    above: Optional[_Folder]
    linked: bool


Problem = Callable[[str, str], None]
"""Told (relative path, what is wrong with it); it raises, or the walk leaves that entry out."""

Skip = Callable[[str, bool, "os.DirEntry[bytes]"], bool]
"""Told (relative path, whether it is a folder, the entry); True leaves the entry out."""


def walk(
    root: Union[str, bytes, os.PathLike[str]], problem: Problem, skip: Optional[Skip] = None
) -> List[Found]:
    """All files below ``root``, sorted by relative path.

    Links to files and folders are followed; a link to a folder that the walk is inside of is a
    problem, and so are links that lead nowhere, names that are not UTF-8, and what is neither file
    nor folder.

    Raises:
        OSError: a folder cannot be read.
    """
    found: List[Found] = []
    pending = [_Folder("", os.fsencode(root), None, False)]
    while pending:
        folder = pending.pop()
        for relative, entry in _entries(folder, problem):
            is_folder = _leads_to_folder(entry)
            if skip is not None and skip(relative, is_folder, entry):
                continue
            linked = entry.is_symlink()
            wrong = _wrong(entry, folder, is_folder, linked)
            if wrong:
                problem(relative, wrong)
            elif is_folder:
                pending.append(_Folder(relative, entry.path, folder, folder.linked or linked))
            else:
                found.append(Found(relative, entry.path, entry.stat(), folder.linked or linked))
    found.sort(key=lambda each: each.relative)
    return found


def shown(name: bytes) -> str:
    """A file name as text for people, with what is not UTF-8 escaped."""
    return name.decode("utf-8", "backslashreplace")


def _entries(folder: _Folder, problem: Problem) -> Iterator[Tuple[str, os.DirEntry[bytes]]]:
    prefix = f"{folder.relative}/" if folder.relative else ""
    with os.scandir(folder.path) as entries:
        for entry in entries:
            try:
                name = entry.name.decode("utf-8")
            except UnicodeDecodeError:
                problem(prefix + shown(entry.name), "has a name that is not UTF-8")
                continue
            yield prefix + name, entry


def _leads_to_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, a folder that cannot be looked into
        return False


def _wrong(
    entry: os.DirEntry[bytes], folder: _Folder, is_folder: bool, linked: bool
) -> Optional[str]:
    if is_folder:
        return "is a link to a folder that it lies in" if linked and _loops(entry, folder) else None
    try:
        status = entry.stat()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return f"is a link that leads nowhere ({reason})" if linked else f"is lost ({reason})"
    return None if stat.S_ISREG(status.st_mode) else "is neither a file nor a folder"


def _loops(entry: os.DirEntry[bytes], folder: Optional[_Folder]) -> bool:
    target = entry.stat()
    while folder is not None:
        if os.path.samestat(os.stat(folder.path), target):
            return True
        folder = folder.above
    return False

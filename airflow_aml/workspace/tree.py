"""Walking a folder: every file of it, with links followed, without recursion, in one order."""

from __future__ import annotations

import os
import stat
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

from airflow_aml.workspace.measure import facts, packed


class Found(NamedTuple):
    """A file of the walk.

    ``relative`` is POSIX; ``path`` opens it, whatever this machine's locale is; ``status`` is the
    file's own, also where a link led to it; ``linked`` says that one did.
    """

    relative: str
    path: bytes
    status: os.stat_result
    linked: bool


class Part(NamedTuple):
    """The files of one folder, in the order that the system lists them in.

    ``prefix`` is the folder's path below the root, POSIX, empty or with a slash at its end;
    ``names`` are UTF-8, with a slash between them; ``stats`` are the files' numbers as
    :func:`~airflow_aml.workspace.measure.packed` gives them, if they were asked for.
    """

    prefix: bytes
    names: bytes
    stats: bytes


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
        with os.scandir(folder.path) as entries:
            for relative, entry, below in _told_apart(folder, entries, problem, skip):
                if below is not None:
                    pending.append(below)
                    continue
                linked = folder.linked or entry.is_symlink()
                found.append(Found(relative, entry.path, entry.stat(), linked))
    found.sort(key=lambda each: each.relative)
    return found


def parts(
    root: Union[str, bytes, os.PathLike[str]],
    problem: Problem,
    skip: Optional[Skip] = None,
    *,
    stats: bool = True,
) -> Iterator[Part]:
    """The files that :func:`walk` finds, folder by folder, in a form that is made faster.

    Raises:
        OSError: a folder cannot be read.
    """
    pending = [_Folder("", os.fsencode(root), None, False)]
    while pending:
        folder = pending.pop()
        names: List[bytes] = []
        numbers: List[int] = []
        others = _plain_files(folder, names, numbers, skip, stats)
        for _, entry, below in _told_apart(folder, others, problem, skip):
            if below is not None:
                pending.append(below)
                continue
            names.append(entry.name)
            if stats:
                numbers.extend(facts(entry.stat()))
        if names:
            prefix = folder.relative.encode()
            yield Part(prefix + b"/" if prefix else b"", b"/".join(names), packed(numbers))


def shown(name: bytes) -> str:
    """A file name as text for people, with what is not UTF-8 escaped."""
    return name.decode("utf-8", "backslashreplace")


def _plain_files(
    folder: _Folder, names: List[bytes], numbers: List[int], skip: Optional[Skip], stats: bool
) -> List[os.DirEntry[bytes]]:
    """Adds the files that nothing is special about; returns all other entries."""
    prefix = f"{folder.relative}/" if folder.relative else ""
    others = []
    add, extend = names.append, numbers.extend
    with os.scandir(folder.path) as entries:
        for entry in entries:
            try:
                if not entry.is_file():
                    others.append(entry)
                    continue
                if skip is not None and skip(prefix + entry.name.decode(), False, entry):
                    continue
                if stats:
                    extend(facts(entry.stat()))
                add(entry.name)
            except (OSError, UnicodeDecodeError):  # removed meanwhile, and the like
                others.append(entry)
    try:
        b"/".join(names).decode()
    except UnicodeDecodeError:
        names.clear()
        numbers.clear()
        with os.scandir(folder.path) as entries:
            return list(entries)
    return others


def _told_apart(
    folder: _Folder,
    entries: Iterable[os.DirEntry[bytes]],
    problem: Problem,
    skip: Optional[Skip],
) -> Iterator[Tuple[str, os.DirEntry[bytes], Optional[_Folder]]]:
    """Relative path and entry of what a folder holds, and, of a folder in it, what it is."""
    prefix = f"{folder.relative}/" if folder.relative else ""
    for entry in entries:
        try:
            relative = prefix + entry.name.decode("utf-8")
        except UnicodeDecodeError:
            problem(prefix + shown(entry.name), "has a name that is not UTF-8")
            continue
        is_folder = _leads_to_folder(entry)
        if skip is not None and skip(relative, is_folder, entry):
            continue
        linked = entry.is_symlink()
        wrong = _wrong(entry, folder, is_folder, linked)
        if wrong:
            problem(relative, wrong)
        elif is_folder:
            yield relative, entry, _Folder(relative, entry.path, folder, folder.linked or linked)
        else:
            yield relative, entry, None


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

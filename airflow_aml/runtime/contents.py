"""Making what a script wrote fit to be kept: no links out of it, nobody else's files, read-only."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import Callable, Iterable, List, Tuple

from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.stage import remove
from airflow_aml.workspace.tree import shown, walk

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def own(place: str, check: Callable[[], None]) -> None:
    """Replaces every link below ``place`` (and itself) by the content that it leads to.

    Hard links are replaced too, for the other name of such a file may be somebody's original.

    Raises:
        UserErrorException: a link leads nowhere or round in a circle.
    """
    if os.path.islink(place):
        _replace_link(os.fsencode(place), place, check)
    if not os.path.isdir(place):
        _own_file(os.fsencode(place), os.lstat(place), check)
        return
    pending = [os.fsencode(place)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            listed = list(entries)
        for entry in listed:
            if entry.is_symlink():
                _replace_link(entry.path, place, check)
            elif entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                _own_file(entry.path, entry.stat(follow_symlinks=False), check)


def keep_fit(place: str, warn: Callable[[str], None]) -> None:
    """Makes a folder one that any store can keep; what cannot be kept is removed, with a warning.

    Every link below it becomes the content that it leads to, as its target may go.
    """

    def leave_out(path: bytes, wrong: str) -> None:
        warn(f"{shown(os.path.relpath(path, os.fsencode(place)))!r} {wrong} and is not kept.")

    links = []
    pending = [os.fsencode(place)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            listed = list(entries)
        for entry in listed:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not _is_utf8(entry.name):
                leave_out(entry.path, "has a name that is not UTF-8")
                remove(os.fsdecode(entry.path))
            elif entry.is_symlink():
                links.append(entry.path)
            elif is_folder:
                pending.append(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                leave_out(entry.path, "is neither a file nor a folder")
                os.unlink(entry.path)
    for link in links:
        try:
            _replace_link(link, place, lambda: None)
        except (UserErrorException, OSError) as error:  # noqa: PERF203 - few are links
            leave_out(link, f"is a link that cannot be followed ({_why(error)})")
            os.unlink(link)


def keep_matching(place: str, globs: Iterable[str]) -> int:
    """Removes what none of the patterns matches; returns how many files stay."""
    patterns = [_compiled(glob) for glob in globs]
    stay = 0
    for found in walk(place, _refuse(place)):
        if any(pattern.fullmatch(found.relative) for pattern in patterns):
            stay += 1
        else:
            os.unlink(found.path)
    return stay


def drop_empty_folders(place: str) -> List[str]:
    """Removes the folders below ``place`` that hold no file; returns their paths in it, sorted.

    Object stores cannot hold them and no digest counts them, so no step is to rely on them.
    """
    root = os.fsencode(place)
    dropped = []
    for folder, _, files in os.walk(root, topdown=False):
        if files or folder == root:
            continue
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            dropped.append(shown(os.path.relpath(folder, root)))
    return sorted(dropped)


def make_read_only(place: str) -> None:
    """Takes the right to write from every file at ``place``; folders keep it."""
    if not os.path.isdir(place):
        _take_write_bits(os.fsencode(place), os.stat(place))
        return
    for found in walk(place, _refuse(place)):
        _take_write_bits(found.path, found.status)


def close_folders(place: str) -> None:
    """Takes the right to write from the folders at ``place``: nothing is added or removed there.

    Only now, as a folder that cannot be written cannot be moved either. It does not bind root.
    """
    for folder, _, _ in os.walk(place, topdown=False):
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) & ~0o222)


def copy_file(source: bytes, target: bytes, check: Callable[[], None]) -> None:
    """Copies one file's content and mode, to the disk itself."""
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        view = memoryview(bytearray(1 << 20))
        while True:
            count = reader.readinto(view)
            if not count:
                break
            check()
            data = view[:count]
            while data:
                data = data[writer.write(data) or 0 :]
        os.fsync(writer.fileno())
        os.chmod(target, stat.S_IMODE(os.fstat(reader.fileno()).st_mode))


def copy(source: bytes, target: bytes, check: Callable[[], None]) -> None:
    """Copies a file or a folder; ``target`` must not exist. Links become what they lead to.

    Raises:
        UserErrorException: a link leads nowhere or round in a circle.
    """
    if not os.path.isdir(source):
        copy_file(source, target, check)
        return
    os.makedirs(target)
    for found in walk(source, _refuse(shown(source))):
        place = os.path.join(target, os.fsencode(found.relative))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        copy_file(found.path, place, check)


def _refuse(place: str) -> Callable[[str, str], None]:
    def problem(relative: str, wrong: str) -> None:
        raise UserErrorException(f"{relative!r} {wrong}.", where=place)

    return problem


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error).rstrip(".")


def _replace_link(link: bytes, place: str, check: Callable[[], None]) -> None:
    target = os.path.realpath(link)
    if not os.path.exists(target):
        raise UserErrorException(f"{shown(link)!r} is a link that leads nowhere.", where=place)
    if os.path.isdir(target) and (link + b"/").startswith(target.rstrip(b"/") + b"/"):
        raise UserErrorException(
            f"{shown(link)!r} is a link to a folder that it lies in.", where=place
        )
    if not (os.path.isfile(target) or os.path.isdir(target)):
        raise UserErrorException(
            f"{shown(link)!r} leads to what is neither a file nor a folder.", where=place
        )
    temporary = _beside(link)
    try:
        copy(target, temporary, check)
    except BaseException:
        remove(os.fsdecode(temporary))
        raise
    os.unlink(link)
    os.rename(temporary, link)


def _own_file(path: bytes, status: os.stat_result, check: Callable[[], None]) -> None:
    if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
        temporary = _beside(path)
        copy_file(path, temporary, check)
        os.replace(temporary, path)


def _beside(path: bytes) -> bytes:
    return b"%b.copy-%b" % (path, os.urandom(4).hex().encode())


def _take_write_bits(path: bytes, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & _WRITE_BITS:
        os.chmod(path, mode & ~_WRITE_BITS)


_GLOB_PARTS: List[Tuple[str, str]] = [
    (r"\*\*/", "(?:.*/)?"),
    (r"\*\*", ".*"),
    (r"\*", "[^/]*"),
    (r"\?", "[^/]"),
    (r"\[!?\]?[^\]/]*\]", ""),
]


def _compiled(glob: str) -> re.Pattern[str]:
    """The pattern as a regular expression: ``*`` stays inside a folder, ``**`` does not."""
    text = ""
    position = 0
    glob = glob[2:] if glob.startswith("./") else glob
    while position < len(glob):
        for sign, meaning in _GLOB_PARTS:
            match = re.compile(sign).match(glob, position)
            if match:
                text += meaning or match.group().replace("[!", "[^", 1).replace("\\", "\\\\")
                position = match.end()
                break
        else:
            text += re.escape(glob[position])
            position += 1
    return re.compile(text, re.DOTALL)

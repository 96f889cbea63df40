"""Inputs as the script sees them: the original path, or a farm of links to the files of several.

Never a copy, and never a hard link: a script that wrote through one would change someone's file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Iterator, List, Tuple

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobInput

GLOB_SIGNS = "*?["


def resolve(port: JobInput, farm: str, check: Callable[[], None]) -> str:
    """The path that the script gets for an input; of a direct one, the dataset's id.

    Args:
        port: the input.
        farm: a folder to be made if the input needs one.
        check: called between links; it raises when the step must stop.

    Raises:
        UserErrorException: a path is missing, a pattern matches nothing, or two paths would get one
            name.
    """
    if port.mode == "direct":
        return port.identity or ""
    if not port.paths:
        raise UserErrorException(f"the input {port.name!r} names no path.")
    alone = len(port.paths) == 1 and not port.folder
    if alone and (port.exact or not _is_pattern(port.paths[0])):
        return _existing(port, port.paths[0])
    os.makedirs(farm)
    shown = _Farm(port, farm, check)
    for path, relative in members(port):
        shown.add(path, relative)
    return farm


def _existing(port: JobInput, path: str) -> str:
    if not os.path.exists(path):
        raise UserErrorException(
            f"the input {port.name!r} is missing: there is no {path}.",
            hint="It was removed since, or this machine does not see it.",
        )
    return path


def _is_pattern(path: str) -> bool:
    # A file may have such a sign in its name; then it is that file that is meant.
    return any(sign in path for sign in GLOB_SIGNS) and not os.path.lexists(path)


def members(port: JobInput) -> Iterator[Tuple[str, str]]:
    """Every path of an input on this machine, and its name inside the farm.

    Raises:
        UserErrorException: a path is missing, or a pattern matches nothing.
    """
    for path in port.paths:
        if not port.exact and _is_pattern(path):
            base = port.root or _fixed_part(path)
            for match in _matches(port, path):
                yield match, _relative(port, match, base)
        else:
            existing = _existing(port, path).rstrip("/") or "/"
            base = port.root or os.path.dirname(existing)
            yield existing, _relative(port, existing, base)


def _matches(port: JobInput, pattern: str) -> List[str]:
    from glob import glob

    found = sorted(path.rstrip("/") for path in glob(pattern, recursive=True))
    if "**" in pattern.split("/"):
        found = [path for path in found if not os.path.isdir(path)]
    if not found:
        raise UserErrorException(
            f"the input {port.name!r} is empty: no file matches {pattern}.",
            hint="Check the pattern, or the step that should have written these files.",
        )
    return found


def _fixed_part(pattern: str) -> str:
    parts = pattern.split("/")
    signs = [index for index, part in enumerate(parts) if any(sign in part for sign in GLOB_SIGNS)]
    return "/".join(parts[: signs[0]]) or "/"


def _relative(port: JobInput, path: str, base: str) -> str:
    relative = os.path.relpath(path, base)
    if relative == ".." or relative.startswith("../"):
        raise UserErrorException(f"the input {port.name!r} holds {path}, outside of {base}.")
    return relative


class _Farm:
    """A folder of real folders, which ``os.walk`` and the like go into, with links to the files."""

    def __init__(self, port: JobInput, top: str, check: Callable[[], None]):
        self._port = port
        self._top = top
        self._check = check

    def add(self, path: str, relative: str) -> None:
        """Shows a file, or all that is below a folder, under its name in the input."""
        if not os.path.isdir(path):
            self._link(path, relative, self._folder(os.path.dirname(relative), path))
            return
        prefix = "" if relative == "." else f"{relative}/"
        try:
            for folder, within, names in _folders(path):
                place = self._folder(f"{prefix}{within}".rstrip("/"), folder)
                for name in names:
                    self._link(os.path.join(folder, name), f"{prefix}{within}{name}", place)
        except PermissionError as error:
            raise UserErrorException(
                f"the input {self._port.name!r} cannot be read: {error}."
            ) from error

    def _folder(self, relative: str, path: str) -> str:
        place = os.path.join(self._top, relative)
        part = self._top
        for name in filter(None, relative.split("/")):
            part = os.path.join(part, name)
            if os.path.islink(part):  # never make anything in what a link leads to
                raise self._two(os.path.relpath(part, self._top), os.readlink(part), path)
        os.makedirs(place, exist_ok=True)
        return place

    def _link(self, path: str, relative: str, folder: str) -> None:
        self._check()
        place = os.path.join(folder, os.path.basename(relative))
        try:
            os.symlink(path, place)
        except FileExistsError:
            if not os.path.exists(place) or not os.path.samefile(place, path):
                raise self._two(relative, os.path.realpath(place), path) from None

    def _two(self, relative: str, one: str, other: str) -> UserErrorException:
        return UserErrorException(
            f"two paths of the input {self._port.name!r} would both be {relative!r}: {one} and "
            f"{other}.",
            hint="Pass them as two inputs, or name the folder above both.",
        )


def _folders(top: str) -> Iterator[Tuple[str, str, List[str]]]:
    """Each folder from ``top`` down: its path, that below ``top``, and what in it is no folder.

    Links to folders are followed; one that leads back up counts among what is no folder.
    """
    pending: List[Tuple[str, str, Tuple[str, ...]]] = [(top, "", (os.path.realpath(top),))]
    while pending:
        folder, within, above = pending.pop()
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_folder and not (entry.is_symlink() and os.path.isdir(entry.path)):
                    names.append(entry.name)
                    continue
                target = os.path.realpath(entry.path)
                if target in above:
                    names.append(entry.name)
                else:
                    pending.append((entry.path, f"{within}{entry.name}/", (*above, target)))
        yield folder, within, names

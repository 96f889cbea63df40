"""Inputs as the script sees them: the original path, or a farm of symlinks to several.

Never a copy, and never a hard link: a script that wrote through one would change someone's file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Iterator, List, Optional, Tuple

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobInput

GLOB_SIGNS = "*?["


def resolve(port: JobInput, farm: str, check: Callable[[], None]) -> str:
    """The path that the script gets for an input; of a direct one, the dataset's id.

    Args:
        port: the input.
        farm: a folder to be made for the links if the input needs them.
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
    for path, relative in _members(port):
        check()
        _link(port, farm, path, relative)
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


def _members(port: JobInput) -> Iterator[Tuple[str, str]]:
    """Every path of the input with its name inside the farm."""
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


def _link(port: JobInput, farm: str, path: str, relative: str) -> None:
    if relative == ".":
        for name in sorted(os.listdir(path)):
            _link(port, farm, os.path.join(path, name), name)
        return
    place = os.path.join(farm, relative)
    taken = _taken(farm, relative)
    if taken is None:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(path, place)
    elif not (os.path.exists(place) and os.path.samefile(place, path)):
        other = os.path.realpath(taken)
        raise UserErrorException(
            f"two paths of the input {port.name!r} would both be {relative!r}: {other} and {path}.",
            hint="Pass them as two inputs, or name the folder above both.",
        )


def _taken(farm: str, relative: str) -> Optional[str]:
    """The first part of the way to ``relative`` that is a link already, or the place itself."""
    place = farm
    for part in relative.split("/"):
        place = os.path.join(place, part)
        if os.path.islink(place):
            return place
    return place if os.path.lexists(place) else None

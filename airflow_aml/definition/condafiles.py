"""Files that list packages: conda's YAML and pip's requirements."""

from __future__ import annotations

import os
import re
from typing import Any, Iterator, List, Tuple

from airflow_aml.errors import NotServedError, UserErrorException

PRE = "--pre"
"""The option that lets versions count which are not final."""

_OPTIONS = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
    PRE: PRE,
    "--prefer-binary": "",
    "--trusted-host": "",
    "--no-cache-dir": "",
    "--upgrade": "",
}
"""pip's options -> how they are kept; empty for those that say nothing to uv."""

# What is too long for a name is a token that is written alone.
_PASSWORD = re.compile(r"://(?:[^/@\s:]*:(?!\$\{)[^/@\s]+|(?!\$\{)[^/@\s:]{20,})@")
_LOCAL = re.compile(r"\.{0,2}/|[A-Za-z0-9._/-]+\.(?:whl|zip|tar\.gz)$|(?:.*@\s*)?file:")


def load_yaml(path: str) -> Any:
    """What a YAML file holds.

    Raises:
        UserErrorException: it is not there, is no YAML, or nothing here can read YAML.
    """
    try:
        import yaml
    except ImportError:
        raise UserErrorException(
            "reading YAML needs the package PyYAML, which this interpreter does not have.",
            where=path,
        ) from None
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.safe_load(stream)
    except OSError as error:
        raise UserErrorException(f"it cannot be read: {error.strerror}.", where=path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserErrorException(f"it is not YAML: {error}", where=path) from error


def dump_yaml(document: Any) -> str:
    """A document as YAML.

    Raises:
        UserErrorException: nothing here can write YAML.
    """
    try:
        import yaml
    except ImportError:
        raise UserErrorException(
            "writing YAML needs the package PyYAML, which this interpreter does not have."
        ) from None
    return str(yaml.safe_dump(document, sort_keys=False, default_flow_style=False))


def read_requirements(path: str) -> Tuple[List[str], List[str]]:
    """The requirements of a file and of those that it includes, and its options.

    Raises:
        UserErrorException: it cannot be read, or holds a password.
        NotServedError: it asks for something of this machine's disk.
    """
    requirements: List[str] = []
    options: List[str] = []
    for line, where in _lines(path):
        requirement, option = requirement_or_option(line, where)
        if requirement:
            requirements.append(requirement)
        elif option:
            options.append(option)
    return requirements, options


def requirement_or_option(line: str, where: str) -> Tuple[str, str]:
    """One line of a requirements file: (requirement, ``""``) or (``""``, option).

    Raises:
        UserErrorException: its URL holds a password.
        NotServedError: pip has such an option and we do not, or it is a local package.
    """
    if _PASSWORD.search(line):
        raise UserErrorException(
            "a package index's URL holds a password, which would be kept with the pipeline.",
            where=where,
            hint="Leave it out and put it into the workers' ~/.netrc, or write ${NAME} for an "
            "environment variable of theirs.",
        )
    if not line.startswith("-"):
        text = re.sub(r"\s+--(hash|global-option|config-settings)\S*.*", "", line).strip()
        if _LOCAL.match(text):
            raise NotServedError(
                f"{text!r} is a package on this machine's disk, which the workers do not have.",
                where=where,
                hint="Put its sources into the step's source folder, or serve it by an index.",
            )
        return text, ""
    name, _, value = line.replace("=", " ", 1).partition(" ")
    if name not in _OPTIONS:
        raise NotServedError(f"pip's option {name!r} is not served.", where=where)
    kept = _OPTIONS[name]
    return "", f"{kept} {value.strip()}".strip() if kept else ""


def _lines(path: str, above: Tuple[str, ...] = ()) -> Iterator[Tuple[str, str]]:
    """Each line that says something, and where it stands; included files in their place."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read().replace("\\\n", " ")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserErrorException(f"it cannot be read: {reason}.", where=str(path)) from error
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        included = re.match(r"(?:-r|--requirement)[\s=]*(\S+)", line)
        if included:
            inner = os.path.join(os.path.dirname(path), included.group(1))
            if inner in (*above, path):
                raise UserErrorException(f"it includes itself by {inner}.", where=str(path))
            yield from _lines(inner, (*above, path))
        elif line:
            yield line, f"{path}:{number}"

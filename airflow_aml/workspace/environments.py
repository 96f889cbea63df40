"""Registered environments: what a workspace knows by name, in versions.

A document is ``{"spec": EnvironmentSpec, "variables": {...}, "version": text}``. v1 lets authors
choose a version's text (``1.0``), so it is looked for beside the numbers that the registry counts.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.curated import curated, curated_names
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.registry import Registry

KIND = "environments"

_PACKAGE = re.compile(r"(?:[^:\s]+::)?([A-Za-z0-9_][A-Za-z0-9._-]*)")

Document = Dict[str, Any]


def register(home: Home, name: str, document: Document, site: Mapping[str, Any] = {}) -> str:
    """Registers an environment and returns its version; the same once more makes no new one.

    Raises:
        UserErrorException: the version is there already and says something else.
    """
    registry = Registry(home.store)
    # What stands on another is kept whole: that may change.
    document = {**document, "spec": resolved(home, document["spec"], site)}
    wanted = str(document.get("version") or "")
    for version, known in _versions(registry, name):
        if _content(known) == _content(document) and (not wanted or wanted == version):
            return version
        if wanted and wanted == version:
            raise UserErrorException(
                f"environment {name!r} has a version {version} already, with other content.",
                hint="Give it another version, or none: then it gets the next number.",
            )
        if not wanted:
            break  # only the latest counts
    number = registry.create(KIND, name, document)
    return wanted or str(number)


def find(
    home: Home, name: str, version: Optional[str] = None, site: Mapping[str, Any] = {}
) -> Document:
    """The document of a registered environment, or of a curated one.

    Args:
        version: its text, or its number; None: the latest.
        site: curated environments of the site's.

    Raises:
        UserErrorException: there is no such name or version; the text says which there are.
    """
    registry = Registry(home.store)
    known = _versions(registry, name)
    if known:
        for text, document in known:
            if version is None or text == str(version):
                return {**document, "version": text}
        raise UserErrorException(
            f"environment {name!r} has no version {version}.",
            hint=f"Its versions: {', '.join(text for text, _ in reversed(known))}.",
        )
    found = curated(name, site)
    if found is not None:
        return found
    raise _unknown(name, {*registry.names(KIND), *curated_names(site)})


def registered(home: Home, name: str, version: Optional[str] = None) -> Optional[Tuple[str, str]]:
    """(version, digest of the content) of a registered environment; None if there is none."""
    for text, document in _versions(Registry(home.store), name):
        if version is None or text == str(version):
            content = json.dumps(_content(document), sort_keys=True)
            return text, f"sha256:{sha256(content.encode()).hexdigest()}"
    return None


def names(home: Home, site: Mapping[str, Any] = {}) -> List[str]:
    """The names of all registered and curated environments, sorted."""
    return sorted({*Registry(home.store).names(KIND), *curated_names(site)})


def resolved(
    home: Home,
    spec: Mapping[str, Any],
    site: Mapping[str, Any] = {},
    pending: Mapping[str, Document] = {},
) -> Dict[str, Any]:
    """A spec's document with the environment that its name means below what it says itself.

    Args:
        pending: environments that are about to be registered, name -> document.

    Raises:
        UserErrorException: there is no such environment.
    """
    if not spec.get("registered"):
        return dict(spec)
    name, version = str(spec["name"]), spec.get("version")
    document = _pending(home, name, version, pending) or find(home, name, version, site)
    below = document["spec"]
    if below.get("registered"):  # it is pending itself, and stands on another
        others = {key: value for key, value in pending.items() if key != name}
        below = resolved(home, below, site, others)
    result = {**below, **{key: value for key, value in spec.items() if value}}
    for key in ("pip_packages", "conda_packages", "pip_options"):
        result[key] = _on_top(spec.get(key) or (), below.get(key) or ())
    result["registered"] = False
    return result


def _on_top(said: Sequence[str], below: Sequence[str]) -> List[str]:
    """Both lists; what is said of a package takes the place of what is below, as in v1."""
    again = {_subject(each) for each in said}
    return list(dict.fromkeys([*(each for each in below if _subject(each) not in again), *said]))


def _subject(line: str) -> str:
    """What a requirement or an option is about: of it there is one."""
    if line.startswith("-"):
        return "--index-url" if line.startswith("--index-url") else line
    found = _PACKAGE.match(line.strip())
    return re.sub(r"[-_.]+", "-", found.group(1)).lower() if found else line


def _pending(
    home: Home, name: str, version: Optional[str], pending: Mapping[str, Document]
) -> Optional[Document]:
    """What is about to be registered under a name, unless an earlier version is what is meant."""
    found = pending.get(name)
    if found is None or version is None:
        return found
    kept = (text for text, _ in _versions(Registry(home.store), name))
    return None if str(version) in kept else found


def _versions(registry: Registry, name: str) -> List[Tuple[str, Document]]:
    """(version as authors say it, document), the latest first; empty for an unknown name."""
    if name not in registry.names(KIND):
        return []
    documents = [registry.get(KIND, name, each) for each in registry.versions(KIND, name)]
    return [(str(each.get("version") or number), each) for number, each in reversed(documents)]


def _content(document: Document) -> Any:
    spec = {key: value for key, value in document["spec"].items() if key != "version"}
    return spec, document.get("variables") or {}


def _unknown(name: str, known: Any) -> UserErrorException:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    hint = f"Is it {' or '.join(repr(each) for each in near)}? " if near else ""
    return UserErrorException(
        f"there is no environment named {name!r}.",
        hint=f"{hint}Register it with Environment.register; for Azure ML's own names see "
        "[aml] curated_environments.",
    )

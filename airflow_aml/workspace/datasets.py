"""Registered datasets: names, versions and ids of definitions.

::

    registry/dataset/<name>/<version>.json     {"id", "definition", "description", "tags", ...}
    registry/definition/<id>.json              definitions that are only known by their id

A definition is a document of the definition floor; here it is only kept. It says what was asked
for: paths and transformations, not content.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from airflow_aml.codec import decode, encode
from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.registry import Registry

ALL = "datasets"
"""What a question is about that is answered by a list of names."""

_KIND = "dataset"
_SAVED = "definition"


@dataclass(frozen=True)
class DatasetVersion:
    """One registered version.

    Attributes:
        id: of its definition.
        definition: a document (``definition_of`` reads it).
        created: UTC, ISO 8601.
        origin: what made it, for outputs: run and step-run ids, manifest digest, files, bytes.
    """

    id: str
    definition: Dict[str, Any]
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    created: str = ""
    origin: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NamedVersion:
    """A version with its name and number."""

    name: str
    number: int
    version: DatasetVersion


def now() -> str:
    """This moment in UTC, as documents keep it."""
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def register(
    home: Home,
    name: str,
    version: DatasetVersion,
    *,
    new_version: bool = False,
) -> NamedVersion:
    """Registers a definition under a name.

    With ``new_version``, a definition that is the name's latest already makes no new one; its
    description and tags are brought up to date.

    Raises:
        UserErrorException: the name is taken and ``new_version`` is not set.
    """
    registry = _registry(home)
    latest = find(home, name)
    if latest is not None and not new_version:
        raise _taken(latest, version.id)
    if latest is not None and latest.version.id == version.id:
        changed = _merged(latest, version)
        if changed != latest.version:
            registry.update(_KIND, name, latest.number, encode(changed))
        return NamedVersion(name, latest.number, changed)
    number = registry.create(_KIND, name, encode(version))
    return NamedVersion(name, number, version)


def _merged(known: NamedVersion, given: DatasetVersion) -> DatasetVersion:
    from dataclasses import replace

    return replace(
        known.version,
        description=given.description or known.version.description,
        tags={**known.version.tags, **given.tags},
    )


def _taken(known: NamedVersion, identifier: str) -> UserErrorException:
    if known.version.id == identifier:
        return UserErrorException(
            "An identical dataset had already been registered, which can be retrieved with "
            f'`Dataset.get_by_name(workspace, name="{known.name}", version={known.number})`.'
        )
    return UserErrorException(
        f'There is already a dataset registered under name "{known.name}". '
        "Specify `create_new_version=True` to register the dataset as a new version. "
        "Use `update`, `add_tags`, or `remove_tags` to change only the description or tags."
    )


def get(home: Home, name: str, version: Optional[int] = None) -> NamedVersion:
    """A version of a name; the latest for None.

    Raises:
        UserErrorException: there is no such name or version; the text lists what there is.
    """
    number, document = _registry(home).get(_KIND, name, "latest" if version is None else version)
    return NamedVersion(name, number, decode(DatasetVersion, document))


def find(home: Home, name: str) -> Optional[NamedVersion]:
    """The latest version of a name, if there is one."""
    if name not in _registry(home).names(_KIND):
        return None
    return get(home, name)


def names(home: Home) -> List[str]:
    """All registered names, sorted."""
    return _registry(home).names(_KIND)


def listing(names: List[str]) -> str:
    """A digest of names: whether a list is still the same list."""
    from airflow_aml.workspace.digests import digest_record

    return digest_record(["datasets", 1, *((name, "") for name in names)])


def versions(home: Home, name: str) -> List[int]:
    """The numbers of a name's versions, ascending.

    Raises:
        UserErrorException: there is no such name.
    """
    return _registry(home).versions(_KIND, name)


def update(home: Home, name: str, number: int, version: DatasetVersion) -> None:
    """Replaces what is kept of a version; its definition stays what it was."""
    _registry(home).update(_KIND, name, number, encode(version))


def save_definition(home: Home, identifier: str, definition: Mapping[str, Any]) -> None:
    """Keeps a definition so that its id alone leads to it."""
    document = {"id": identifier, "definition": dict(definition)}
    _registry(home).put(_SAVED, identifier, document, overwrite=True)


def by_id(home: Home, identifier: str) -> DatasetVersion:
    """The definition with that id, registered or only saved.

    Raises:
        UserErrorException: there is none.
    """
    registry = _registry(home)
    try:
        return decode(DatasetVersion, registry.load(_SAVED, identifier))
    except UserErrorException:
        pass
    return named_by_id(home, identifier).version


def named_by_id(home: Home, identifier: str) -> NamedVersion:
    """A registered version whose definition has that id.

    Raises:
        UserErrorException: there is none.
    """
    name, number, document = _registry(home).by_id(_KIND, identifier)
    return NamedVersion(name, number, decode(DatasetVersion, document))


def _registry(home: Home) -> Registry:
    from airflow_aml.workspace.registry import Registry

    return Registry(home.store)


def remove_all(home: Home, name: str) -> None:
    """Forgets all versions of a name; data and saved definitions stay.

    Raises:
        UserErrorException: there is no such name.
    """
    numbers = versions(home, name)
    for number in numbers:
        kept = get(home, name, number).version
        save_definition(home, kept.id, kept.definition)
    from airflow_aml.workspace.names import file_name

    folder = f"registry/{_KIND}/{file_name(name)}"
    home.store.delete([f"{folder}/{number}.json" for number in numbers])

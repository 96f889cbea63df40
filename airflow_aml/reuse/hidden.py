"""Questions that a script put to the workspace, and what the answer is now.

A question is ``{"kind", "name", "version"}``: the registry's word for what was asked
(``dataset``, ``model``), its name, and the version that was asked for: a number, or None for the
latest. The answer is ``{"version", "id", "content"}``, or None where there is no such thing: a
version of a dataset says where its data is, so what is there now belongs to the answer. Of a list
(``datasets``, ``models``; the name is ``*`` or that of one model) the id is a digest. Of files that
the script found by itself (``files``, ``below``) the answer is their content alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError, UserErrorException, WorkspaceException
from airflow_aml.reuse.aside import Aside
from airflow_aml.reuse.fingerprint import NoKey
from airflow_aml.runtime.hidden import (
    BELOW,
    DATASTORE,
    DESCRIBED,
    EXPERIMENT,
    FILES,
    REGISTERED,
    RUN,
    description_of,
    seen,
)

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


def recorded(home: Home, read: Mapping[str, Any]) -> dict[str, Any]:
    """A read as a record keeps it: with what the data held, where the script noted which it was.

    Raises:
        WorkspaceException: files are not what the script has seen; or the workspace cannot be read.
        OSError: nobody can tell what was there.
    """
    asked, noted = read["asked"], read["resolved"]
    if asked["kind"] in (EXPERIMENT, REGISTERED, RUN, DESCRIBED):
        return dict(read)
    try:
        found = answer(home, asked, keep=True)
    except NoKey:  # nor can it be told the next time
        return {"asked": asked, "resolved": None}
    if asked["kind"] in (FILES, BELOW):
        # In this order: what changed before the content was read is seen after it.
        if _seen(home, asked) != noted:
            raise WorkspaceException(f"{_shown(asked)} changed while the script ran.")
        return {"asked": asked, "resolved": found}
    if noted and found and all(found[name] == value for name, value in noted.items()):
        return {"asked": asked, "resolved": found}
    return dict(read)


def wrong_with_read(home: Home, read: Mapping[str, Any], experiment: str) -> str | None:
    """Why the answer that a script got is not what it would get now; None if it is.

    Args:
        experiment: of the run that is decided.
    """
    asked, before = read.get("asked"), read.get("resolved")
    if not isinstance(asked, Mapping):
        return "what its script has asked for cannot be told"
    if asked.get("kind") == RUN:
        return "its script reads the record of a run, which is never reused"
    if asked.get("kind") in (EXPERIMENT, REGISTERED):
        noted = before if isinstance(before, Mapping) else {}
        if asked["kind"] == REGISTERED:
            return _not_the_latest(home, asked, noted)
        return _another_experiment(experiment, noted.get("id"))
    return _wrong_with_answer(home, asked, before)


def _wrong_with_answer(home: Home, asked: Mapping[str, Any], before: Any) -> str | None:
    aside = Aside()
    try:
        now = answer(home, asked, aside=aside)
    except NoKey as error:
        return f"what the script reads ({_shown(asked)}) {error}"
    except (AirflowAmlError, OSError) as error:
        return f"what the script asked for ({_shown(asked)}) is not there any more ({error})"
    return None if now == before else _difference(home, asked, before, now, aside)


def last_of_each(reads: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All reads, but of what a script changed itself the last alone: of the versions of one name
    that it registered, and of what it saw and then said of a version."""
    kept: dict[Any, Mapping[str, Any]] = {}
    for number, read in enumerate(reads):
        asked = read.get("asked") or {}
        key: Any = number
        if asked.get("kind") in (REGISTERED, DESCRIBED):
            key = tuple(asked.get(each) for each in ("kind", "of", "name", "version"))
        kept[key] = read
    return [*kept.values()]


def _another_experiment(name: str, was: Any) -> str | None:
    said = f"its script asks for the name of the experiment, which is {name!r} now"
    return None if was == name else f"{said} and was {was!r}"


def _not_the_latest(home: Home, asked: Mapping[str, Any], made: Mapping[str, Any]) -> str | None:
    """Why what a script registered itself is not what its name means now; None if it is.

    What another step of the same run of its pipeline made of the name later stays.
    """
    of, name = str(asked.get("of")), str(asked.get("name"))
    try:
        found = _registered(home, of, name, None)
    except (AirflowAmlError, OSError) as error:
        return f"{of} {name!r}, which its script registered, cannot be looked up ({error})"
    own = f"this result registered version {made.get('version')}"
    if found is None:
        return f"{of} {name!r} has no latest version now, and {own}"
    number, latest = found
    if latest.get("id") == made.get("id"):
        return None
    run = made.get("pipeline_run")
    if run and run in (latest.get("origin") or {}).values():
        return None
    return f"{of} {name!r} is at version {number} now, and {own}"


def answer(
    home: Home, asked: Mapping[str, Any], *, keep: bool = False, aside: Aside | None = None
) -> dict[str, Any] | None:
    """What the workspace answers now; to be recorded, and to be compared.

    Args:
        keep, aside: what becomes of the names of files: see
            :func:`~airflow_aml.reuse.inputs.content_of`.

    Raises:
        WorkspaceException: the registry cannot be read.
        NoKey: nobody can tell what the data is.
        UserErrorException, OSError: the data is not there.
    """
    from airflow_aml.reuse.inputs import NoFiles, content_below, content_of
    from airflow_aml.workspace import datasets, models

    kind, name = str(asked.get("kind", "")), str(asked.get("name", ""))
    if kind in (datasets.ALL, models.ALL):
        return {"version": None, "id": _listing(kind, name, home)}
    if kind == BELOW:
        store = str(asked.get("datastore", ""))
        return {"content": content_below(store, name, home, keep=keep, aside=aside)}
    if kind == FILES:
        try:
            content = content_of(asked["definition"], home, home.url, keep=keep, aside=aside)
        except NoFiles:
            return None
        return {"content": content}
    found = _looked_up(home, kind, name, asked)
    if found is not None and kind == "dataset" and found[1].get("definition"):
        content = content_of(found[1]["definition"], home, home.url, keep=keep, aside=aside)
        return {"version": found[0], "id": found[1].get("id"), "content": content}
    return found and {"version": found[0], "id": found[1].get("id")}


def _looked_up(
    home: Home, kind: str, name: str, asked: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]] | None:
    """(version, what is known of it, ``id`` at least) of something with a name."""
    from airflow_aml.workspace import environments
    from airflow_aml.workspace.datastores import datastore_names, default_datastore

    version = asked.get("version")
    if kind == DATASTORE:
        if not name:
            return None, {"id": default_datastore(home)}
        return (None, {"id": name}) if name in datastore_names(home) else None
    if kind == DESCRIBED:
        found = _registered(home, str(asked.get("of")), name, version)
        return found and (found[0], {"id": description_of(found[1])})
    if kind == environments.KIND:
        known = environments.registered(home, name, version)
        return known and (known[0], {"id": known[1]})
    return _registered(home, kind, name, version)


def _registered(
    home: Home, kind: str, name: str, version: Any
) -> tuple[int, Mapping[str, Any]] | None:
    from airflow_aml.workspace.registry import LATEST, Registry

    try:
        wanted = LATEST if version is None else version
        number, document = Registry(home.store).get(kind, name, wanted)
    except UserErrorException:
        return None
    return None if document.get("deleted") else (number, document)


def _listing(kind: str, name: str, home: Home) -> str:
    from airflow_aml.workspace import datasets, models

    if kind == datasets.ALL:
        return datasets.listing(datasets.names(home))
    return models.listing(models.versions(home, None if name == "*" else name))


def _seen(home: Home, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Paths, sizes and times of files, as the script has noted them."""
    from airflow_aml.definition.data.files import NoSuchFiles, files_of
    from airflow_aml.definition.data.model import Query, definition_of
    from airflow_aml.definition.data.places import places_of
    from airflow_aml.workspace.datastores import open_datastore

    if asked["kind"] == BELOW:
        store = open_datastore(home, str(asked["datastore"]))
        found = [(each.path, each.size, each.version) for each in store.find(asked["name"])]
        return {"seen": seen(found)}
    definition = definition_of(asked["definition"])
    assert not isinstance(definition, Query)
    try:
        files = files_of(definition.paths, places_of(lambda: home, home.url))
    except NoSuchFiles:
        return None
    return {"seen": seen((each.path, each.size, each.version) for each in files)}


def _difference(home: Home, asked: Mapping[str, Any], before: Any, now: Any, aside: Aside) -> str:
    from airflow_aml.reuse.compare import changed_content

    verb = "reads" if asked.get("kind") in (FILES, BELOW) else "asks for"
    what = f"what the script {verb} ({_shown(asked)})"
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return f"{what} is {'there now' if now else 'not there any more'}"
    if before.get("version") != now.get("version"):
        versions = f"version {now.get('version')} instead of {before.get('version')}"
        return f"{what} has another answer now: {versions}"
    if before.get("id") != now.get("id") or "content" not in before:
        return f"{what} has another answer now"
    return changed_content(what, _changed_files(home, before["content"], now["content"], aside))


def _changed_files(home: Home, before: str, now: str, aside: Aside) -> list[str] | None:
    from airflow_aml.reuse.files import differing, load_files
    from airflow_aml.reuse.places import Places

    earlier = load_files(home, before, None, Places(home))
    return differing(earlier, aside.inputs[now]()) if earlier and now in aside.inputs else None


def _shown(asked: Mapping[str, Any]) -> str:
    from airflow_aml.workspace import environments

    version = asked.get("version")
    kind, name = asked.get("kind", "something"), asked.get("name", "?")
    if kind in ("datasets", "models"):
        return f"the list of {kind}" if name == "*" else f"the versions of model {name!r}"
    if kind == BELOW:
        return f"{repr(name) if name else 'all files'} of {_datastore(asked.get('datastore'))}"
    if kind == FILES:
        return _shown_files(name, asked.get("definition"))
    if kind == DATASTORE and not name:
        return "the name of the default datastore"
    if kind == DESCRIBED:
        return f"tags and description of {asked.get('of')} {name!r}, version {version}"
    kind = "environment" if kind == environments.KIND else kind
    return f"{kind} {name!r}{f', version {version}' if version not in (None, 'latest') else ''}"


def _shown_files(name: str, definition: Any) -> str:
    paths = definition.get("paths", ()) if isinstance(definition, Mapping) else ()
    stores = {each.get("datastore", "") for each in paths if each.get("kind") == "stored_path"}
    if len(stores) != 1:
        return repr(name)
    return f"{name!r} of {_datastore(stores.pop())}"


def _datastore(name: Any) -> str:
    return f"datastore {name!r}" if name else "the default datastore"

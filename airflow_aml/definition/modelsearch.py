"""Which version of a registered model is meant: a number, some tags and properties, the latest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Tuple, Union

from airflow_aml.codec import encode
from airflow_aml.definition.homes import home_of
from airflow_aml.errors import ModelNotFoundException, UserErrorException
from airflow_aml.runtime.hidden import note, note_described, work_folder

if TYPE_CHECKING:
    from airflow_aml.workspace.models import ModelVersion

Wanted = Union[None, str, Mapping[str, Any], Sequence[Any]]


def find_model(
    workspace: Any,
    name: str,
    version: Optional[int],
    tags: Wanted,
    properties: Wanted,
    run_id: Optional[str],
) -> Any:
    """The version, and what the workspace keeps of it; that it was asked for is noted.

    Raises:
        ModelNotFoundException: there is none; the text says what there is.
    """
    from airflow_aml.workspace import models

    home = home_of(workspace)
    try:
        if version is None and (tags or properties or run_id):
            known_versions = list(models.versions(home, name))
            note_listing(name, known_versions)
            return next(
                (number, known)
                for _, number, known in known_versions
                if fits(known, tags, properties, run_id)
            )
        found = models.get(home, name, version)
    except StopIteration:
        raise ModelNotFoundException(
            f"no version of model {name!r} has these tags and properties."
        ) from None
    except UserErrorException as error:
        note(models.KIND, name, version, None)
        raise ModelNotFoundException(str(error)) from error
    note(models.KIND, name, version, {"version": found[0], "id": found[1].id})
    return found


def note_listing(name: Optional[str], found: Sequence[Tuple[str, int, ModelVersion]]) -> None:
    """Notes that a script has seen all versions of one model, or of all."""
    from airflow_aml.workspace import models

    note(models.ALL, name or "*", None, {"version": None, "id": models.listing(found)})


def note_known(name: str, version: int, known: ModelVersion) -> None:
    """Notes what a script has seen, or made, of what is said of a version."""
    from airflow_aml.workspace import models

    if work_folder() is not None:
        note_described(models.KIND, name, version, encode(known))


def fits(known: ModelVersion, tags: Wanted, properties: Wanted, run_id: Optional[str]) -> bool:
    """Whether a version has all of these."""
    return (
        _has(known.tags, tags)
        and _has(known.properties, properties)
        and run_id in (None, known.origin.get("run"))
    )


def _has(there: Mapping[str, Any], wanted: Wanted) -> bool:
    """v1's search: a name, names, ``[name, value]`` pairs, or a dict; all of them must be there."""
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted in there
    if isinstance(wanted, Mapping):
        return all(key in there and str(there[key]) == str(wanted[key]) for key in wanted)
    return all(
        each in there
        if isinstance(each, str)
        else each[0] in there and str(there[each[0]]) == str(each[1])
        for each in wanted
    )


def local_model(folder: str, name: str, version: Optional[int]) -> Optional[str]:
    """What ``<folder>/<name>/<version>/`` holds; of several versions the latest."""
    place = os.path.join(folder, name)
    try:
        numbers = sorted(int(each) for each in os.listdir(place) if each.isdigit())
    except OSError:
        return None
    if version is not None:
        numbers = [each for each in numbers if each == int(version)]
    for number in reversed(numbers):
        below = os.path.join(place, str(number))
        names = os.listdir(below)
        if len(names) == 1:
            return os.path.join(below, names[0])
        if names:
            return below
    return None

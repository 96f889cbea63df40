"""What a step has done beside its outputs, and whether that is still so.

An author's fixed destination shows the files of whoever published last, and "latest" of a dataset
is whoever registered last. A step whose result is reused must not leave another's there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.places import Listed, Places
from airflow_aml.reuse.records import StepRecord, stamp_of

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


def has_effects(record: StepRecord) -> bool:
    """Whether there is anything that may have to be put into place again."""
    return bool(record.registered) or any(each.view for each in record.outputs.values())


def still_in_place(record: StepRecord, home: Home, places: Places | None = None) -> str | None:
    """Why a result has to be published again, without a full stop; None if it has not.

    For :attr:`~airflow_aml.reuse.walk.Rules.in_place`. It never raises: what cannot be looked at is
    published again.

    Args:
        places: of the same workspace, so that stores are opened once.
    """
    places = places or Places(home)
    for name, output in record.outputs.items():
        if output.view is None:
            continue
        try:
            if view_stamp(output.uri, output.view, places) != output.view_stamp:
                return f"the destination of output {name!r} holds other files"
        except FileNotFoundError:
            return f"the destination of output {name!r} lacks files of it"
        except (OSError, AirflowAmlError) as error:
            return f"the destination of output {name!r} cannot be checked ({error})"
    for each in record.registered:
        wrong = _wrong_registration(str(each.get("name")), each.get("version"), home)
        if wrong:
            return wrong
    return None


def view_stamp(uri: str, view: str, places: Places) -> str:
    """The stamp of an output's own files in its fixed destination; others there do not count.

    Args:
        uri: of the immutable copy, which tells the names.
        view: of the destination: a folder, or one file.

    Raises:
        FileNotFoundError: a file of the output is not there.
        OSError, WorkspaceException: one of the two places cannot be looked at.
    """
    names = [each.path for each in places.files(uri)]
    return stamp_of(_in_view(names, view, places))


def _in_view(names: list[str], view: str, places: Places) -> list[Listed]:
    if view.startswith("file:") or len(names) <= 1:
        return [places.file(view, name) for name in names]
    # One listing of a store is cheaper than a question for each file.
    there = {each.path: each for each in places.files(view)}
    missing = [name for name in names if name not in there]
    if missing:
        raise FileNotFoundError(missing[0])
    return [there[name] for name in names]


def _wrong_registration(name: str, version: object, home: Home) -> str | None:
    from airflow_aml.workspace import datasets

    try:
        numbers = datasets.versions(home, name)
    except (AirflowAmlError, OSError) as error:
        return f"dataset {name!r} cannot be looked up ({error})"
    if not numbers or numbers[-1] != version:
        latest = numbers[-1] if numbers else None
        return f"the latest version of dataset {name!r} is {latest}, not its own {version}"
    return None

"""What a step has done beside its outputs, and whether that is still so.

An author's fixed destination shows the files of whoever published last, and "latest" of a dataset
is whoever registered last. A step whose result is reused must not leave another's there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_aml.codec import decode
from airflow_aml.definition.data.model import definition_id
from airflow_aml.definition.spec import OutputSpec
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.destinations import wanted_view
from airflow_aml.reuse.places import Listed, Places
from airflow_aml.reuse.records import StepRecord, stamp_of

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


def still_in_place(
    record: StepRecord,
    home: Home,
    places: Places | None = None,
    registers: Mapping[str, Any] = {},
) -> str | None:
    """Why a result has to be published again, without a full stop; None if it has not.

    For :attr:`~airflow_aml.reuse.walk.Rules.in_place`. It never raises: what cannot be looked at is
    published again.

    Args:
        places: of the same workspace, so that stores are opened once.
        registers: what the step wants to be registered now, whatever the result was registered as
            when it was made (:attr:`~airflow_aml.reuse.walk.WalkStep.registers`).
    """
    places = places or Places(home)
    for name, output in record.outputs.items():
        try:
            wanted = wanted_view(record, name, places)
            if wanted is not None and wanted[0] != output.view:
                at = f"{wanted[1].path!r} of datastore {wanted[1].datastore!r}"
                return f"the destination of output {name!r} is {at} now"
            if output.view is None:
                continue
            if view_stamp(output.uri, output.view, places) != output.view_stamp:
                return f"the destination of output {name!r} holds other files"
        except FileNotFoundError:
            return f"the destination of output {name!r} lacks files of it"
        except (OSError, AirflowAmlError) as error:
            return f"the destination of output {name!r} cannot be checked ({error})"
    for document in registers.values():
        wrong = _wrong_registration(decode(OutputSpec, document), record, home)
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


def _wrong_registration(output: OutputSpec, record: StepRecord, home: Home) -> str | None:
    from airflow_aml.definition.registered import registered_definition
    from airflow_aml.workspace import datasets

    reference = record.outputs[output.name].reference
    own = {each.get("name"): each.get("version") for each in record.registered}
    for registration in output.registrations:
        name = registration.name
        try:
            wanted = registered_definition(output, registration, reference, home)
            found = datasets.find(home, name)
        except (AirflowAmlError, OSError) as error:
            return f"dataset {name!r} cannot be looked up ({error})"
        if found is None:
            return f"it is not registered as {name!r}"
        if found.version.id == definition_id(wanted):
            continue
        if own.get(name) == found.number:
            return f"version {found.number} of dataset {name!r} is read in another way"
        its = f"its own {own[name]}" if name in own else "this result"
        return f"the latest version of dataset {name!r} is {found.number}, not {its}"
    return None

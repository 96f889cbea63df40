"""What a step has done beside its outputs, and whether that is still so.

An author's fixed destination shows the files of whoever published last, and "latest" of a dataset
is whoever registered last. A step whose result is reused must not leave another's there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_aml.codec import decode
from airflow_aml.definition.data.model import definition_id
from airflow_aml.definition.overlaps import AFTER, BESIDE
from airflow_aml.definition.spec import OutputSpec, Registration
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.destinations import wanted_view
from airflow_aml.reuse.places import Listed, Places
from airflow_aml.reuse.records import OutputRecord, StepRecord, stamp_of
from airflow_aml.reuse.verify import manifest_files
from airflow_aml.workspace.content import digest_file
from airflow_aml.workspace.layout import step_run_id
from airflow_aml.workspace.uris import path_of_uri

if TYPE_CHECKING:
    from airflow_aml.workspace.datasets import NamedVersion
    from airflow_aml.workspace.home import Home

_MOST_READ = 1 << 26
"""Of a destination with more bytes a reason says that it holds other files, not which."""


def still_in_place(
    record: StepRecord,
    home: Home,
    places: Places | None = None,
    registers: Mapping[str, Any] = {},
    shared: Mapping[str, Any] = {},
) -> str | None:
    """Why a result has to be published again, without a full stop; None if it has not.

    For :attr:`~airflow_aml.reuse.walk.Rules.in_place`. It never raises: what cannot be looked at is
    published again.

    Args:
        places: of the same workspace, so that stores are opened once.
        registers: what the step wants to be registered now, whatever the result was registered as
            when it was made (:attr:`~airflow_aml.reuse.walk.WalkStep.registers`).
        shared: which other steps register the same names
            (:attr:`~airflow_aml.reuse.walk.WalkStep.shared`).
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
                other = _other_file(output, output.view, places)
                what = f"another {other!r}" if other else "other files"
                return f"the destination of output {name!r} holds {what}"
        except FileNotFoundError as error:
            lost = error.args[0] if error.args else ""
            what = f"its {lost!r}" if isinstance(lost, str) and lost else "files of it"
            return f"the destination of output {name!r} lacks {what}"
        except (OSError, AirflowAmlError) as error:
            return f"the destination of output {name!r} cannot be checked ({error})"
    return _wrong_registrations(registers, shared, record, home)


def _wrong_registrations(
    registers: Mapping[str, Any], shared: Mapping[str, Any], record: StepRecord, home: Home
) -> str | None:
    # Of two outputs with one name the second has the last word.
    lasting = {
        registration.name: (output, registration)
        for output in (decode(OutputSpec, document) for document in registers.values())
        for registration in output.registrations
    }
    for name, (output, registration) in lasting.items():
        wrong = _wrong_registration(output, registration, record, home, shared.get(name, {}))
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
    there: dict[str, Listed] = {}
    with suppress(FileNotFoundError):
        if view.startswith("file:") or len(names) <= 1:
            for name in names:
                there[name] = places.file(view, name)
        else:  # one listing of a store is cheaper than a question for each file
            there = {each.path: each for each in places.files(view)}
    missing = [name for name in names if name not in there]
    if missing:
        raise FileNotFoundError(missing[0])
    return [there[name] for name in names]


def _other_file(output: OutputRecord, view: str, places: Places) -> str | None:
    """The first file of an output that is another one in its destination; None: nobody knows."""
    for path, size, digest, _ in manifest_files(output.uri, output.digest, places) or ():
        if places.file(view, path).size != size:
            return path
        if view.startswith("file:") and output.bytes <= _MOST_READ:
            now = digest_file(os.path.join(path_of_uri(view), path).rstrip("/"))
            if now != digest and now.partition(":")[0] == digest.partition(":")[0]:
                return path
    return None


def _wrong_registration(
    output: OutputSpec,
    registration: Registration,
    record: StepRecord,
    home: Home,
    others: Mapping[str, Sequence[str]],
) -> str | None:
    from airflow_aml.definition.registered import registered_definition
    from airflow_aml.workspace import datasets

    name, reference = registration.name, record.outputs[output.name].reference
    own = {each.get("name"): each.get("version") for each in record.registered}
    try:
        wanted = definition_id(registered_definition(output, registration, reference, home))
        found = datasets.find(home, name)
        if found is not None and others and _is_anothers(found, others):
            mine = datasets.get(home, name, own[name]) if name in own else None
            if mine is not None and mine.version.id == wanted:
                return None
    except (AirflowAmlError, OSError) as error:
        return f"dataset {name!r} cannot be looked up ({error})"
    if found is None:
        return f"it is not registered as {name!r}"
    if found.version.id == wanted:
        return None
    if own.get(name) == found.number:
        return f"version {found.number} of dataset {name!r} is read in another way"
    its = f"its own {own[name]}" if name in own else "this result"
    return f"the latest version of dataset {name!r} is {found.number}, not {its}"


def _is_anothers(latest: NamedVersion, others: Mapping[str, Sequence[str]]) -> bool:
    """Whether the latest version is the concern of another step of the pipeline.

    A later step sees to it by itself; of steps that wait for neither whoever came last has it.
    """
    if others.get(AFTER):
        return True
    origin = latest.version.origin
    ids = [step_run_id(str(origin.get("run")), task) for task in others.get(BESIDE, ())]
    return origin.get("step_run") in ids

"""Putting an earlier result into place again: fixed destinations, and "latest" of a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_aml.reuse.destinations import wanted_view
from airflow_aml.reuse.effects import view_stamp
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.moments import next_moment
from airflow_aml.reuse.places import Places
from airflow_aml.reuse.records import OutputRecord, StepRecord
from airflow_aml.workspace.committed import find_document
from airflow_aml.workspace.uris import path_of_uri

_LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.definition.registered import RegisteredOutput


def publish_again(
    run: StepRun, record: StepRecord, register: Callable[[], list[RegisteredOutput]]
) -> None:
    """Fills the fixed destinations of a result that is reused, registers it, and records both.

    Raises:
        WorkspaceException: another step has been filling a destination for too long.
        UserErrorException: a destination may not be overwritten.
        OSError: a destination cannot be written.
    """
    places = Places(run.home)
    overwrite = {output.name: output.overwrite for output in run.node.outputs}
    views = {
        name: _filled(run, output, _view(record, name, places), overwrite.get(name, True), places)
        for name, output in record.outputs.items()
    }
    # After all are filled, as two outputs may show files of one name in one place.
    outputs = {
        name: _stamped(output, views[name], places) for name, output in record.outputs.items()
    }
    registered = tuple({"name": each.name, "version": each.version} for each in register())
    again = replace(
        record,
        outputs=outputs,
        registered=registered,
        created=next_moment(run.home, record.fingerprint),
        made=record.made or record.created,  # its result is no younger for it
    )
    Index(run.home).add(again)


def _view(record: StepRecord, name: str, places: Places) -> str | None:
    wanted = wanted_view(record, name, places)
    return wanted[0] if wanted is not None else record.outputs[name].view


def _filled(
    run: StepRun, output: OutputRecord, view: str | None, overwrite: bool, places: Places
) -> str | None:
    """The destination that shows the output now, if it has one."""
    if view is None:
        return None
    try:
        is_there = view_stamp(output.uri, view, places) == output.view_stamp
    except OSError:
        is_there = False
    if not is_there or view != output.view:
        _fill(run, output.uri, view, overwrite)
    return view


def _stamped(output: OutputRecord, view: str | None, places: Places) -> OutputRecord:
    if view is None:
        return output
    return replace(output, view=view, view_stamp=view_stamp(output.uri, view, places))


def _fill(run: StepRun, uri: str, view: str, overwrite: bool) -> None:
    from airflow_aml.airflow.connections import as_text
    from airflow_aml.runtime import STORES_VARIABLE
    from airflow_aml.runtime.places import Places as JobPlaces
    from airflow_aml.runtime.refill import refill

    job = run.job()
    document = find_document(run.home, uri)
    stores = JobPlaces(
        {STORES_VARIABLE: as_text(run.stores.handed())},
        lambda line: _LOG.info("%s", line.decode("utf-8", "replace").rstrip()),
    )
    refill(
        job,
        _place(uri),
        run.stores.place(document) if document else "",
        _place(view),
        stores,
        overwrite=overwrite,
    )


def _place(uri: str) -> str:
    return path_of_uri(uri) if uri.startswith("file:") else uri

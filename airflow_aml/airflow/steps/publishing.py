"""Putting an earlier result into place again: fixed destinations, and "latest" of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_aml.reuse.effects import view_stamp
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.places import Places
from airflow_aml.reuse.records import OutputRecord, StepRecord, now
from airflow_aml.workspace.content import manifest_of
from airflow_aml.workspace.uris import path_of_uri

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
    outputs = {
        name: _filled(output, run.id, overwrite.get(name, True), places)
        for name, output in record.outputs.items()
    }
    registered = tuple({"name": each.name, "version": each.version} for each in register())
    Index(run.home).add(replace(record, outputs=outputs, registered=registered, created=now()))


def _filled(output: OutputRecord, attempt: str, overwrite: bool, places: Places) -> OutputRecord:
    if output.view is None:
        return output
    try:
        if view_stamp(output.uri, output.view, places) == output.view_stamp:
            return output
    except OSError:
        pass
    _fill(output.uri, output.view, attempt, overwrite)
    return replace(output, view_stamp=view_stamp(output.uri, output.view, places))


def _fill(uri: str, place: str, attempt: str, overwrite: bool) -> None:
    from airflow_aml.runtime.views import View

    source = path_of_uri(uri)
    view = View(path_of_uri(place), attempt, overwrite=overwrite)
    try:
        view.prepare(source, manifest_of(source), lambda: None)
        view.publish(source)
    finally:
        view.close()

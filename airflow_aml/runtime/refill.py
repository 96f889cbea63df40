"""Filling a fixed destination once more from what was committed earlier, wherever the two are."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Union

from airflow_aml.runtime import is_uri
from airflow_aml.runtime.fetch import fetch_input
from airflow_aml.runtime.job import JobInput
from airflow_aml.runtime.remoteviews import RemoteView
from airflow_aml.runtime.views import View
from airflow_aml.workspace.manifests import build

if TYPE_CHECKING:
    from airflow_aml.runtime.job import StepJob
    from airflow_aml.runtime.places import Places


def refill(
    job: StepJob, source: str, manifest: str, view: str, places: Places, *, overwrite: bool
) -> None:
    """Fills ``view`` with the files of an output.

    Args:
        job: says who fills it, where scratch files go, and which cache to use.
        source: the committed output: a local path, or a URI.
        manifest: of a remote one, the place of its document.

    Raises:
        UserErrorException: the output is gone, or the view may not be overwritten.
        WorkspaceException: a store cannot be used, or another step fills the view for too long.
    """
    folder = os.path.join(job.work, "view")
    target: Union[View, RemoteView]
    if is_uri(view):
        target = RemoteView(view, job.attempt, places, overwrite=overwrite)
    else:
        target = View(view, job.attempt, overwrite=overwrite)
    try:
        local = source
        if is_uri(source):
            port = JobInput("view", (source,), None, True, manifest=manifest)
            local = fetch_input(job, port, folder, lambda: None, places)
        target.prepare(local, build(local), lambda: None)
        target.publish(local)
    finally:
        target.close()
        shutil.rmtree(folder, ignore_errors=True)

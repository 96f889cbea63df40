"""Before the script: its sources in a folder of its own, its inputs, and places for its outputs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Dict, List, NamedTuple, Tuple

from airflow_aml.errors import UserErrorException
from airflow_aml.runtime import inputs, is_uri
from airflow_aml.workspace.unpack import extract

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobInput, JobOutput, StepJob
    from airflow_aml.runtime.places import Places

KEPT_FOLDERS = ("outputs", "logs")


class Staged(NamedTuple):
    """A step that is ready to run.

    Attributes:
        source: the folder that the script runs in.
        inputs, outputs: what each port's argument becomes.
        written_elsewhere: (place, staging) of outputs that the script writes at a place of its own
            wish, from where they are moved to staging afterwards.
        links: symlinks outside of the work folder, to be removed afterwards.
    """

    source: str
    inputs: Dict[str, str]
    outputs: Dict[str, str]
    written_elsewhere: List[Tuple[str, str]]
    links: List[str]


def prepare(
    job: StepJob,
    check: Callable[[], None],
    warn: Callable[[str], None],
    remote: Callable[[], Places],
) -> Staged:
    """Lays everything out that the script expects (architecture, section 8).

    Args:
        job: the step.
        check: called between the parts; it raises when the step must stop.
        warn: told what could not be had as the author wished.
        remote: the job's remote stores; not called where it has none.

    Raises:
        UserErrorException: the script or an input is missing.
        SnapshotException: the sources cannot be unpacked.
        WorkspaceException: a remote store cannot be used.
    """
    source = os.path.join(job.work, "src")
    for made in (source, os.path.join(job.work, "inputs")):
        remove(made)  # of the same job, run by hand before
    extract(_snapshot(job, check, remote), source)
    _check_script(job, source)
    for name in KEPT_FOLDERS:
        os.makedirs(os.path.join(source, name), exist_ok=True)
    check()
    staged = Staged(source, {}, {}, [], [])
    for port in job.inputs:
        path = _input(job, port, check, remote)
        if port.path_on_compute and port.mode != "direct":
            path = _honour(job, staged, port.path_on_compute, path, warn)
        staged.inputs[port.name] = path
    for output in job.outputs:
        check()
        staged.outputs[output.name] = _open_output(job, staged, output, warn)
    return staged


def remove(path: str) -> None:
    """Removes a file, link or folder, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _snapshot(job: StepJob, check: Callable[[], None], remote: Callable[[], Places]) -> str:
    if not is_uri(job.snapshot):
        return job.snapshot
    from airflow_aml.runtime.fetch import fetch_snapshot

    return fetch_snapshot(job, check, remote())


def _input(
    job: StepJob, port: JobInput, check: Callable[[], None], remote: Callable[[], Places]
) -> str:
    farm = _farm(job, port.name)
    if port.files or (port.paths and is_uri(port.paths[0])):
        from airflow_aml.runtime.fetch import fetch_input

        return fetch_input(job, port, farm, check, remote())
    return inputs.resolve(port, farm, check)


def _check_script(job: StepJob, source: str) -> None:
    script = os.path.normpath(os.path.join(source, job.script))
    if not script.startswith(source + os.sep) or not os.path.isfile(script):
        there = sorted(os.listdir(source))
        shown = ", ".join(there[:10]) + (", ..." if len(there) > 10 else "")
        raise UserErrorException(
            f"the source folder of the step {job.step!r} holds no script {job.script!r}.",
            hint=f"It holds: {shown or 'nothing'}. An ignore file may have left the script out.",
        )


def _farm(job: StepJob, name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UserErrorException(f"{name!r} cannot be the name of an input.")
    return os.path.join(job.work, "inputs", name)


def _open_output(
    job: StepJob, staged: Staged, output: JobOutput, warn: Callable[[str], None]
) -> str:
    remove(output.staging)
    is_folder = output.style == "dataset"
    os.makedirs(output.staging if is_folder else os.path.dirname(output.staging), exist_ok=True)
    if not output.path_on_compute:
        return output.staging
    if is_folder:
        return _honour(job, staged, output.path_on_compute, output.staging, warn)
    # Its path must not exist before the script, not even as a link.
    place = os.path.join(staged.source, output.path_on_compute)
    try:
        os.makedirs(os.path.dirname(place.rstrip("/")), exist_ok=True)
    except OSError as error:
        return _not_honoured(output.path_on_compute, output.staging, str(error), warn)
    if os.path.lexists(place):
        return _not_honoured(output.path_on_compute, output.staging, "it exists already", warn)
    staged.written_elsewhere.append((place, output.staging))
    return place


def _honour(
    job: StepJob, staged: Staged, wish: str, target: str, warn: Callable[[str], None]
) -> str:
    """Makes ``wish`` (relative: to the script's folder) a link to ``target``, where it can be."""
    place = os.path.normpath(os.path.join(staged.source, wish))
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(target, place)
    except OSError as error:
        if os.path.exists(place) and os.path.samefile(place, target):
            return place
        return _not_honoured(wish, target, error.strerror or str(error), warn)
    if not place.startswith(job.work + os.sep):
        staged.links.append(place)
    return place


def _not_honoured(wish: str, instead: str, reason: str, warn: Callable[[str], None]) -> str:
    warn(f"path_on_compute {wish!r} cannot be had ({reason}); the path is {instead}.")
    return instead

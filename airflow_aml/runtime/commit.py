"""After the script: its outputs become immutable, all of them or none.

Everything that can fail for want of space or rights comes first: links are replaced by content,
digests are computed, copies are made, what goes to a remote store is uploaded. Then each output is
renamed to its destination or its manifest is written, and the author's fixed destinations are
filled.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Union

from airflow_aml.errors import AirflowAmlError, UserErrorException, WorkspaceException
from airflow_aml.runtime import is_uri
from airflow_aml.runtime.contents import (
    close_folders,
    copy,
    drop_empty_folders,
    keep_matching,
    make_read_only,
    own,
)
from airflow_aml.runtime.job import JobOutput, StepJob
from airflow_aml.runtime.keep import move, partial_path
from airflow_aml.runtime.report import CommittedOutput
from airflow_aml.runtime.stage import Staged, remove
from airflow_aml.runtime.views import View
from airflow_aml.workspace.documents import write_bytes
from airflow_aml.workspace.manifests import Manifest, build
from airflow_aml.workspace.uris import uri_of_path

if TYPE_CHECKING:
    from airflow_aml.runtime.places import Places
    from airflow_aml.runtime.remoteviews import RemoteView
    from airflow_aml.runtime.send import Upload

Check = Callable[[], None]
Warn = Callable[[str], None]
Remote = Callable[[], "Places"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAMED = 3
_SAME_FILE = "writes this file, too, and this one says overwrite=False"
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass
class _Prepared:
    """An output on its way.

    ``path`` is where the attempt's own copy is; ``place`` the final name that it was given on disk,
    of which ``number`` tells how many others were taken.
    """

    output: JobOutput
    path: str
    manifest: Manifest
    view: Union[View, RemoteView, None] = None
    upload: Optional[Upload] = None
    place: str = ""
    number: int = 1


def commit_outputs(
    job: StepJob, staged: Staged, check: Check, warn: Warn, remote: Remote
) -> Dict[str, CommittedOutput]:
    """Commits every output of a step whose script ended well.

    Args:
        job: the step.
        staged: how it was laid out.
        check: called between the parts; it raises when the step must stop. Once the first output
            has its final name it is not called any more.
        warn: told what the author should know.
        remote: the job's remote stores; not called where it has none.

    Raises:
        UserErrorException: an output holds what cannot be kept, or its view may not be overwritten.
        WorkspaceException: a disk is full, or a store cannot be written. Nothing was committed, or
            as much as the next try of the same step takes up.
    """
    _collect(staged)
    prepared: List[_Prepared] = []
    made: List[str] = []
    try:
        _get_ready(job, prepared, check, warn, remote)
        return _finish(job, prepared, made, remote)
    except BaseException:
        for place in [each.path for each in prepared] + made:
            remove(place)
        raise
    finally:
        for each in prepared:
            if each.view is not None:
                each.view.close()


def _get_ready(
    job: StepJob, prepared: List[_Prepared], check: Check, warn: Warn, remote: Remote
) -> None:
    """All that can fail: afterwards only names have to change."""
    for output in job.outputs:
        with _Naming(output):
            prepared.append(_prepare(output, check, warn))
    if sum(each.output.view is not None for each in prepared) > 1:
        _refuse_collisions(prepared)
    for each in prepared:
        with _Naming(each.output):
            _bring_near(job, each, check)
    for each in prepared:
        with _Naming(each.output):
            _send(job, each, check, remote)
    # In one order everywhere, so that two steps never wait for each other's leases.
    for each in sorted(prepared, key=lambda one: one.output.view or ""):
        with _Naming(each.output):
            _fill_view(job, each, check, remote)
    check()


def _finish(
    job: StepJob, prepared: List[_Prepared], made: List[str], remote: Remote
) -> Dict[str, CommittedOutput]:
    committed: Dict[str, CommittedOutput] = {}
    for each in prepared:
        if each.upload is None:
            with _Naming(each.output):
                each.place = _settle(job, each, made)
    for each in prepared:
        with _Naming(each.output):
            uri = _declare(each, remote)
            committed[each.output.name] = CommittedOutput(uri, each.manifest)
    for each in prepared:
        with _Naming(each.output):
            if each.view is not None:
                each.view.publish(each.place or each.path)
    for place in made:
        close_folders(place)
    return committed


def _collect(staged: Staged) -> None:
    for place, staging in staged.written_elsewhere:
        if os.path.lexists(place) and not move(place, staging):
            copy(os.fsencode(place), os.fsencode(staging), lambda: None)


def _prepare(output: JobOutput, check: Check, warn: Warn) -> _Prepared:
    path = output.staging
    if not os.path.lexists(path):
        _stand_in(output, warn)
    own(path, check)
    if output.style == "dataset" and not os.path.isdir(path):
        raise UserErrorException(
            "it is a folder, and the script put a file in its place.",
            hint="Write the file into the folder; a PipelineData may be a file.",
        )
    if output.source_globs and os.path.isdir(path) and not keep_matching(path, output.source_globs):
        warn(f"No file of the output {output.name!r} matches {', '.join(output.source_globs)}.")
    empty = drop_empty_folders(path)
    if empty and not output.source_globs:
        named = ", ".join(map(repr, empty[:_NAMED])) + (", ..." if len(empty) > _NAMED else "")
        warn(f"Empty folders of the output {output.name!r} are not kept: {named}.")
    manifest = build(path)
    if os.path.isdir(path) and not manifest.files and not output.source_globs:
        warn(f"The script wrote nothing to the output {output.name!r}; it is an empty folder.")
    check()
    make_read_only(path)
    return _Prepared(output, path, manifest)


def _refuse_collisions(prepared: List[_Prepared]) -> None:
    """Outputs whose fixed destinations are one place, or one in another, must not need one name."""
    files: Dict[str, str] = {}
    folders: Dict[str, str] = {}
    for each in sorted(prepared, key=lambda one: one.output.view or ""):
        view, name = each.output.view, each.output.name
        if view is None:
            continue
        with _Naming(each.output):
            for entry in each.manifest.files:
                place = f"{view}/{entry.path}".rstrip("/")
                if place in files and not each.output.overwrite:
                    raise _collides(files[place], _SAME_FILE, place)
                files[place] = name
                if not is_uri(view):  # an object store has no folders
                    _claim_folders(place, name, files, folders)


def _claim_folders(place: str, name: str, files: Dict[str, str], folders: Dict[str, str]) -> None:
    if place in folders:
        raise _collides(folders[place], "has a folder where this file must go", place)
    folder = os.path.dirname(place)
    while folder not in folders and folder != os.path.dirname(folder):
        if folder in files:
            raise _collides(files[folder], "writes a file where this folder must go", folder)
        folders[folder] = name
        folder = os.path.dirname(folder)


def _collides(other: str, does: str, place: str) -> UserErrorException:
    return UserErrorException(
        f"output {other!r} of the same step {does}.",
        where=place,
        hint="Give the outputs other destinations, or the files other names.",
    )


def _bring_near(job: StepJob, each: _Prepared, check: Check) -> None:
    if is_uri(each.output.destination):
        return
    parent = os.path.dirname(each.output.destination)
    os.makedirs(parent, exist_ok=True)
    if os.stat(each.path).st_dev != os.stat(parent).st_dev:
        each.path = _bring(job, each, check)


def _send(job: StepJob, each: _Prepared, check: Check, remote: Remote) -> None:
    if is_uri(each.output.destination):
        from airflow_aml.runtime.send import Upload

        each.upload = Upload(job, each.output, remote())
        each.upload.send(each.path, each.manifest, check)


def _fill_view(job: StepJob, each: _Prepared, check: Check, remote: Remote) -> None:
    view = each.output.view
    if view is None:
        return
    if is_uri(view):
        from airflow_aml.runtime.remoteviews import RemoteView

        each.view = RemoteView(view, job.attempt, remote(), overwrite=each.output.overwrite)
    else:
        each.view = View(view, job.attempt, each.output.name, overwrite=each.output.overwrite)
    each.view.prepare(each.path, each.manifest, check)


def _declare(each: _Prepared, remote: Remote) -> str:
    """Writes the manifest, and returns the URI of what it stands for."""
    if each.upload is not None:
        each.upload.commit(each.path)
        return each.upload.uri
    uri = uri_of_path(each.place)
    if each.output.manifest:
        from airflow_aml.workspace.committed import numbered_document, written

        document = numbered_document(each.output.manifest, each.number)
        data = written(uri, each.manifest, _times(each))
        if is_uri(document):
            store, path = remote().locate(document)
            store.write(path, data)
        else:
            os.makedirs(os.path.dirname(document), exist_ok=True)
            write_bytes(document, data, durable=False)
    return uri


def _times(each: _Prepared) -> Dict[str, str]:
    """When each file was changed last, in nanoseconds: what tells on disk that it has not been."""
    place = each.place
    return {
        file.path: str(os.stat(os.path.join(place, file.path) if file.path else place).st_mtime_ns)
        for file in each.manifest.files
    }


def _stand_in(output: JobOutput, warn: Warn) -> None:
    """An output that the script never made is an empty folder, unless a file was promised."""
    if output.is_directory is False:
        raise UserErrorException(
            f"the script did not write the file {output.staging}.",
            hint="is_directory=False promises one.",
        )
    os.makedirs(output.staging)


def _bring(job: StepJob, each: _Prepared, check: Check) -> str:
    """Copies an output to its destination's disk, so that a rename can finish the work."""
    partial = partial_path(job, each.output)
    remove(partial)
    try:
        copy(os.fsencode(each.path), os.fsencode(partial), check)
    except BaseException:
        remove(partial)
        raise
    remove(each.path)
    return partial


def _settle(job: StepJob, each: _Prepared, made: List[str]) -> str:
    """Gives an output its final name: the destination, or that with ``~2``, ``~3``... added."""
    number = 1
    while True:
        place = each.output.destination + (f"~{number}" if number > 1 else "")
        if _claim(place, os.path.isdir(each.path)):
            made.append(place)
            if not move(each.path, place):
                each.path = _bring(job, each, lambda: None)
                os.rename(each.path, place)
            each.number = number
            return place
        if _holds(place, each):
            remove(each.path)
            each.number = number
            return place
        number += 1


def _claim(place: str, is_folder: bool) -> bool:
    # An empty folder or file that only its maker renames over: of two attempts one gets the name.
    try:
        if is_folder:
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _holds(place: str, each: _Prepared) -> bool:
    """Whether the same content is at that place already, from an attempt whose report was lost."""
    if os.path.isdir(place) != os.path.isdir(each.path):
        return False
    try:
        return build(place) == each.manifest
    except (OSError, AirflowAmlError):
        return False


class _Naming:
    """Errors inside say which output they are about, and name a full disk."""

    def __init__(self, output: JobOutput) -> None:
        self._output = output

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        start = f"the output {self._output.name!r} could not be committed: "
        if isinstance(error, OSError):
            raise WorkspaceException(start + self._reason(error)) from error
        if isinstance(error, AirflowAmlError):
            raise type(error)(start + str(error)) from error

    def _reason(self, error: OSError) -> str:
        reason = error.strerror or str(error)
        name = error.filename2 or error.filename
        at = f" ({os.fsdecode(name)})" if isinstance(name, (str, bytes)) else ""
        if error.errno in _FULL:
            place = self._output.view or self._output.destination
            return f"no space is left on the disk that holds {place}{at}."
        return f"{reason}{at}."

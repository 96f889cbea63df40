"""Where a container sees no folder of the worker's: what it gets is sent, what it made is fetched.

Everything has the same path on both sides, so nothing in a command or variable has to be changed.
The files go into the container itself, by the engine's archive calls, and end with it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_aml.airflow.steps.mounts import read, topmost
from airflow_aml.runtime import recording
from airflow_aml.runtime.contained import HANDED
from airflow_aml.runtime.stage import Staged

if TYPE_CHECKING:
    from docker import APIClient

    from airflow_aml.runtime.job import StepJob

_CHUNK = 1 << 20


def send(
    client: APIClient,
    container: str,
    job: StepJob,
    staged: Staged,
    user: str,
    packages: Sequence[str] = (),
    secrets: Mapping[str, str | None] = {},
) -> None:
    """Puts what the script reads and the folders that it writes into a container.

    Args:
        user: ``uid`` or ``uid:gid``, who all of it belongs to there.
        packages: the folders of the step's own packages.
        secrets: what the script may ask for, by name; the container's first process takes them.
    """
    uid, _, gid = user.partition(":")

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid = int(uid), int(gid or uid)
        entry.uname = entry.gname = ""
        return entry

    with tempfile.TemporaryFile(dir=os.path.dirname(job.work)) as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            reads = [*read(job, staged, exact=True), *packages]
            for path in topmost([*written(job, staged), *reads]):
                archive.add(path, path.lstrip("/"), filter=owned)
            for link in staged.links:
                archive.add(link, link.lstrip("/"), filter=owned)
        stream.seek(0)
        client.put_archive(container, "/", iter(lambda: stream.read(_CHUNK), b""))
    if secrets:
        client.put_archive(container, job.work, _in_memory(HANDED, dict(secrets), owned))


def _in_memory(
    name: str, document: Any, owned: Callable[[tarfile.TarInfo], tarfile.TarInfo]
) -> bytes:
    """An archive with one file that only its owner can read, and that no disk here has had."""
    data, stream = json.dumps(document).encode(), io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o600
        archive.addfile(owned(entry), io.BytesIO(data))
    return stream.getvalue()


def fetch(client: APIClient, container: str, job: StepJob, staged: Staged) -> None:
    """Brings what the script has written to the same places here."""
    for path in topmost(written(job, staged)):
        chunks, _ = client.get_archive(container, path)
        place = f"{path}.fetched"
        with tempfile.TemporaryFile(dir=os.path.dirname(job.work)) as stream:
            _copy(chunks, stream)
            with tarfile.open(fileobj=stream) as archive:
                archive.extractall(place, filter="tar")  # a script's links may lead anywhere
        _take_over(os.path.join(place, os.path.basename(path)), path)
        shutil.rmtree(place)


def written(job: StepJob, staged: Staged) -> list[str]:
    """The folders that a script writes, made where they are not there yet."""
    folders = [job.work, recording.folder_of(job)]
    folders += [os.path.dirname(output.staging) for output in job.outputs]
    folders += [os.path.dirname(place) for place, _ in staged.written_elsewhere]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    return folders


def _copy(chunks: Iterable[bytes], stream: Any) -> None:
    for chunk in chunks:
        stream.write(chunk)
    stream.seek(0)


def _take_over(source: str, target: str) -> None:
    """Makes the target what the source is; what grows here meanwhile, as logs do, stays."""
    for name in os.listdir(source):
        new, old = os.path.join(source, name), os.path.join(target, name)
        if os.path.isdir(new) and not os.path.islink(new) and os.path.isdir(old):
            _take_over(new, old)
        elif not (os.path.exists(old) and os.path.samefile(old, new)):
            os.replace(new, old)

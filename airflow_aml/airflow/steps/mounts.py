"""What a step's container sees of the worker's folders: each at its own path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from docker.types import Mount

from airflow_aml.runtime import is_uri, recording
from airflow_aml.runtime.inputs import members
from airflow_aml.runtime.job import JobInput, StepJob
from airflow_aml.runtime.secrets import SECRETS_VARIABLE
from airflow_aml.runtime.stage import Staged
from airflow_aml.workspace.home import Home


def step_mounts(
    home: Home,
    job: StepJob,
    staged: Staged,
    hosts: Mapping[str, str],
    packages: Sequence[str] = (),
) -> list[Mount]:
    """The mounts of a step's container; what it reads is read-only.

    Args:
        hosts: the compute's ``host_path_map``.
        packages: the folders of the step's own packages.
    """
    reads = [*read(job, staged), *packages]
    found = {
        path: Mount(path, host_path(path, hosts), "bind", read_only=read_only)
        for paths, read_only in ((_written(home, job, staged), False), (reads, True))
        for path in paths
    }
    for link in staged.links:
        target = os.path.realpath(link)
        found[link] = Mount(
            link, host_path(target, hosts), "bind", read_only=not _is_output(target, job)
        )
    return [found[path] for path in sorted(found)]


def host_path(path: str, hosts: Mapping[str, str]) -> str:
    """A folder of the worker as the engine's host names it."""
    for ours in sorted(hosts, key=len, reverse=True):
        if path == ours or path.startswith(ours.rstrip("/") + "/"):
            return hosts[ours].rstrip("/") + path[len(ours.rstrip("/")) :]
    return path


def _written(home: Home, job: StepJob, staged: Staged) -> Iterator[str]:
    """What the script writes: its work folder, and the workspace where that is a folder."""
    folders = [job.work, recording.folder_of(job)]
    folders += [os.path.dirname(output.staging) for output in job.outputs]
    folders += [os.path.dirname(place) for place, _ in staged.written_elsewhere]
    if home.is_local:
        folders.append(str(home.root))
    secrets = job.environment_variables.get(SECRETS_VARIABLE)
    if secrets:
        folders.append(os.path.dirname(secrets))
    for folder in topmost(folders):
        os.makedirs(folder, exist_ok=True)
        yield folder


def read(job: StepJob, staged: Staged, *, exact: bool = False) -> list[str]:
    """What the script reads: each input's own path, or the folders that its links lead to.

    Args:
        exact: what the links lead to, not the folder of all that.
    """
    found: list[str] = []
    for port in job.inputs:
        path = staged.inputs[port.name]
        if port.mode == "direct" or is_uri(path):
            continue
        path = os.path.realpath(path)
        if not path.startswith(job.work + os.sep):
            found.append(path)
        elif os.path.isdir(path):
            found += {each if exact else os.path.dirname(each) for each in _shown(port, path)}
    inside = job.work + os.sep
    return topmost(each for each in found if not each.startswith(inside))


def _shown(port: JobInput, path: str) -> Iterable[str]:
    """What an input consists of: folders as such, rather than each of their files."""
    if port.files or is_uri(port.paths[0]):
        return _targets(path)
    return (member for member, _ in members(port))


def _targets(farm: str) -> Iterator[str]:
    """What the links below a folder lead to."""
    for folder, folders, files in os.walk(farm):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                yield os.readlink(path)


def _is_output(path: str, job: StepJob) -> bool:
    return any(path == output.staging for output in job.outputs)


def topmost(paths: Iterable[str]) -> list[str]:
    """The paths that are not below another one of them, sorted."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not found or not path.startswith(found[-1].rstrip("/") + "/"):
            found.append(path)
    return found

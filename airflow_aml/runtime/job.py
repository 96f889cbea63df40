"""What one step process is told, and what it answers: two JSON documents.

The Airflow side writes a :class:`StepJob` to ``<work>/job.json`` and starts
``python -m airflow_aml.runtime <work>/job.json``; the runtime writes a :class:`StepReport` to
``<work>/report.json`` and ends with the script's exit code. No report means that the runtime itself
was lost, which is an infrastructure error: the step may be tried again.

A place in a job is an absolute local path or, with ``://`` in it, a URI of a remote store. What
opens such a store is in no document: the process finds it in its environment
(:data:`~airflow_aml.workspace.credentials.STORES_VARIABLE`).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Union

from airflow_aml.codec import decode
from airflow_aml.runtime import COOKIE, JOB_VERSION, RUNTIME_ERROR
from airflow_aml.runtime.arguments import InputRef, JobArgument, OutputRef, Text

if TYPE_CHECKING:
    from pathlib import Path  # every step pays for what is imported here

    from airflow_aml.runtime.report import CommittedOutput, StepReport

__all__ = [
    "COOKIE",
    "JOB_VERSION",
    "RUNTIME_ERROR",
    "CommittedOutput",
    "InputRef",
    "JobArgument",
    "JobInput",
    "JobOutput",
    "OutputRef",
    "RemoteFile",
    "StepJob",
    "StepReport",
    "Text",
]


@dataclass(frozen=True)
class RemoteFile:
    """One file of an input, at least one of whose files is not on this machine.

    Attributes:
        uri: where it is: in a store, on the web, or an absolute local path.
        relative: its name in the folder that the script gets.
        size, version: as its store lists them; of no meaning elsewhere.
    """

    uri: str
    relative: str
    size: int = 0
    version: str = ""


@dataclass(frozen=True)
class JobInput:
    """One input as the step will see it.

    Attributes:
        paths: absolute local paths, which may hold glob signs unless ``exact``; or the URI of a
            committed output.
        root: what relative names inside a symlink farm are relative to; None: each path's parent.
        exact: a single path handed to the script as it is (a committed output, a folder, a file).
        mode: ``mount``, ``download`` or ``direct``.
        style: ``dataset`` or ``reference``: which environment variables are exported.
        identity: of a direct input, the dataset id that stands in argv.
        folder: the script gets a folder even where there is one file.
        manifest: of a committed output in a remote store, the document that lists its files.
        files: of a dataset in a remote store, its files; ``paths`` is empty then.
    """

    name: str
    paths: Tuple[str, ...]
    root: Optional[str] = None
    exact: bool = False
    mode: str = "mount"
    style: str = "dataset"
    path_on_compute: Optional[str] = None
    identity: Optional[str] = None
    folder: bool = False
    manifest: str = ""
    files: Tuple[RemoteFile, ...] = ()


@dataclass(frozen=True)
class JobOutput:
    """One output as the step will write it.

    Attributes:
        staging: absolute local folder (``dataset`` style) or path (``reference`` style) to write.
        destination: place that the output is committed to: a path, by rename, or a URI, by upload;
            where it holds something else already ``~2``, ``~3``... is added to its name.
        manifest: place of the document that says what was committed (``layout.manifest``); without
            one an output on disk has none. It commits an output that is uploaded.
        view: folder or URI of an author's fixed destination, filled after the commit.
        overwrite: whether files of the view may be replaced.
    """

    name: str
    staging: str
    destination: str
    view: Optional[str] = None
    style: str = "dataset"
    overwrite: bool = True
    source_globs: Tuple[str, ...] = ()
    is_directory: Optional[bool] = None
    path_on_compute: Optional[str] = None
    manifest: str = ""


@dataclass(frozen=True)
class StepJob:
    """Everything that one attempt at a step needs to know.

    Attributes:
        attempt: unique per try; the value of the :data:`COOKIE` variable.
        run_id: the step-run id (``AZUREML_RUN_ID``).
        root_run_id: the pipeline-run id; of a script that was submitted alone, its own.
        work: scratch folder of this attempt, removed by whoever made it.
        snapshot: place of the snapshot's zip, extracted to ``<work>/src``.
        record: folder or URI of the step run's record (see :mod:`~airflow_aml.runtime.recording`).
        interpreter: absolute path of the Python that runs the script.
        parameters: ``AML_PARAMETER_<name>`` variables, values as text.
        properties: of the step run, for its record.
        kill_after: seconds between SIGTERM and SIGKILL.
        try_number: counts the tries of this step run: a later one may take over from an earlier.
        packages: place of a zip with packages of the step's own, for a place that has none of ours;
            python: the version, as 3.11, that they are for.
        cache: folder of this machine's cache of remote files; cache_bytes: what it may hold.
    """

    attempt: str
    run_id: str
    root_run_id: str
    step: str
    work: str
    snapshot: str
    script: str
    interpreter: str
    record: str
    arguments: Tuple[JobArgument, ...] = ()
    inputs: Tuple[JobInput, ...] = ()
    outputs: Tuple[JobOutput, ...] = ()
    parameters: Dict[str, str] = field(default_factory=dict)
    environment_variables: Dict[str, str] = field(default_factory=dict)
    workspace_name: str = ""
    workspace_url: str = ""
    workspace_id: str = ""
    experiment: str = ""
    properties: Dict[str, str] = field(default_factory=dict)
    node_count: int = 1
    kill_after: float = 10.0
    try_number: int = 1
    packages: str = ""
    python: str = ""
    cache: str = ""
    cache_bytes: int = 0
    version: int = JOB_VERSION

    @property
    def report_path(self) -> Path:
        """Where the runtime writes its answer."""
        from pathlib import Path

        return Path(self.work, "report.json")

    def write(self) -> Path:
        """Writes the job to its work folder, defaults and all, and returns the file's path."""
        from pathlib import Path

        path = Path(self.work, "job.json")
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @staticmethod
    def read(path: Union[str, os.PathLike[str]]) -> StepJob:
        """The job in that file."""
        with open(path, encoding="utf-8") as stream:
            return decode(StepJob, json.load(stream))


def __getattr__(name: str) -> Any:
    # The runtime starts the script before it loads what it only needs afterwards.
    if name in ("CommittedOutput", "StepReport"):
        from airflow_aml.runtime import report

        return getattr(report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What one step process answers (see :mod:`~airflow_aml.runtime.job`, which offers these too)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from airflow_aml.codec import decode, encode
from airflow_aml.runtime.job import JOB_VERSION
from airflow_aml.workspace.manifests import Manifest


@dataclass(frozen=True)
class CommittedOutput:
    """An output after its commit: where it is (``file:///...``) and what it holds."""

    uri: str
    manifest: Manifest

    @property
    def reference(self) -> Dict[str, Union[str, int]]:
        """The XCom value that downstream steps read (architecture 4.4)."""
        return {
            "uri": self.uri,
            "digest": self.manifest.digest,
            "files": len(self.manifest.files),
            "bytes": self.manifest.bytes,
        }


@dataclass(frozen=True)
class StepReport:
    """How one attempt ended.

    Attributes:
        outcome: ``finished``; ``script_failed`` (not worth a retry); ``stopped`` (a signal or the
            end of the parent); ``error`` (the runtime could not do its part: worth a retry, unless
            ``fatal``).
        exit_code: of the script; negative: the signal that ended it; None: it never started.
        command: argv as the script saw it.
        seconds: wall clock of the script alone; staging and commit have their own beside it.
        stderr_tail: the last lines that the script wrote to stderr.
        warnings: what the author should know (an output left empty, processes left behind).
    """

    outcome: str
    exit_code: Optional[int] = None
    command: Tuple[str, ...] = ()
    seconds: float = 0.0
    staging_seconds: float = 0.0
    commit_seconds: float = 0.0
    message: str = ""
    fatal: bool = False
    stderr_tail: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()
    outputs: Dict[str, CommittedOutput] = field(default_factory=dict)
    version: int = JOB_VERSION

    def write(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the report atomically: a reader sees all of it or none."""
        temporary = f"{os.fspath(path)}.tmp"
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(encode(self)))
        os.replace(temporary, path)

    @staticmethod
    def read(path: Union[str, os.PathLike[str]]) -> StepReport:
        """The report in that file.

        Raises:
            FileNotFoundError: the runtime was lost before it could write one.
        """
        with open(path, encoding="utf-8") as stream:
            return decode(StepReport, json.load(stream))


def report_from(document: Mapping[str, Any]) -> StepReport:
    """The report that the runtime in this process made: as it would be written, not yet JSON."""
    known = dict(document)
    known["outputs"] = {k: decode(CommittedOutput, v) for k, v in document["outputs"].items()}
    known["warnings"] = tuple(document["warnings"])
    return StepReport(**known)

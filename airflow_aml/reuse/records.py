"""Step records: what a step that ran has made, and from what. Written last, they are its commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_aml.errors import AirflowAmlError

RECORD_VERSION = 1


class NotARecord(AirflowAmlError):
    """A document is no step record that this release can read; the text says why."""


class DamagedRecord(NotARecord):
    """No release can read it."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """One committed output.

    Attributes:
        uri: of the immutable copy.
        digest: of its manifest.
        stamp: over path, size and version of its files (:func:`stamp_of`), as they were committed;
            on a disk a second one follows after a space, over the times of their inodes' changes.
        view: URI of the author's fixed destination, where there is one.
        view_stamp: the same over this output's files in that destination.
    """

    uri: str
    digest: str
    files: int
    bytes: int
    stamp: str
    view: str | None = None
    view_stamp: str | None = None

    @property
    def reference(self) -> dict[str, Any]:
        """The XCom value that downstream steps read (architecture 4.4)."""
        return {"uri": self.uri, "digest": self.digest, "files": self.files, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One execution of a step that succeeded.

    Attributes:
        fingerprint: digest of the key.
        key: the key's components (:class:`~airflow_aml.reuse.fingerprint.Fingerprint`).
        outputs: by name.
        pipeline_run_id, step_run_id: ids of the workspace's layout.
        dag_id, task_id, map_index, run_id: Airflow's names of the task instance.
        step: v1's step name.
        seconds: wall clock of the script, staging and commit.
        created: UTC, ISO 8601 with microseconds (:func:`now`).
        made: the same, of the execution, where the record was written again for its result.
        inputs: by port name, the URI that each input's data had: where to look for its files.
        hidden_reads: ``{"asked", "resolved"}`` of each question that the script put to the
            workspace (``Dataset.get_by_name`` and the like).
        registered: ``{"name", "version"}`` of each dataset that its outputs became.
        reason: why it ran, one sentence.
        metrics: the last value of each number that its script logged, as its XCom has them.
    """

    fingerprint: str
    key: Mapping[str, Any]
    outputs: Mapping[str, OutputRecord]
    pipeline_run_id: str
    step_run_id: str
    dag_id: str
    task_id: str
    run_id: str
    step: str
    seconds: float
    created: str
    map_index: int = -1
    reason: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    hidden_reads: tuple[Mapping[str, Any], ...] = ()
    registered: tuple[Mapping[str, Any], ...] = ()
    made: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    version: int = RECORD_VERSION

    @property
    def snapshot(self) -> str:
        """Digest of the source folder that it ran."""
        return str(self.key.get("snapshot", ""))

    @property
    def environment(self) -> str:
        """Digest of the environment that it ran in."""
        return str(self.key.get("environment", ""))

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each output, by name: what makes the steps below it known."""
        return {name: output.digest for name, output in self.outputs.items()}

    def to_bytes(self) -> bytes:
        """The record as a JSON document."""
        document = {name: getattr(self, name) for name in _FIELDS}
        document["outputs"] = {
            name: {part: getattr(output, part) for part in _OUTPUT_FIELDS}
            for name, output in self.outputs.items()
        }
        return json.dumps(document, default=_plain).encode()

    @staticmethod
    def from_bytes(data: bytes) -> StepRecord:
        """The record in such a document. What this release does not know in it is left out.

        Raises:
            NotARecord: it is truncated, of a later release, or something else.
        """
        try:
            document = json.loads(data)
            version = document["version"]
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise DamagedRecord("it is damaged, or no record at all.") from error
        if type(version) is not int or version < 1:
            raise DamagedRecord("it is no record: it has no version.")
        if version > RECORD_VERSION:
            raise NotARecord(f"a later release wrote it (version {version}).")
        try:
            return _record(document)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DamagedRecord(f"it is damaged: {error}.") from error


_FIELDS = tuple(StepRecord.__dataclass_fields__)
_OUTPUT_FIELDS = tuple(OutputRecord.__dataclass_fields__)
_TEXTS = (
    "fingerprint",
    "pipeline_run_id",
    "step_run_id",
    "dag_id",
    "task_id",
    "run_id",
    "step",
    "created",
)


def now() -> str:
    """This moment in UTC, as records keep it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def age(record: StepRecord, at: datetime | None = None) -> float:
    """Seconds since a result was made; negative if a clock was set back since."""
    made = datetime.fromisoformat(record.made or record.created)
    return ((at or datetime.now(UTC)) - made).total_seconds()


def stamp_of(files: Iterable[tuple[Any, ...]]) -> str:
    """A digest over (path, size, version) of files, in any order.

    It tells in a moment whether files are untouched; it tells nothing about content.
    """
    hasher = hashlib.sha256(b"airflow_aml stamp 1\n")
    for path, size, version, *_ in sorted(files):
        name, mark = path.encode("utf-8", "surrogateescape"), version.encode()
        hasher.update(b"%d:%b%d:%d:%b" % (len(name), name, size, len(mark), mark))
    return f"sha256:{hasher.hexdigest()}"


def _record(document: Any) -> StepRecord:
    for name in _TEXTS:
        if type(document[name]) is not str:
            raise ValueError(f"{name} is no text")
    for moment in (document["created"], document.get("made")):
        if moment and datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError("created has no time zone")
    if type(document["key"]) is not dict:
        raise ValueError("key is no object")
    values = {name: document[name] for name in _FIELDS if name in document}
    values["seconds"] = float(document["seconds"])
    values["hidden_reads"] = tuple(document.get("hidden_reads", ()))
    values["registered"] = tuple(document.get("registered", ()))
    values["metrics"] = dict(document.get("metrics", {}))
    values["outputs"] = {name: _output(output) for name, output in document["outputs"].items()}
    return StepRecord(**values)


def _output(document: Any) -> OutputRecord:
    output = OutputRecord(**{name: document[name] for name in _OUTPUT_FIELDS if name in document})
    for text in (output.uri, output.digest, output.stamp):
        if type(text) is not str or not text:
            raise ValueError("an output has no place, digest or stamp")
    return output


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a record cannot hold a {type(value).__name__}")

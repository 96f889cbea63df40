"""Is a recorded result still there, and still what it was?

Whatever is wrong is a reason to run the step, never an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.destinations import elsewhere
from airflow_aml.reuse.places import Listed, Places, changes_of
from airflow_aml.reuse.records import OutputRecord, StepRecord, stamp_of
from airflow_aml.workspace.uris import path_of_uri

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

STAMP = "stamp"
CONTENT = "content"


class Verifier:
    """Checks records of one workspace.

    Args:
        home: the workspace.
        how: ``stamp`` compares size and times of every file, and reads those of an output whose
            inodes alone were changed; ``content`` reads them all again.
        experiment: of the run that is decided; scripts may ask for its name.
    """

    def __init__(self, home: Home, how: str = STAMP, experiment: str = "") -> None:
        self.places = Places(home)
        self._home = home
        self._content = how == CONTENT
        self._experiment = experiment

    def wrong_with(self, record: StepRecord) -> str | None:
        """Why that result cannot be used, as one sentence without a full stop; None if it can."""
        for name in record.key.get("outputs", ()):
            if name not in record.outputs:
                return f"the earlier result has no output {name!r}"
        for name, output in record.outputs.items():
            wrong = self._elsewhere(record, name) or self._wrong_with_output(name, output)
            if wrong:
                return wrong
        return self._wrong_with_reads(record.hidden_reads) if record.hidden_reads else None

    def _elsewhere(self, record: StepRecord, name: str) -> str | None:
        try:
            return elsewhere(record, name, self.places)
        except (AirflowAmlError, OSError) as error:
            return f"where output {name!r} is to be cannot be told ({error})"

    def _wrong_with_output(self, name: str, output: OutputRecord) -> str | None:
        shown = f"output {name!r} of the earlier result"
        found: list[Listed] = []
        try:
            found = self.places.files(output.uri)
        except FileNotFoundError:
            if output.files or output.uri.startswith("file:"):
                return f"{shown} was deleted"
            # An object store has no empty folders.
        except PermissionError as error:
            return f"{shown} cannot be read{_at(error)}"
        except (OSError, AirflowAmlError) as error:
            return f"{shown} cannot be checked ({error})"
        files, _, changes = output.stamp.partition(" ")
        if stamp_of(found) != files:
            return self._changed(shown, output, found)
        if self._content or (changes and changes_of(found) != changes and not _is_whole(output)):
            return self._wrong_with_content(shown, output, found)
        return None

    def _changed(self, shown: str, output: OutputRecord, found: list[Listed]) -> str:
        """Names the file, where the manifest beside the output tells."""
        now = {each.path: each for each in found}
        for path, size, _, version in manifest_files(output.uri, output.digest, self.places) or ():
            each = now.pop(path, None)
            if each is None:
                return f"file {path!r} of {shown} was deleted" if path else f"{shown} changed"
            if each.size != size or (version and each.version != version):
                return f"file {path!r} of {shown} changed" if path else f"{shown} changed"
        if now and len(now) < len(found):
            return f"file {min(now)!r} was added to {shown}"
        if len(found) < output.files:
            missing = output.files - len(found)
            return f"{missing} of {output.files} files of {shown} were deleted"
        return f"{shown} changed"

    def _wrong_with_content(
        self, shown: str, output: OutputRecord, found: list[Listed]
    ) -> str | None:
        from airflow_aml.reuse.content import other_content

        try:
            path = other_content(output, found, self.places)
        except (OSError, AirflowAmlError, ImportError, ValueError) as error:
            return f"the content of {shown} cannot be checked ({error})"
        if path is None:
            return None
        return f"the content of file {path!r} of {shown} changed" if path else f"{shown} changed"

    def _wrong_with_reads(self, reads: Sequence[Mapping[str, Any]]) -> str | None:
        from airflow_aml.reuse.hidden import last_of_each, wrong_with_read

        for read in last_of_each(reads):
            wrong = wrong_with_read(self._home, read, self._experiment)
            if wrong:
                return wrong
        return None


def changed_since(uri: str, digest: str, places: Places) -> str | None:
    """Which file of a committed output is not what it was at the commit; None if none is.

    Nothing is said where no manifest lies beside the output.

    Raises:
        OSError, WorkspaceException: the place cannot be looked at.
    """
    rows = manifest_files(uri, digest, places)
    if rows is None:
        return None
    now = {each.path: (each.size, each.version) for each in (places.files(uri) if rows else ())}
    for path, size, _, version in rows:
        if path not in now:
            return f"{path!r} was deleted"
        if now.pop(path) != (size, version):
            return f"{path!r} was changed"
    return f"{min(now)!r} was added" if now else None


def manifest_files(uri: str, digest: str, places: Places) -> list[tuple[str, int, str, str]] | None:
    """(path, size, digest, version) of each file, from the manifest of a committed output.

    None if there is none, it cannot be read, or it is another output's.
    """
    try:
        document = json.loads(places.manifest(uri))
        if document["version"] != 1 or document["digest"] != digest:
            return None
        return [
            (str(row[0]), int(row[1]), str(row[2]), str(row[3]) if len(row) > 3 else "")
            for row in document["files"]
        ]
    except (OSError, ValueError, LookupError, TypeError, AirflowAmlError):
        return None


def _is_whole(output: OutputRecord) -> bool:
    """Whether an output on this machine's disk certainly holds what was recorded.

    Its files have their sizes and times of then, but their inodes were changed since: by another
    mode, owner or name, or by other bytes whose time was put back. What was read once for that
    stands in the worker's cache.
    """
    from airflow_aml.workspace.content import digest_tree

    try:
        return digest_tree(path_of_uri(output.uri)).digest == output.digest
    except (OSError, AirflowAmlError):
        return False


def _at(error: OSError) -> str:
    name = error.filename
    return f" ({os.fsdecode(name)})" if isinstance(name, (str, bytes)) and name else ""

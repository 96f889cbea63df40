"""After the script: outputs into remote stores.

An object store knows no rename, so an output is committed by a document: its files are uploaded to
a place that this attempt has claimed, and the manifest, written last and only if there is none,
says that they are there. Without it nobody takes them for an output. A later try takes over what
one that died had claimed, and what it had uploaded need not go again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

from airflow_aml.errors import WorkspaceException
from airflow_aml.runtime.fetch import cache_of
from airflow_aml.runtime.places import Places, counted, pairs_of, read_document
from airflow_aml.runtime.views import is_alive
from airflow_aml.workspace.committed import (
    Committed,
    numbered,
    numbered_document,
    parsed,
    written,
)
from airflow_aml.workspace.manifests import Manifest
from airflow_aml.workspace.stores.base import Store

if TYPE_CHECKING:
    from airflow_aml.runtime.job import JobOutput, StepJob

CLAIM_SECONDS = 24 * 3600.0
"""A claim that is older belongs to nobody, whatever else is known of it."""

_MANIFEST, _CLAIM = ".manifest.json", ".claim.json"

Check = Callable[[], None]


class Upload:
    """One output on its way into a remote store: :meth:`send`, then :meth:`commit`."""

    def __init__(self, job: StepJob, output: JobOutput, places: Places) -> None:
        self._places = places
        self._job = job
        self._output = output
        self._uri = output.destination
        self._document = output.manifest
        self._manifest: Optional[Manifest] = None
        self._claimed = False
        self._versions: Dict[str, str] = {}

    @property
    def uri(self) -> str:
        """Where the output is, or will be: the destination, or that with ``~2``... added."""
        return self._uri

    def send(self, source: str, manifest: Manifest, check: Check) -> None:
        """Uploads the files of ``source`` to a place that is this attempt's alone.

        Nothing is sent where an earlier attempt has committed the same content.

        Raises:
            WorkspaceException: a store cannot be used.
        """
        self._manifest = manifest
        if not self._find_place(manifest):
            return
        store, path = self._places.locate(self._uri)
        pairs = pairs_of(source, path, manifest)
        what = f"uploading the output {self._output.name!r}"
        telling = self._places.telling(what, len(pairs), manifest.bytes, check)
        store.upload(pairs, telling.progress)
        telling.end()
        self._versions = self._settled(store, path, manifest)
        size = counted(len(pairs), manifest.bytes)
        self._places.say(f"output {self._output.name!r} is uploaded to {self._uri} ({size})")

    def commit(self, source: str) -> None:
        """Writes the manifest: from now on the output is there.

        Raises:
            WorkspaceException: the store cannot be used, or another attempt has taken over.
        """
        assert self._manifest is not None
        if not self._claimed:
            return
        claims, path = self._places.locate(self._claim_place)
        holder = read_document(claims, path)
        if holder is None or holder.get("attempt") != self._job.attempt:
            raise self._taken_over(holder)
        store, document = self._places.locate(self._document)
        if not store.create(document, written(self._uri, self._manifest, self._versions)):
            raise self._taken_over(None)
        self._release()
        place = source.rstrip("/")
        cache_of(self._job).add(
            [
                (os.path.join(place, each.path) if each.path else place, each.digest)
                for each in self._manifest.files
            ]
        )

    @property
    def _claim_place(self) -> str:
        return self._document[: -len(_MANIFEST)] + _CLAIM

    def _find_place(self, manifest: Manifest) -> bool:
        """Claims the first place that is free; False if one holds this very content already."""
        number = 1
        while True:
            self._uri = numbered(self._output.destination, number)
            self._document = numbered_document(self._output.manifest, number)
            found = self._committed()
            if found is None and self._claim():
                # Once more: who gave the claim back a moment ago did so after its manifest.
                found = self._committed()
                if found is None:
                    self._claimed = True
                    return True
                self._release()
            if found is not None and (found.uri, found.digest) == (self._uri, manifest.digest):
                return False
            number += 1

    def _committed(self) -> Optional[Committed]:
        store, path = self._places.locate(self._document)
        try:
            return parsed(store.read(path), store.uri(path))
        except FileNotFoundError:
            return None

    def _claim(self) -> bool:
        store, path = self._places.locate(self._claim_place)
        job = self._job
        mine = {
            "attempt": job.attempt,
            "try": job.try_number,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "time": time.time(),
            "uri": self._uri,
        }
        data = json.dumps(mine).encode()
        if store.create(path, data):
            return True
        holder = read_document(store, path)
        if holder is None:  # given back in this moment
            return store.create(path, data)
        if holder.get("attempt") != job.attempt:
            if not is_over(holder, job.try_number):
                return False
            self._places.say(
                f"taking over {self._uri} from attempt {holder.get('attempt')}, which is over"
            )
        store.write(path, data)
        return True

    def _release(self) -> None:
        store, path = self._places.locate(self._claim_place)
        with suppress(WorkspaceException):  # beside a manifest it says nothing any more
            store.delete([path])

    def _settled(self, store: Store, path: str, manifest: Manifest) -> Dict[str, str]:
        """The versions of the uploaded files; what an attempt that died left beside them goes."""
        is_file = any(not each.path for each in manifest.files)
        prefix = path if is_file else f"{path}/"
        there = {
            each.path[len(prefix) :]: each
            for each in store.find(prefix)
            if not is_file or each.path == path
        }
        for each in manifest.files:
            found = there.pop(each.path, None)
            if found is None or found.size != each.size:
                raise WorkspaceException(
                    "the file that was uploaded is not there as it was sent.",
                    where=store.uri(prefix + each.path),
                    hint="Somebody else writes to this place; the step can be tried again.",
                )
            self._versions[each.path] = found.version
        if there:
            store.delete([each.path for each in there.values()])
        return self._versions

    def _taken_over(self, holder: Optional[Dict[str, Any]]) -> WorkspaceException:
        other = (holder or {}).get("attempt") or "another one"
        return WorkspaceException(
            f"this attempt was taken for dead, and {other} commits this output instead.",
            where=self._uri,
        )


def is_over(holder: Dict[str, Any], try_number: int) -> bool:
    """Whether the attempt that wrote a claim has certainly ended, or will never finish.

    Airflow starts a try when the one before is over, and ends one that it has lost sight of.
    """
    earlier = holder.get("try")
    if isinstance(earlier, int) and earlier < try_number:
        return True
    written_at = holder.get("time")
    if not isinstance(written_at, (int, float)) or time.time() - written_at > CLAIM_SECONDS:
        return True
    return holder.get("host") == os.uname().nodename and not is_alive(holder.get("pid"))


def send_record(job: StepJob, folder: str, warn: Callable[[str], None], places: Places) -> None:
    """Uploads the record of an attempt to its place, instead of an earlier attempt's.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    from airflow_aml.workspace.tree import walk

    def problem(relative: str, wrong: str) -> None:
        name = relative[len("files/") :] if relative.startswith("files/") else relative
        warn(f"{name} {wrong} and is not kept.")

    store, path = places.locate(job.record)
    found = walk(folder, problem) if os.path.isdir(folder) else []
    if job.try_number > 1:
        names = {f"{path}/{each.relative}" for each in found}
        store.delete([each.path for each in store.find(f"{path}/") if each.path not in names])
    if not found:
        return
    size = sum(each.status.st_size for each in found)
    telling = places.telling("keeping the step's record", len(found), size, lambda: None)
    store.upload(
        [(os.fsdecode(each.path), f"{path}/{each.relative}") for each in found], telling.progress
    )
    telling.end()

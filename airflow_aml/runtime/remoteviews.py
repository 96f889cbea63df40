"""Published views in remote stores: an author's fixed destination, beside the immutable copy.

Files are replaced by name and others are kept, each in one step, under a lease as on disk. An
object store has no temporary names to rename from, so a view that breaks off half-way has some of
its files replaced; the immutable copy is whole, and the step's next try fills the view again.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Dict, Optional

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.runtime.places import Places, pairs_of, read_document
from airflow_aml.runtime.views import LEASE_SECONDS, WAIT_SECONDS, is_alive
from airflow_aml.workspace.manifests import Manifest
from airflow_aml.workspace.stores.base import Store

_RENEW_SECONDS = LEASE_SECONDS / 10
_PAUSE = 0.5

Check = Callable[[], None]


class RemoteLease:
    """The right to fill one view: a document beside it, held by one attempt at a time."""

    def __init__(self, store: Store, view: str, attempt: str) -> None:
        folder, slash, name = view.rpartition("/")
        self._store = store
        self.path = f"{folder}{slash}.{name}.lease"
        self._attempt = attempt
        self._renewed = 0.0

    def take(self, check: Check, patience: float = WAIT_SECONDS) -> None:
        """Waits for the lease and takes it; the attempt that holds it has it at once.

        Raises:
            WorkspaceException: another step held it for all of ``patience``.
        """
        deadline = time.monotonic() + patience
        while not self._store.create(self.path, self._document()):
            holder = read_document(self._store, self.path)
            if holder is not None and holder.get("attempt") == self._attempt:
                break
            if holder is not None and _is_stale(holder):
                self._discard(holder)
            elif time.monotonic() > deadline:
                raise WorkspaceException(
                    f"attempt {(holder or {}).get('attempt')} at another step has been filling "
                    f"this folder for {patience:.0f} seconds.",
                    where=self._store.uri(self.path),
                    hint="Give the two steps different destinations, or order them.",
                )
            else:
                check()
                time.sleep(_PAUSE)
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Says now and then that the holder is still at work."""
        if time.monotonic() - self._renewed > _RENEW_SECONDS:
            self._store.write(self.path, self._document())
            self._renewed = time.monotonic()

    def release(self) -> None:
        """Gives the lease up."""
        holder = read_document(self._store, self.path)
        if holder is not None and holder.get("attempt") == self._attempt:
            self._store.delete([self.path])

    def _document(self) -> bytes:
        host = os.uname().nodename
        holder = {"attempt": self._attempt, "host": host, "pid": os.getpid(), "time": time.time()}
        return json.dumps(holder).encode()

    def _discard(self, stale: Dict[str, Any]) -> None:
        """Removes a stale lease. Of several who find it stale one at a time may try, and looks
        again: what the others left is not stale any more."""
        turn = f"{self.path}.discard"
        if not self._store.create(turn, self._document()):
            other = read_document(self._store, turn)
            if other is not None and not _is_stale(other):
                time.sleep(_PAUSE)
                return
        try:
            if read_document(self._store, self.path) == stale:
                self._store.delete([self.path])
        finally:
            self._store.delete([turn])


class RemoteView:
    """One view being filled from one output; its methods are those of a view on disk."""

    def __init__(self, view: str, attempt: str, places: Places, *, overwrite: bool) -> None:
        self._uri = view
        self._places = places
        self._store, self._path = places.locate(view)
        self._overwrite = overwrite
        self._lease = RemoteLease(self._store, self._path, attempt)
        self._manifest: Optional[Manifest] = None
        self._taken = False

    def prepare(self, source: str, manifest: Manifest, check: Check) -> None:
        """Takes the lease.

        Raises:
            UserErrorException: a file is there already and may not be replaced.
        """
        self._lease.take(check)
        self._taken = True
        self._manifest = manifest
        if self._overwrite:
            return
        there = {each.path for each in self._store.find(self._path)}
        for _, path in pairs_of(source, self._path, manifest):
            if path in there:
                raise UserErrorException(
                    "the file is there already, and the output says overwrite=False.",
                    where=self._store.uri(path),
                    hint="Remove it, use another destination, or allow overwriting.",
                )

    def publish(self, source: str) -> None:
        """Uploads the files of ``source``, each replacing what has its name."""
        assert self._manifest is not None
        pairs = pairs_of(source, self._path, self._manifest)
        telling = self._places.telling(
            f"filling {self._uri}", len(pairs), self._manifest.bytes, self._lease.renew
        )
        self._store.upload(pairs, telling.progress)
        telling.end()

    def close(self) -> None:
        """Gives the lease up."""
        if self._taken:
            self._lease.release()


def _is_stale(holder: Dict[str, Any]) -> bool:
    written_at = holder.get("time")
    if not isinstance(written_at, (int, float)) or time.time() - written_at > LEASE_SECONDS:
        return True
    return holder.get("host") == os.uname().nodename and not is_alive(holder.get("pid"))

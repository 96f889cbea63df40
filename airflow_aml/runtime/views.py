"""Published views: an author's fixed destination, filled beside the immutable copy.

Files are replaced by name and others are kept, as v1 users rely on. Everything is copied under
temporary names first, so a full disk leaves the view as it was. A lease keeps two steps from
filling one view at the same time.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from typing import Any, Callable, Dict, List, Optional, Tuple

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.runtime.contents import copy_file
from airflow_aml.workspace.documents import create_json, read_json
from airflow_aml.workspace.manifests import Manifest

LEASE_SECONDS = 600.0
"""A lease that nobody renewed for that long belongs to nobody."""

WAIT_SECONDS = 300.0

_LONGEST_NAME = 255
"""Of a file, in bytes, on the usual file systems."""

Check = Callable[[], None]


class Lease:
    """The right to fill one view: a document beside it, held by one attempt at a time."""

    def __init__(self, view: str, attempt: str) -> None:
        folder, name = os.path.split(view.rstrip("/"))
        self.path = os.path.join(folder, f".{name}.lease")
        self._attempt = attempt

    def take(self, check: Check, patience: float = WAIT_SECONDS) -> None:
        """Waits for the lease and takes it; the attempt that holds it has it at once.

        Raises:
            WorkspaceException: another step held it for all of ``patience``.
        """
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        deadline = time.monotonic() + patience
        while not create_json(self.path, self._document()):
            holder = self._holder()
            if holder is not None and holder.get("attempt") == self._attempt:
                return
            if holder is not None and self._is_stale(holder):
                self._discard(holder)
            elif time.monotonic() > deadline:
                raise WorkspaceException(
                    f"attempt {(holder or {}).get('attempt')} at another step has been filling "
                    f"this folder for {patience:.0f} seconds.",
                    where=self.path,
                    hint="Give the two steps different destinations, or order them.",
                )
            else:
                check()
                time.sleep(0.05)

    def renew(self) -> None:
        """Says that the holder is still at work."""
        with suppress(FileNotFoundError):
            os.utime(self.path)

    def release(self) -> None:
        """Gives the lease up."""
        holder = self._holder()
        if holder is not None and holder.get("attempt") == self._attempt:
            os.unlink(self.path)

    def _document(self) -> Dict[str, Any]:
        host = os.uname().nodename
        return {"attempt": self._attempt, "host": host, "pid": os.getpid(), "time": time.time()}

    def _holder(self) -> Optional[Dict[str, Any]]:
        try:
            holder = read_json(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except WorkspaceException:
            holder = None
        return holder if isinstance(holder, dict) else {}

    def _is_stale(self, holder: Dict[str, Any]) -> bool:
        try:
            age = time.time() - os.stat(self.path).st_mtime
        except FileNotFoundError:
            return False
        if age > LEASE_SECONDS:
            return True
        return holder.get("host") == os.uname().nodename and not is_alive(holder.get("pid"))

    def _discard(self, stale: Dict[str, Any]) -> None:
        # One at a time looks again and removes it, so that nobody removes a new holder's lease.
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if self._holder() == stale:
                os.unlink(self.path)
        except FileNotFoundError:
            pass
        finally:
            os.close(folder)


class View:
    """One view being filled from one output.

    Several outputs of a step may share one; ``output`` keeps their temporary names apart. Of files
    with one name that of the output which is published last stays.
    """

    def __init__(self, view: str, attempt: str, output: str = "", *, overwrite: bool) -> None:
        self._view = view
        self._overwrite = overwrite
        self._suffix = f".partial-{attempt}-{output}"
        self._lease = Lease(view, attempt)
        self._copies: List[Tuple[str, str]] = []

    def prepare(self, source: str, manifest: Manifest, check: Check) -> None:
        """Takes the lease and copies the files of ``source`` to temporary names in the view.

        Raises:
            UserErrorException: a file is there already and may not be replaced, or a folder is
                where a file must go.
        """
        self._make_folder(os.path.dirname(self._view.rstrip("/")))
        self._lease.take(check)
        for entry in manifest.files:
            self._check_target(os.path.join(self._view, entry.path).rstrip("/"))
        for entry in manifest.files:
            target = os.path.join(self._view, entry.path).rstrip("/")
            self._make_folder(os.path.dirname(target))
            temporary = self._temporary(target)
            self._copies.append((temporary, target))
            file = os.path.join(source, entry.path).rstrip("/")
            copy_file(os.fsencode(file), os.fsencode(temporary), check)
            os.chmod(temporary, 0o644)
            self._lease.renew()
        if not manifest.files:
            self._make_folder(self._view)

    def publish(self, source: str) -> None:
        """Gives the copies their names; ``source`` is where the output is by now."""
        while self._copies:
            temporary, target = self._copies[0]
            os.replace(temporary, target)
            del self._copies[0]

    def close(self) -> None:
        """Gives the lease up, and leaves the view as it was as far as it was not published."""
        for temporary, _ in self._copies:
            if os.path.lexists(temporary):
                os.unlink(temporary)
        self._lease.release()

    def _temporary(self, target: str) -> str:
        folder, name = os.path.split(target)
        if len(os.fsencode(name + self._suffix)) > _LONGEST_NAME:
            from hashlib import sha256  # few files are called so

            name = sha256(os.fsencode(name)).hexdigest()[:32]
        return os.path.join(folder, name + self._suffix)

    def _check_target(self, target: str) -> None:
        if os.path.isdir(target):
            raise UserErrorException("a folder is where this file must go.", where=target)
        if not self._overwrite and os.path.lexists(target):
            raise UserErrorException(
                "the file is there already, and the output says overwrite=False.",
                where=target,
                hint="Remove it, use another destination, or allow overwriting.",
            )

    def _make_folder(self, folder: str) -> None:
        try:
            os.makedirs(folder, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserErrorException(
                "a file is where this folder must go.", where=folder
            ) from error


def is_alive(pid: Any) -> bool:
    """Whether a process of that number runs on this machine."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

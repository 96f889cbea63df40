"""Looking at a watched folder again and again: what has changed there, once it has come to rest.

A file counts when neither size nor time of it (nor its etag) has changed for the quiet period, and
files that come in one burst are one entry of the journal. Only durations are measured, so it does
not matter what the clock says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.datastores import load_datastore, open_datastore
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.stores.base import Store
from airflow_aml.workspace.watches import Entry, Journal, Versions, fold, watch_id

SHOWN = 20
"""So many paths are told by name; Airflow keeps what is told in its database."""


@dataclass(frozen=True)
class Look:
    """What one look at the folder has come to.

    Attributes:
        last: the number of the journal's last entry.
        restless: files have changed, and it is waited until they rest.
    """

    last: int
    restless: bool


class Settling:
    """Which of a folder's changes have come to rest.

    Args:
        quiet: for so many seconds nothing of a file may have changed.
        longest: so many seconds after the first of them those that rest no longer wait for others.
    """

    def __init__(self, quiet: float, longest: float) -> None:
        self._quiet = quiet
        self._longest = longest
        self._since: Dict[Tuple[str, str], float] = {}

    def look(self, known: Mapping[str, str], found: Mapping[str, str], now: float) -> Versions:
        """Those that are told now; none while others that have changed with them do not rest.

        Args:
            now: in seconds of a clock that nobody sets.
        """
        changed = [(path, version) for path, version in found.items() if known.get(path) != version]
        self._since = {each: self._since.get(each, now) for each in changed}
        rested = {each: since for each, since in self._since.items() if now - since >= self._quiet}
        if not rested:
            return {}
        if len(rested) < len(changed) and now - min(rested.values()) < self._longest:
            return {}
        return dict(rested.keys())

    @property
    def is_waiting(self) -> bool:
        """Whether there were changes at the last look."""
        return bool(self._since)

    def forget(self) -> None:
        """Those that rested were told."""
        self._since = {}


class FolderWatch:
    """One folder of a datastore, and the journal of what changes in it.

    Args:
        datastore: its name; empty for the default one.
        path: the folder in it; empty for all of it.
        quiet, longest: see :class:`Settling`.
        say: hears, in a sentence, what somebody may have to do something about.
    """

    def __init__(
        self,
        home: Home,
        datastore: str,
        path: str,
        quiet: float,
        longest: float,
        say: Callable[[str], None],
    ) -> None:
        self.journal = Journal(home.store, watch_id(datastore, path))
        self._home, self._datastore, self._path = home, datastore, path
        self._settling = Settling(quiet, longest)
        self._say = say
        self._store: Optional[Store] = None
        self._last: Optional[int] = None
        self._known: Versions = {}
        self._bare = False

    def look(self, now: float) -> Look:
        """Lists the folder; what has come to rest becomes an entry of the journal.

        The very first look writes the baseline: what is there when a watch begins is no change.

        Raises:
            UserErrorException, WorkspaceException: datastore or workspace cannot be used now.
        """
        found = self._list()
        self._tell_if_bare(found)
        if self._last is None:
            self.journal.begin(self._datastore, self._path, found, _moment())
            self._last, self._known = self.journal.known()
            return Look(self._last, found != self._known)
        for entry in self.journal.after(self._last):  # another's
            self._follow(entry)
        if found == self._known:
            self._settling.forget()
            return Look(self._last, False)
        ready = self._settling.look(self._known, found, now)
        if ready:
            self._write(ready, found)
        return Look(self._last, self._settling.is_waiting)

    def tell(self, after: int, last: int) -> Dict[str, Any]:
        """What an event says of the entries after one, up to another: small, and plain JSON."""
        count = 0
        paths: List[str] = []
        for number in range(max(after, last - SHOWN) + 1, last + 1):
            found = sorted(self.journal.entry(number).found)
            count += len(found)
            paths += found[: SHOWN - len(paths)]
        name = load_datastore(self._home, self._datastore).name
        return {
            "after": after,
            "entry": last,
            "datastore": name,
            "path": self._path,
            "files": count,
            "paths": paths,
        }

    def close(self) -> None:
        """Opens the datastore anew at the next look: it may be registered with another key."""
        self._store = None

    def _write(self, ready: Versions, found: Versions) -> None:
        assert self._last is not None
        gone = tuple(path for path in self._known if path not in found)
        entry = Entry(self._last + 1, ready, gone, _moment())
        if not self.journal.append(entry):
            return  # another was first: the next look goes on from there
        self._follow(entry)
        self.journal.fold(entry.number, self._known)
        if found == self._known:
            self._settling.forget()

    def _follow(self, entry: Entry) -> None:
        fold(self._known, entry)
        self._last = entry.number

    def _list(self) -> Versions:
        # A folder of this machine is looked for each time: it may have been unmounted.
        if self._store is None or self._store.local_root is not None:
            self._store = open_datastore(self._home, self._datastore)
        prefix = f"{self._path}/" if self._path else ""
        found = {each.path: each.version for each in self._store.find(prefix)}
        if not found and self._path and self._store.exists(self._path):
            raise UserErrorException(
                f"{self._path!r} is a file; a schedule watches a folder.",
                hint="Name the folder that it lies in.",
            )
        return found

    def _tell_if_bare(self, found: Versions) -> None:
        bare = not found
        if bare != self._bare:
            self._bare = bare
            self._say(
                "there is no file in the folder: it is not there yet, or it was emptied, moved or"
                " deleted; it goes on being looked at"
                if bare
                else "there are files in the folder again"
            )


def _moment() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")

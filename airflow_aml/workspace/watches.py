"""What has changed in a watched folder: a journal that is only added to, and who has taken what.

::

    watches/<watch>/watch.json           datastore, path, since when, digest of the baseline
    watches/<watch>/known/<n>.json       every file of the folder with its version, as of entry n
    watches/<watch>/changes/<n>.json     entry n: files that are new or changed, files that are gone
    watches/<watch>/claims/<schedule>/<n>.json    the run of that schedule that has taken entry n

Entry 0 is the baseline: what was there when the watch began. Of many writers at once one alone gets
an entry, and of many runs of a schedule one alone takes it. So each version of a file is in one
entry, and each entry is in one run of a schedule, whoever is killed meanwhile and is there again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from airflow_aml.workspace.documents import parse_json
from airflow_aml.workspace.stores.base import Store

ROOT = "watches"

KEPT = 4096
"""How many entries are kept; who takes none for that long has lost the oldest."""

_FOLD = 64  # from entry to entry of this many, all that is known is written once
_SUFFIX = ".json"
_READABLE = 40

Versions = Dict[str, str]
"""Path, as its store has it -> what changes when its content may have changed."""


@dataclass(frozen=True)
class Entry:
    """What had changed at one moment.

    Attributes:
        found: files that are new or changed, with their versions.
        gone: files that were there and are no more.
        moment: when it was written, ISO 8601.
    """

    number: int
    found: Versions = field(default_factory=dict)
    gone: Tuple[str, ...] = ()
    moment: str = ""


def watch_id(datastore: str, path: str) -> str:
    """The folder of a watch: readable as far as that goes, and its own for each place."""
    digest = hashlib.sha256(f"{datastore}\n{path}".encode()).hexdigest()[:12]
    text = f"{datastore or 'default'}-{path}".lower()
    name = "".join(each if each.isascii() and each.isalnum() else "-" for each in text)
    return f"{name.strip('-')[:_READABLE]}-{digest}"


class Journal:
    """The journal of one watched folder.

    Args:
        store: of the workspace.
        watch: see :func:`watch_id`.
    """

    def __init__(self, store: Store, watch: str) -> None:
        self._store = store
        self._root = f"{ROOT}/{watch}"

    def begin(self, datastore: str, path: str, files: Mapping[str, str], moment: str) -> None:
        """Writes the baseline, unless there is one."""
        known = _packed(dict(files))
        if not self._numbers("known"):
            self._store.create(self._place("known", 0), known)
        if not self._store.exists(f"{self._root}/watch{_SUFFIX}"):
            about = {
                "datastore": datastore,
                "path": path,
                "begun": moment,
                "baseline": f"sha256:{hashlib.sha256(known + moment.encode()).hexdigest()}",
            }
            self._store.create(f"{self._root}/watch{_SUFFIX}", _packed(about))

    def identity(self) -> Optional[str]:
        """The digest of the baseline, which no other journal has; None: it has not begun."""
        try:
            about = self._read(f"{self._root}/watch{_SUFFIX}")
        except FileNotFoundError:
            return None
        return str(about["baseline"])

    def known(self) -> Tuple[int, Versions]:
        """The number of the last entry, and every file that the entries up to it tell of.

        Raises:
            FileNotFoundError: the journal has not begun.
        """
        folded = self._numbers("known")
        if not folded:
            raise FileNotFoundError(f"{self._root} has not begun")
        number = folded[-1]
        files: Versions = self._read(self._place("known", number))
        for entry in self.after(number):
            number = entry.number
            fold(files, entry)
        return number, files

    def after(self, number: int) -> Iterator[Entry]:
        """The entries that come after that one, in their order."""
        while True:
            number += 1
            try:
                yield self.entry(number)
            except FileNotFoundError:
                return

    def entry(self, number: int) -> Entry:
        """The entry of that number.

        Raises:
            FileNotFoundError: there is none, or it was not kept.
        """
        content = self._read(self._place("changes", number))
        return Entry(number, content["found"], tuple(content["gone"]), content["moment"])

    def append(self, entry: Entry) -> bool:
        """Writes the entry; False if somebody else has written that one."""
        content = {"found": entry.found, "gone": list(entry.gone), "moment": entry.moment}
        return self._store.create(self._place("changes", entry.number), _packed(content))

    def fold(self, number: int, files: Mapping[str, str]) -> None:
        """Writes down all that is known, now and then; what is too old is removed."""
        if number % _FOLD:
            return
        self._store.write(self._place("known", number), _packed(dict(files)))
        folded = self._numbers("known")
        stale = [self._place("known", each) for each in folded if each < number - _FOLD]
        oldest = number - KEPT
        if oldest > 0:
            kinds = ["changes", *(f"claims/{name}" for name in self._schedules())]
            for kind in kinds:
                numbers = self._numbers(kind)
                stale += [self._place(kind, each) for each in numbers if each < oldest]
        self._store.delete(stale)

    def take(self, schedule: str, run: str, since: int, again: bool = False) -> List[Entry]:
        """The entries that a run of a schedule takes, which no other run of it has taken.

        Args:
            schedule: its id.
            run: the run's id; asked twice for the same run it gets the same.
            since: the first entry that it was told of; of those before it takes what is left.
            again: the run may have taken some of those before.
        """
        kind = f"claims/{schedule}"
        taken = set(self._numbers(kind))
        first = min(taken, default=since)
        mine = []
        for number in self._numbers("changes"):
            if number < first or (number in taken and number < since and not again):
                continue
            place = self._place(kind, number)
            got = number not in taken and self._store.create(place, _packed({"run": run}))
            if got or self._read(place)["run"] == run:
                mine.append(self.entry(number))
        return mine

    def _schedules(self) -> List[str]:
        return [each.rstrip("/") for each in self._store.children(f"{self._root}/claims/")]

    def _numbers(self, kind: str) -> List[int]:
        names = self._store.children(f"{self._root}/{kind}/")
        stems = (each[: -len(_SUFFIX)] for each in names if each.endswith(_SUFFIX))
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())

    def _place(self, kind: str, number: int) -> str:
        return f"{self._root}/{kind}/{number}{_SUFFIX}"

    def _read(self, path: str) -> Any:
        return parse_json(self._store.read(path), self._store.uri(path))


def fold(files: Versions, entry: Entry) -> None:
    """Brings what is known up to an entry."""
    files.update(entry.found)
    for path in entry.gone:
        files.pop(path, None)


def _packed(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

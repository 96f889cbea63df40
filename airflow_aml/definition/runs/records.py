"""Where a run's notes and files are: in the folder that a script writes to, or in the workspace."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Optional, Tuple

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import layout
from airflow_aml.workspace.journal import JOURNAL, Journal, Note, about, read_notes

try:
    from typing import Protocol
except ImportError:  # pragma: no cover - Python 3.7 is refused elsewhere, by name
    Protocol = object  # type: ignore[assignment]

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

WITHIN = "within"
"""What is added to a note that another process has made: the folder that this one writes to."""


class Record(Protocol):
    """One run's record."""

    def note(self, note: Note) -> None:
        """Adds a line to its journal.

        Raises:
            OSError, WorkspaceException: it cannot be written.
        """

    def notes(self) -> List[Note]:
        """What was noted about the run, in order."""

    def add(self, name: str, path: str) -> None:
        """Keeps a copy of a local file under that name."""

    def names(self) -> List[str]:
        """Names of the run's files, sorted."""

    def fetch(self, name: str, target: str) -> None:
        """Copies one of the run's files to a local path.

        Raises:
            FileNotFoundError: the run has no such file.
        """


class ScriptRecord:
    """A record that a script writes, in the folder that the runtime sends on.

    Args:
        folder: the record of the script's own step run.
        run_id: of another run that the script writes about; None for its own.
        left: where the script runs: what is in its ``outputs`` and ``logs`` is the run's, too.
        whole: of a child run in a process of its own, all that was noted about it, its parent's
            notes among it.
    """

    def __init__(
        self,
        folder: str,
        run_id: Optional[str] = None,
        left: Optional[str] = None,
        whole: Optional[ScriptRecord] = None,
    ):
        self.folder = folder
        self.run_id = run_id
        self._journal = _journal(os.path.join(folder, JOURNAL))
        self._files = os.path.join(folder, *(("of", run_id) if run_id else ()), "files")
        self._left = left
        self._whole = whole

    def note(self, note: Note) -> None:
        """Adds a line to the step's journal."""
        if self.run_id:
            note["run"] = self.run_id
        self._journal.note(note)

    def notes(self) -> List[Note]:
        """What this script, or another process of its step, has noted about the run."""
        if self._whole is not None:
            return self._whole.notes()
        found = about(_notes_in(self._journal.path), self.run_id)
        if self.run_id:  # a child run with a process of its own writes there
            folder = os.path.join(self.folder, "of", self.run_id)
            own = about(_notes_in(os.path.join(folder, JOURNAL)), None)
            for note in own:
                note[WITHIN] = folder
            found = sorted(found + own, key=lambda note: note.get("t", 0.0))
        return found

    def add(self, name: str, path: str) -> None:
        """Keeps a copy of a local file under that name.

        Raises:
            UserErrorException: a file has the name of a folder that another one is in.
        """
        target = os.path.join(self._files, *name.split("/"))
        self._refuse_both(name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        import shutil

        partial = f"{target}.partial-{os.getpid()}"
        shutil.copyfile(path, partial)
        os.replace(partial, target)

    def _refuse_both(self, name: str) -> None:
        parts = name.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        file = next((each for each in above if os.path.isfile(f"{self._files}/{each}")), None)
        if file is not None or os.path.isdir(f"{self._files}/{name}"):
            raise UserErrorException(
                f"{(file or name)!r} cannot be a file of the run and a folder of its files, too.",
                where=f"file {name!r}",
                hint="Give one of them another name.",
            )

    def names(self) -> List[str]:
        """Names of the files kept so far, and of what the script has left in its folders."""
        return sorted(self._paths())

    def fetch(self, name: str, target: str) -> None:
        """Copies one of the run's files to a local path."""
        found = self._paths().get(name)
        if found is None:
            raise FileNotFoundError(name)
        import shutil

        shutil.copyfile(found, target)

    def _paths(self) -> Dict[str, str]:
        found = dict(_below(self._files, ""))
        if self._left is not None:
            for folder in ("outputs", "logs"):
                found.update(_below(os.path.join(self._left, folder), f"{folder}/"))
        return found


class StoredRecord:
    """A record in the workspace, as whoever is not the run reads it.

    Args:
        pipeline_run_id: the run's, or that of its pipeline run.
        step_run_id: None for the pipeline run itself, whose record its steps have written; a step
            that was reused has done so in the run whose result it uses.
        child: of a run below that step's.
        within: the folder below the step's of the process that has begun that run: scripts of
            child runs have one of their own.
    """

    def __init__(
        self,
        home: Home,
        pipeline_run_id: str,
        step_run_id: Optional[str] = None,
        child: Optional[str] = None,
        within: str = "",
    ):
        self._home = home
        self._child = child
        self._within = within
        self._pipeline_run_id = pipeline_run_id
        self._step_run_id = step_run_id

    def note(self, note: Note) -> None:
        """Adds a note beside the run's journal, which belongs to its script."""
        note["t"] = time.time()
        line = json.dumps(note).encode() + b"\n"
        self._home.store.write(f"{self._place}/notes/{time.time_ns()}-{os.getpid()}.jsonl", line)

    def notes(self) -> List[Note]:
        """What was noted about the run."""
        if self._step_run_id is not None:
            found = about(self._journal(f"{self._place}/{JOURNAL}"), None)
            if self._child is not None:
                found += about(self._journal(f"{self._process_folder}/{JOURNAL}"), self._child)
        else:
            found = [
                note
                for place, run_id in self._steps()
                for note in about(self._journal(f"{place}/{JOURNAL}"), run_id)
            ]
        return sorted([*found, *self._beside()], key=lambda note: note.get("t", 0.0))

    def children(self) -> List[Tuple[str, str, StoredRecord]]:
        """(id, name, record) of the runs below a step's, or below this child run, newest first."""
        own = list(self._journal(f"{self._place}/{JOURNAL}"))
        known = [(note, self._within) for note in self._beside()]
        if self._child is None:
            known += [(n, "") for n in own if n.get("run") in (None, self._pipeline_run_id)]
        else:
            above = self._journal(f"{self._process_folder}/{JOURNAL}")
            within = f"{self._within}/of/{self._child}"
            known += [(note, self._within) for note in about(above, self._child)]
            known += [(note, within) for note in about(own, None)]
        known.sort(key=lambda each: each[0].get("t", 0.0))
        return [
            (note["child"], str(note.get("value")), self._child_of(note["child"], within))
            for note, within in reversed(known)
            if "child" in note
        ]

    def below(self, run_id: str) -> StoredRecord:
        """The record of a run that is begun below this one from outside."""
        return self._child_of(run_id, self._within)

    def _child_of(self, run_id: str, within: str) -> StoredRecord:
        return StoredRecord(self._home, self._pipeline_run_id, self._step_run_id, run_id, within)

    def add(self, name: str, path: str) -> None:
        """Keeps a copy of a local file under that name."""
        self._home.store.upload([(path, f"{self._place}/files/{name}")])

    def names(self) -> List[str]:
        """Names of the run's files."""
        return sorted(self._paths())

    def fetch(self, name: str, target: str) -> None:
        """Copies one of the run's files to a local path."""
        found = self._paths().get(name)
        if found is None:
            raise FileNotFoundError(name)
        self._home.store.download([(found, target)], skip_same=False)

    def read_on(self, name: str, start: int) -> Tuple[int, bytes]:
        """What one of its files holds from there on; from its start, if it was begun anew."""
        path = f"{self._place}/files/{name}"
        try:
            if not self._home.is_local:
                data = self._home.store.read(path)
                start = start if start <= len(data) else 0
                return start, data[start:]
            with open(self._home.path(path), "rb") as stream:
                start = start if start <= os.fstat(stream.fileno()).st_size else 0
                stream.seek(start)
                return start, stream.read()
        except FileNotFoundError:
            return start, b""

    @property
    def _place(self) -> str:
        if self._step_run_id is None:
            return layout.run(self._pipeline_run_id)
        step = self._process_folder
        return step if self._child is None else f"{step}/of/{self._child}"

    @property
    def _process_folder(self) -> str:
        return layout.step(self._pipeline_run_id, str(self._step_run_id)) + self._within

    def _steps(self) -> Iterator[Tuple[str, str]]:
        """Where each step has written about its pipeline's run, and the id of that."""
        from airflow_aml.workspace.runs import read_head, results

        home, own = self._home, self._pipeline_run_id
        folder = f"{layout.run(own)}/steps/"
        for name in home.store.children(folder):
            yield f"{folder}{name.rstrip('/')}", own
        head = read_head(home, own, by_hand=True)
        for step in results(home, head) if head else ():
            if step.source:
                names = str(step.source["dag_id"]), str(step.source["run_id"])
                made_in = layout.pipeline_run_id(home.uuid, *names)
                yield layout.step(made_in, str(step.source["step_run_id"])), made_in

    def _beside(self) -> Iterator[Note]:
        """What others than its script have noted."""
        for name in self._home.store.children(f"{self._place}/notes/"):
            yield from self._journal(f"{self._place}/notes/{name}")

    def _journal(self, path: str) -> Iterator[Note]:
        try:
            return read_notes(self._home.store.read(path))
        except FileNotFoundError:
            return iter(())

    def _paths(self) -> Dict[str, str]:
        prefixes = [f"{self._place}/files/"]
        if self._step_run_id is None:
            prefixes += [f"{place}/of/{run_id}/files/" for place, run_id in self._steps()]
        return {name: prefix + name for prefix in prefixes for name in _stored(self._home, prefix)}


class SharedRecord:
    """The record of a pipeline run in one of its scripts: written here, read everywhere."""

    def __init__(self, own: ScriptRecord, stored: Callable[[], StoredRecord]):
        self._own = own
        self._stored = stored

    def note(self, note: Note) -> None:
        """Adds a line to this step's journal."""
        self._own.note(note)

    def notes(self) -> List[Note]:
        """What all of the run's steps have noted about it."""
        found = {(each.get("t"), repr(each)): each for each in self._stored().notes()}
        found.update({(each.get("t"), repr(each)): each for each in self._own.notes()})
        return sorted(found.values(), key=lambda note: note.get("t", 0.0))

    def add(self, name: str, path: str) -> None:
        """Keeps a copy of a local file with this step's."""
        self._own.add(name, path)

    def names(self) -> List[str]:
        """Names of the files that any of the run's steps has kept for it."""
        return sorted({*self._own.names(), *self._stored().names()})

    def fetch(self, name: str, target: str) -> None:
        """Copies one of the run's files to a local path."""
        try:
            self._own.fetch(name, target)
        except FileNotFoundError:
            self._stored().fetch(name, target)


_JOURNALS: Dict[str, Journal] = {}


def _journal(path: str) -> Journal:
    """One open journal per file: a script may write about several runs."""
    return _JOURNALS.setdefault(path, Journal(path))


def _notes_in(path: str) -> List[Note]:
    try:
        with open(path, "rb") as stream:
            return list(read_notes(stream.read()))
    except FileNotFoundError:
        return []


def _stored(home: Home, prefix: str) -> Iterator[str]:
    """The files below a prefix that can be read: a script may leave anything in its folders."""
    if not home.is_local:
        for each in home.store.find(prefix):
            yield each.path[len(prefix) :]
        return
    import warnings

    from airflow_aml.workspace.documents import is_temporary
    from airflow_aml.workspace.tree import walk

    def problem(relative: str, wrong: str) -> None:
        if not wrong.startswith("is lost"):  # removed while the folder was read
            warnings.warn(f"file {relative!r} of a run {wrong} and is left out.", stacklevel=2)

    folder = str(home.path(prefix.rstrip("/")))
    for found in walk(folder, problem) if os.path.isdir(folder) else ():
        if not is_temporary(found.relative.rpartition("/")[2]):
            yield found.relative


def _below(folder: str, prefix: str) -> Iterator[Tuple[str, str]]:
    for root, _, names in os.walk(folder):
        relative = os.path.relpath(root, folder).replace(os.sep, "/")
        for name in names:
            key = name if relative == "." else f"{relative}/{name}"
            yield prefix + key, os.path.join(root, name)

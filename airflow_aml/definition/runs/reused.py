"""The record of a step that was reused: its own notes and files beside those of its source."""

from __future__ import annotations

from typing import List, Tuple

from airflow_aml.definition.runs.records import StoredRecord
from airflow_aml.workspace.journal import Note


class ReusedRecord:
    """What is written goes to the reused step's own record; its source's stays as it is.

    Args:
        own: of the step's run.
        source: of the run whose result it uses.
    """

    def __init__(self, own: StoredRecord, source: StoredRecord):
        self._own = own
        self._source = source

    def note(self, note: Note) -> None:
        """Adds a note of its own."""
        self._own.note(note)

    def notes(self) -> List[Note]:
        """The source's, and after them its own."""
        return [*self._source.notes(), *self._own.notes()]

    def children(self) -> List[Tuple[str, str, StoredRecord]]:
        """(id, name, record) of its own and of the runs below the source."""
        return [*self._own.children(), *self._source.children()]

    def below(self, run_id: str) -> StoredRecord:
        """The record of a run of its own that is begun below it."""
        return self._own.below(run_id)

    def add(self, name: str, path: str) -> None:
        """Keeps a copy of a local file with its own."""
        self._own.add(name, path)

    def names(self) -> List[str]:
        """Names of all files, sorted."""
        return sorted({*self._source.names(), *self._own.names()})

    def read_on(self, name: str, start: int) -> Tuple[int, bytes]:
        """What one of the source's files holds from there on."""
        return self._source.read_on(name, start)

    def fetch(self, name: str, target: str) -> None:
        """Copies one of the files to a local path; its own before one of the source."""
        try:
            self._own.fetch(name, target)
        except FileNotFoundError:
            self._source.fetch(name, target)

"""What all calls of a run rest on: its record, which never makes a script fail."""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from airflow_aml.definition.runs.records import Record
    from airflow_aml.workspace.journal import Note


class Recorded:
    """Something with a record."""

    _silent = False

    @property
    @abstractmethod
    def _records(self) -> Record: ...

    def _note(self, note: Note) -> None:
        try:
            self._records.note(note)
        except OSError as error:
            self._say(error)

    def _notes(self) -> List[Note]:
        return self._records.notes()

    def _add(self, name: str, path: str) -> None:
        try:
            self._records.add(name, path)
        except OSError as error:
            sys.stderr.write(
                f"airflow_aml: the file {name!r} cannot be kept with this run ({error}); "
                "the script goes on without it.\n"
            )

    def _names(self) -> List[str]:
        return self._records.names()

    def _fetch(self, name: str, target: str) -> None:
        self._records.fetch(name, target)

    def _say(self, error: OSError) -> None:
        if not self._silent:
            self._silent = True
            sys.stderr.write(
                f"airflow_aml: the record of this run cannot be written ({error}); "
                "the script goes on without it.\n"
            )

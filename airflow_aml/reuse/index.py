"""The index: all step records of a workspace, by fingerprint, in its own store.

It is append-only. What cannot be read is not there, and a sentence says so: a step then runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse import layout
from airflow_aml.reuse.records import DamagedRecord, NotARecord, StepRecord

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

Warn = Callable[[str], None]
"""Hears one sentence about something that was passed over."""

_MOST = 50
_REMOVE = "'airflow-aml gc' removes it."


def _silent(sentence: str) -> None:
    del sentence


class Index:
    """The records of one workspace.

    Args:
        home: the workspace.
    """

    def __init__(self, home: Home) -> None:
        self._store = home.store

    def add(self, record: StepRecord) -> None:
        """Adds a record; from here on its result may be reused.

        Raises:
            WorkspaceException: the store cannot be written.
        """
        path = layout.record(record.fingerprint, record.created, record.step_run_id)
        data = record.to_bytes()
        # Not durable: what a power cut does to it makes a miss of it, and never a wrong hit.
        self._store.create(path, data, durable=False)
        latest = layout.latest(record.dag_id, record.task_id, record.map_index)
        self._store.write(latest, data, durable=False)  # it only serves to give reasons

    def stands_for(self, record: StepRecord, dag_id: str, task_id: str) -> None:
        """A task that uses another's result, and has none of its own: it was renamed, perhaps.

        The reason of its next miss is told by that result.
        """
        path = layout.latest(dag_id, task_id, record.map_index)
        if not self._store.exists(path):
            self._store.create(path, record.to_bytes(), durable=False)

    def find(self, fingerprint: str, warn: Warn = _silent) -> Iterator[StepRecord]:
        """The records of that fingerprint, newest first, at most 50.

        Each is read when its turn comes. Truncated, foreign and later documents are left out, and
        ``warn`` hears of each; so it does when the store cannot be listed or read.
        """
        folder = layout.records(fingerprint)
        try:
            names = self._store.children(folder)
        except (AirflowAmlError, OSError) as error:
            warn(f"earlier results could not be listed: {_reason(error)}")
            return
        for name in names[: -_MOST - 1 : -1]:
            if name.endswith(".json"):
                record = self.read(folder + name, warn)
                if record is not None and record.fingerprint != fingerprint:
                    warn(f"the record {folder + name} is not about what its name says. {_REMOVE}")
                elif record is not None:
                    yield record

    def latest(
        self, dag_id: str, task_id: str, map_index: int = -1, warn: Warn = _silent
    ) -> StepRecord | None:
        """The record of that task's latest execution in any run; None if there is none."""
        return self.read(layout.latest(dag_id, task_id, map_index), warn)

    def read(self, path: str, warn: Warn = _silent) -> StepRecord | None:
        """The record in that document; None, and a warning, if it is not one that can be read."""
        try:
            return StepRecord.from_bytes(self._store.read(path))
        except FileNotFoundError:
            return None
        except NotARecord as error:
            what_to_do = f" {_REMOVE}" if isinstance(error, DamagedRecord) else ""
            warn(f"the record {path} is passed over: {error}{what_to_do}")
        except (AirflowAmlError, OSError) as error:
            warn(f"the record {path} could not be read: {_reason(error)}")
        return None

    def is_damaged(self, path: str) -> bool:
        """Whether the document at a record's place can be none of any release: nobody misses it.

        Raises:
            WorkspaceException: the store cannot be read.
        """
        try:
            record = StepRecord.from_bytes(self._store.read(path))
        except FileNotFoundError:
            return False
        except NotARecord as error:
            return isinstance(error, DamagedRecord)
        return not path.startswith(layout.records(record.fingerprint))


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if text.endswith(".") else f"{text}."

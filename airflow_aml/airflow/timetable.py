"""A ScheduleRecurrence as Airflow's timetable: Airflow's scheduler asks it for the next run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from airflow_aml.codec import decode, encode
from airflow_aml.definition.schedule_slots import Recurrence, next_run
from airflow_aml.definition.schedule_words import in_words

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime


class RecurrenceTimetable(Timetable):
    """Runs at the times of a recurrence, each run at its moment and not after an interval.

    Airflow asks anew whenever it has read the file, so a time that has just passed is still due for
    a while; an older one is left out, unless the DAG catches up.
    """

    def __init__(self, recurrence: Recurrence):
        self.recurrence = recurrence
        self.description = in_words(recurrence)

    @property
    def summary(self) -> str:
        """What Airflow's list of DAGs shows."""
        return self.description

    def serialize(self) -> dict[str, Any]:
        """The recurrence as JSON."""
        return {"recurrence": encode(self.recurrence)}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> RecurrenceTimetable:
        """The timetable of that JSON."""
        return cls(decode(Recurrence, data["recurrence"]))

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A run that is begun by hand is of its moment, too."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """The next run, or the one that is due just now."""
        last = last_automated_data_interval
        moment = next_run(
            self.recurrence,
            _plain(last and last.end),
            datetime.now(UTC),
            _plain(restriction.earliest),
            restriction.catchup,
        )
        if moment is None or (restriction.latest is not None and moment > restriction.latest):
            return None
        return DagRunInfo.exact(pendulum.instance(moment))


def _plain(moment: DateTime | None) -> datetime | None:
    # Pendulum's moments cannot be divided as Python's can.
    return datetime.fromisoformat(moment.isoformat()) if moment else None

"""The timetable of DAGs of which no run may begin: disabled published pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction
    from pendulum import DateTime


class RefusingTimetable(Timetable):
    """It never begins a run. A DAG that has it need not allow runs begun by hand, either.

    Airflow then refuses them when they are asked for, by the form and over REST.
    """

    description = "Disabled: no run of it begins."
    periodic = False

    @property
    def summary(self) -> str:
        """What Airflow's list of DAGs shows."""
        return "disabled"

    def serialize(self) -> dict[str, Any]:
        """There is nothing to keep."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> RefusingTimetable:
        """Another one."""
        return cls()

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Of a run that has begun before."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """None, ever."""
        return None


def refused() -> dict[str, Any]:
    """Options of a DAG of which no run may begin."""
    return {"schedule": RefusingTimetable(), "allowed_run_types": ["scheduled"]}

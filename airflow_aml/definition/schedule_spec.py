"""ScheduleSpec: a declared schedule as data, for the DAG's first task and the workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional

from airflow_aml.definition.schedule_slots import Recurrence
from airflow_aml.definition.spec import ParameterValue

ACTIVE, DISABLED = "Active", "Disabled"

NEVER = Recurrence("")
"""The recurrence of a schedule that does not go by time."""

MINUTES = 5.0
"""How often a folder is looked at, unless it is said: v1's default."""

QUIET_SECONDS = 2.0


@dataclass(frozen=True)
class DataChange:
    """What a schedule watches that runs when data changes.

    Attributes:
        datastore: its name; empty for the default one.
        path: the folder in it; empty for all of it.
        interval: seconds from look to look.
        parameter: the pipeline parameter that gets the changed path; empty: none does.
        per_file: each file has a run of its own.
        quiet: for so many seconds nothing of a file may have changed before it counts.
    """

    datastore: str
    path: str = ""
    interval: float = MINUTES * 60
    parameter: str = ""
    per_file: bool = False
    quiet: float = QUIET_SECONDS
    kind: str = "datastore"

    @property
    def is_ordinary(self) -> bool:
        """Whether it looks as often, and waits as long, as is usual."""
        return (self.interval, self.quiet) == (MINUTES * 60, QUIET_SECONDS)

    @property
    def words(self) -> str:
        """Like ``When files change in landing of datastore 'lake', looked at every 5 minutes``."""
        where = f"datastore {self.datastore!r}" if self.datastore else "the default datastore"
        place = f"{self.path} of {where}" if self.path else where
        minutes = self.interval / 60
        often = "minute" if minutes == 1 else f"{minutes:g} minutes"
        return f"When files change in {place}, looked at every {often}"


@dataclass(frozen=True)
class ScheduleSpec:
    """One schedule.

    Attributes:
        recurrence: when it starts runs; :data:`NEVER` where ``data`` does.
        parameters: values of the runs that it starts, with expressions as they were written.
        status: ``Active`` or ``Disabled``, as the file has it.
        dag_id: the DAG that it starts; empty while its file is being read.
        data: the folder whose changes start runs.
        endpoint: id or name of the endpoint whose default version it submits; else empty.
        pipeline: id of the published pipeline that it runs, if a program has made it; else empty.
        workspace: the name of the workspace that keeps it, if a program has made it; else empty.
    """

    id: str
    name: str
    experiment: str
    recurrence: Recurrence = NEVER
    description: str = ""
    parameters: Dict[str, ParameterValue] = field(default_factory=dict)
    continue_on_step_failure: Optional[bool] = None
    status: str = ACTIVE
    dag_id: str = ""
    data: Optional[DataChange] = None
    endpoint: str = ""
    pipeline: str = ""
    workspace: str = ""

    @property
    def submitted(self) -> str:
        """What the ids of the runs begin with that it submits, rather than being their DAG's."""
        return f"schedule-{self.id[:8]}__"

    def starts(self, dag_id: str, run_id: str) -> bool:
        """Whether it has started that run."""
        if self.endpoint:
            return run_id.startswith(self.submitted)
        own = ("scheduled__", "asset_triggered__", self.submitted)
        return dag_id == self.dag_id and run_id.startswith(own)

    @property
    def words(self) -> str:
        """When it starts runs, for people."""
        if self.data is not None:
            return self.data.words
        from airflow_aml.definition.schedule_words import in_words

        return in_words(self.recurrence)

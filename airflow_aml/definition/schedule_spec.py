"""ScheduleSpec: a declared schedule as data, for the DAG's first task and the workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional

from airflow_aml.definition.schedule_slots import Recurrence
from airflow_aml.definition.spec import ParameterValue

ACTIVE, DISABLED = "Active", "Disabled"


@dataclass(frozen=True)
class ScheduleSpec:
    """One schedule.

    Attributes:
        parameters: values of the runs that it starts, with expressions as they were written.
        status: ``Active`` or ``Disabled``, as the file has it.
        dag_id: the DAG that it starts; empty while its file is being read.
    """

    id: str
    name: str
    experiment: str
    recurrence: Recurrence
    description: str = ""
    parameters: Dict[str, ParameterValue] = field(default_factory=dict)
    continue_on_step_failure: Optional[bool] = None
    status: str = ACTIVE
    dag_id: str = ""

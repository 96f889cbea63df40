"""OnNewVersion: a pipeline runs when a dataset that a pipeline registers gets a new version."""

from __future__ import annotations

from typing import Optional, Tuple

from airflow_aml.definition.schedule_recurrence import ScheduleRecurrence
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import PipelineDefinitionError


class OnNewVersion:
    """What ``to_dag(schedule=...)`` takes: the pipeline runs when steps have registered a new
    version of each of these datasets since its last run; v1 has nothing like it.

    A step that is reused registers nothing, and so starts nothing.

    Example:
        >>> from airflow_aml import OnNewVersion
        >>> OnNewVersion("sales")
        OnNewVersion('sales')

    Args:
        names: of registered datasets, as ``register_on_complete(name)`` has them.
        recurrence: the pipeline runs at these times, too.

    Raises:
        PipelineDefinitionError: no name, a name that is no text, or a wrong recurrence.
    """

    def __init__(self, *names: str, recurrence: Optional[ScheduleRecurrence] = None):
        where = "OnNewVersion"
        if not names:
            raise PipelineDefinitionError("a dataset's name is required.", where=where)
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise PipelineDefinitionError(
                    f"a dataset's name is a text, not {name!r}.", where=where
                )
            check_text(name, where)
        if recurrence is not None and not isinstance(recurrence, ScheduleRecurrence):
            raise PipelineDefinitionError(
                f"recurrence= is a ScheduleRecurrence, not {recurrence!r}.", where=where
            )
        if recurrence is not None:
            recurrence.validate()
        self.names: Tuple[str, ...] = names
        self.recurrence = recurrence

    def __repr__(self) -> str:
        also = "" if self.recurrence is None else f", recurrence={self.recurrence!r}"
        return f"OnNewVersion({', '.join(map(repr, self.names))}{also})"

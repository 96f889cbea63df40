"""The reuse sensor: the first task of every run, which decides what of it has been done already.

It fixes parameters, source folders and inputs for the whole run, looks up earlier results, skips
every step that has one, and writes down why for each. Steps obey what it wrote, so a file edited
while the run goes on changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_aml.definition.setup import SetupAction
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.workspace.published import Frozen

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.definition.schedule_spec import ScheduleSpec


class ReuseSensor(BaseOperator):
    """Plans a run and skips the steps whose results are there. It is never deferred.

    Args:
        spec: the pipeline.
        folder: absolute path that the spec's relative paths start at.
        settings: what ``submit`` was given: ``experiment_name``, ``tags``...
        setup: what the file does before its runs: uploads, registrations.
        scheduled: the schedule that starts its runs.
        frozen: what a published pipeline goes by, instead of the folders below ``folder``.
    """

    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        spec: PipelineSpec,
        folder: str,
        settings: Mapping[str, Any] | None = None,
        setup: Sequence[SetupAction] = (),
        scheduled: ScheduleSpec | None = None,
        frozen: Frozen | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.setup = setup
        self.scheduled = scheduled
        self.frozen = frozen
        self.spec = spec
        self.folder = folder
        self.settings = dict(settings or {})

    def execute(self, context: Context) -> None:
        """Plans the run.

        Its ``return_value`` tells under which id the run is kept, how many steps are reused, and
        what that saves.

        Raises:
            AirflowFailException: parameters, source folders or inputs are not what they must be.
            DownstreamTasksSkipped: there are steps to skip; the task itself succeeds.
        """
        # A file that is only read needs nothing of what a run is planned with.
        from airflow_aml.airflow.planning import RunPlanning

        RunPlanning(self).execute(context)

"""The run of a script's process, and the pipeline run that it is part of.

Everything is read from the environment that the runtime gives a script (reference 2.8).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterator, List

from airflow_aml.definition.runs import process
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import ScriptRecord, SharedRecord, StoredRecord
from airflow_aml.runtime.hidden import note as note_read

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


class _PipelineRun(Run):
    """The pipeline run as one of its scripts sees it: what other steps recorded can be read."""

    def __init__(self, run_id: str):
        record = SharedRecord(ScriptRecord(process.record_folder(), run_id), self._stored)
        super().__init__(None, run_id, _record=record)

    def _stored(self) -> StoredRecord:
        # What other steps have logged is in no fingerprint, so this step's result is not for reuse.
        note_read("run", self.id, None, {"version": None, "id": self.id})
        return StoredRecord(self._home, self.id)

    @property
    def _home(self) -> Home:
        from airflow_aml.definition.homes import home_of

        return home_of(self.experiment.workspace)

    def get_steps(self) -> Iterator[Run]:
        """The runs of all of the pipeline's steps, this one's among them."""
        from airflow_aml.definition.runs.pipelinerun import PipelineRun

        self._stored()
        return PipelineRun(self.experiment, self.id).get_steps()

    def find_step_run(self, name: str) -> List[Run]:
        """The runs of the steps of that name."""
        return [step for step in self.get_steps() if step.name == name]

    def _children(self) -> Iterator[Run]:
        return self.get_steps()


def run_of_script(run_id: str) -> Run:
    """The run of this process."""
    root = os.environ.get(process.ROOT)
    parent = _PipelineRun(root) if root else None
    record = ScriptRecord(process.record_folder(), left=os.getcwd())
    return Run(None, run_id, _record=record, _parent=parent, _name=os.environ.get(process.STEP, ""))

"""The run of a script's process, and the pipeline run that it is part of.

Everything is read from the environment that the runtime gives a script (reference 2.8).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

from airflow_aml.definition.names import check_text
from airflow_aml.definition.runs import process
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import ScriptRecord, SharedRecord, StoredRecord
from airflow_aml.runtime.hidden import note_run
from airflow_aml.workspace.journal import properties_of

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


class _PipelineRun(Run):
    """The pipeline run as one of its scripts sees it: what other steps recorded can be read."""

    _is_pipelines = True

    def __init__(self, run_id: str, folder: str):
        self._own = ScriptRecord(folder, run_id)
        super().__init__(None, run_id, _record=SharedRecord(self._own, self._stored))

    def _stored(self) -> StoredRecord:
        # What other steps have logged is in no fingerprint, so this step's result is not for reuse.
        note_run(self.id)
        return self._kept()

    def _kept(self) -> StoredRecord:
        return StoredRecord(self._home, self.id)

    # Who only writes has not read: what is looked at here decides nothing but whether it fails.

    def _properties_so_far(self) -> Dict[str, str]:
        return properties_of(SharedRecord(self._own, self._kept).notes())

    def _names_for(self, name: str) -> List[str]:
        own = self._own.names()
        return own if name in own else self._names()

    @property
    def _home(self) -> Home:
        from airflow_aml.definition.homes import home_of

        return home_of(self.experiment.workspace)

    def get_status(self) -> str:
        """``Running``, as one of its scripts does; or what that script has ended it as."""
        ends = [str(note["end"]) for note in self._own.notes() if "end" in note]
        return ends[-1] if ends else "Running"

    def get_steps(self) -> Iterator[Run]:
        """The runs of all of the pipeline's steps, this one's among them."""
        from airflow_aml.definition.runs.pipelinerun import PipelineRun

        self._stored()
        return PipelineRun(self.experiment, self.id, _is_known=True).get_steps()

    def find_step_run(self, name: str) -> List[Run]:
        """The runs of the steps of that name.

        Raises:
            UserErrorException: it is no name.
        """
        check_text("find_step_run", "a step's name", name)
        return [step for step in self.get_steps() if step.name == name]

    def _children(self) -> Iterator[Run]:
        return self.get_steps()


def run_of_script(run_id: str) -> Run:
    """The run of this process."""
    above = _above(run_id)
    parent = _parent_of(run_id, above)
    whole = ScriptRecord(str(above["folder"]), run_id) if above else None
    record = ScriptRecord(process.record_folder(), left=os.getcwd(), whole=whole)
    return Run(None, run_id, _record=record, _parent=parent, _name=os.environ.get(process.STEP, ""))


def _above(run_id: str) -> Dict[str, Any]:
    """What a child run's script was told of the run that has submitted it; else nothing."""
    above: Dict[str, Any] = json.loads(os.environ.get(process.PARENT) or "{}")
    # Else it is a variable that was inherited from another run.
    return above if above.get("child") == run_id else {}


def _parent_of(run_id: str, above: Dict[str, Any]) -> Optional[Run]:
    """The pipeline run of a step's run; of a child run, the run whose script has submitted it."""
    root = os.environ.get(process.ROOT)
    if not above:  # a script that was submitted alone is its own root
        return _PipelineRun(root, process.record_folder()) if root and root != run_id else None
    folder, parent_id = str(above["folder"]), str(above["id"])
    return Run(
        None,
        parent_id,
        _record=ScriptRecord(folder, above.get("about")),
        _parent=_PipelineRun(root, folder) if root and root != parent_id else None,
        _name=str(above.get("name", "")),
        _record_folder=folder,
    )

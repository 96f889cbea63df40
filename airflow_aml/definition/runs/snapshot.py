"""The source folder that a run was made from (reference 1.1)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Optional

from airflow_aml.definition.runs.recorded import Recorded
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import layout

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.workspace.home import Home

SNAPSHOT_PROPERTY = "ContentSnapshotId"
_DIGEST = re.compile("[a-z0-9]+:[0-9a-f]+")


class Snapshots(Recorded):
    """The calls about a run's source folder."""

    if TYPE_CHECKING:

        @property
        def experiment(self) -> Experiment:
            """The run's."""

    def get_snapshot_id(self) -> str:
        """The digest of the source folder.

        Raises:
            UserErrorException: the run's steps have several, or it is not known.
        """
        from airflow_aml.workspace.journal import properties_of

        found = properties_of(self._notes()).get(SNAPSHOT_PROPERTY) or self._planned_snapshot()
        if not found:
            raise UserErrorException(f"no snapshot is known of {self!r}.")
        return found

    def restore_snapshot(
        self, snapshot_id: Optional[str] = None, path: Optional[str] = None
    ) -> str:
        """Copies the run's source folder into a folder, as a ZIP file, and returns its path.

        Args:
            snapshot_id: another one than the run's.
            path: the folder; the working directory when not given.

        Raises:
            UserErrorException: there is no such snapshot any more, or none is known.
        """
        from airflow_aml.definition.homes import home_of

        wanted = self.get_snapshot_id() if snapshot_id is None else snapshot_id
        target = os.path.join(path or os.curdir, f"{layout.file_name(str(wanted))}.zip")
        copy_snapshot(home_of(self.experiment.workspace), wanted, target)
        return target

    def _planned_snapshot(self) -> Optional[str]:
        """What the run's plan says, where its record says nothing."""
        return None


def planned_snapshot(home: Home, run_id: str, task_id: Optional[str] = None) -> Optional[str]:
    """The snapshot that a run's plan names for a step, or for all of its steps.

    Raises:
        UserErrorException: the steps have several.
    """
    from airflow_aml.workspace.plans import read_plan

    plan = read_plan(home, run_id)
    steps = plan.steps if plan is not None else {}
    found = {step.snapshot for name, step in steps.items() if task_id in (None, name)}
    if len(found) > 1:
        raise UserErrorException(
            f"the steps of run {run_id!r} have {len(found)} source folders.",
            hint="Ask one of its steps: run.find_step_run(name)[0].",
        )
    return found.pop() if found else None


def copy_snapshot(home: Home, snapshot_id: str, target: str) -> None:
    """Copies a snapshot's ZIP out of the workspace.

    Raises:
        UserErrorException: it is not there, that is no snapshot's id, or the target's folder
            cannot be made.
    """
    if not isinstance(snapshot_id, str) or not _DIGEST.fullmatch(snapshot_id):
        raise UserErrorException(
            f"{snapshot_id!r} is no snapshot's id.",
            hint="get_snapshot_id() of a step's run gives such a one: 'sha256:' and 64 digits.",
        )
    folder = os.path.dirname(os.path.abspath(target))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserErrorException(f"{folder!r} cannot be a folder: {error.strerror}.") from error
    try:
        home.store.download([(layout.snapshot(snapshot_id), target)], skip_same=False)
    except FileNotFoundError:
        raise UserErrorException(
            f"the workspace {home.url} has no snapshot {snapshot_id!r}.",
            hint="`airflow-aml gc` removes those that no run needs any more.",
        ) from None


def unpack_snapshot(home: Home, snapshot_id: str, folder: str) -> None:
    """Writes the files of a snapshot into a folder that is new or empty.

    Raises:
        UserErrorException: it is not there, or the folder holds something.
    """
    from tempfile import TemporaryDirectory

    from airflow_aml.workspace.unpack import extract

    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise UserErrorException(
            f"{folder!r} is there already.", hint="Name a folder that is new or empty."
        )
    with TemporaryDirectory() as scratch:
        copied = os.path.join(scratch, "snapshot.zip")
        copy_snapshot(home, snapshot_id, copied)
        extract(copied, folder)

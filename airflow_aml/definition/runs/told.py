"""What a run tells of itself, also in the script that it is of (reference 1.1)."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from airflow_aml.definition.runs import process
from airflow_aml.definition.runs.recorded import Recorded
from airflow_aml.errors import ActivityFailedException, UserErrorException
from airflow_aml.workspace.journal import STREAMS, Note

if TYPE_CHECKING:
    from airflow_aml.definition.runs.context import Run

_GOES_ON = ("NotStarted", "Queued", "Running")
_POLL = 0.5


class Told(Recorded):
    """The calls that tell how a run is, and that wait for its end."""

    if TYPE_CHECKING:
        id: str
        name: str
        parent: Optional[Run]
        _record_folder: str

        def get_status(self) -> str:
            """The run's."""

        def get_properties(self) -> Dict[str, str]:
            """The run's."""

        def _is_steps(self) -> bool: ...

    @property
    def display_name(self) -> str:
        """The run's name for people; it may be set."""
        calls = [note["call"] for note in self._notes() if "call" in note]
        return str(calls[-1]) if calls else self.name or self.id

    @display_name.setter
    def display_name(self, name: str) -> None:
        self._note({"call": str(name)})

    @property
    def description(self) -> str:
        """What people are told of the run; it may be set."""
        said = [note["describe"] for note in self._notes() if "describe" in note]
        return str(said[-1]) if said else ""

    @description.setter
    def description(self, text: str) -> None:
        self._note({"describe": str(text)})

    def get_portal_url(self) -> str:
        """Where the run above it is shown; without one, the folder of its record."""
        if self.parent is not None:
            return str(self.parent.get_portal_url())
        from pathlib import Path

        return Path(os.path.abspath(self._record_folder or process.record_folder())).as_uri()

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run; of one that failed, ``error`` says why."""
        status = self.get_status()
        return {
            "runId": self.id,
            "target": "local",
            "status": status,
            "properties": self.get_properties(),
            "logFiles": {name: name for name in self._names() if name in STREAMS},
            **self._error(status),
        }

    def get_details_with_logs(self) -> Dict[str, Any]:
        """What is known of the run, and the text of its logs by name."""
        return {**self.get_details(), "logFiles": self._logs()}

    def get_detailed_status(self) -> Dict[str, Any]:
        """The run's status; of one that failed, also why."""
        status = self.get_status()
        return {"status": status, "details": self._failure() if status == "Failed" else None}

    def get_all_logs(self, destination: Optional[str] = None) -> List[str]:
        """Writes all logs into a folder and returns the paths of the files.

        Args:
            destination: the folder; one that is called as the run's id by default.
        """
        paths = []
        for name, text in self._logs().items():
            path = os.path.join(destination or self.id, *name.split("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            paths.append(path)
        return paths

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> Any:
        """Waits until the run, or the one above it, has ended and returns its details.

        Raises:
            UserErrorException: it is the run of the script that asks.
            ActivityFailedException: the run failed and ``raise_on_error`` holds.
        """
        if self._is_steps():
            raise UserErrorException(
                f"run {self.id!r} does not end before this script, which cannot wait for it."
            )
        while self.get_status() in _GOES_ON:
            if self.parent is not None and self.parent.get_status() not in _GOES_ON:
                break  # nobody ended it, and nobody will
            time.sleep(_POLL)
        if show_output:
            sys.stdout.write(f"RunId: {self.id}\nRun Status: {self.get_status()}\n")
        if self.get_status() == "Failed" and raise_on_error:
            raise ActivityFailedException(f"Activity Failed: {self._failure()}")
        return self.get_details()

    def clean(self) -> None:
        """Does nothing: what a run leaves where it ran is removed when it ends."""

    def _logs(self) -> Dict[str, str]:
        """The text of each log by its name."""
        return {name: self._text(name) for name in self._names() if name in STREAMS}

    def _text(self, name: str) -> str:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            try:
                self._fetch(name, path)
            except FileNotFoundError:
                return ""
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()

    def _failure(self) -> str:
        """Which run failed, and why."""
        why = self._why()
        return f"run {self.id}: {why}" if why else f"run {self.id}"

    def _why(self) -> str:
        """Why it failed, as far as that is known."""
        return str(self._last_end().get("value") or "")

    def _error(self, status: str) -> Dict[str, Any]:
        """What v1's details say besides of a run that failed."""
        if status != "Failed":
            return {}
        code = str(self._last_end().get("code") or "UserError")
        return {"error": {"error": {"code": code, "message": self._why() or self._failure()}}}

    def _last_end(self) -> Note:
        return next((note for note in reversed(self._notes()) if "end" in note), {})

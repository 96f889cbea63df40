"""What is known of a run, in v1's documents, and the logs of its steps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, Dict, List, Optional

from airflow_aml.definition.runs.context import Run

_HISTORY = {"Finished": "Completed", "Bypassed": "Completed"}
"""v1 has two vocabularies: ``get_status`` of pipeline and step runs has one, ``Run.status`` the
other."""


class Details(Run, ABC):
    """A run as other programs than its script see it."""

    @property
    def status(self) -> str:
        """The run's status in the words of v1's run history: ``Completed`` for ``Finished``."""
        status = self.get_status()
        return _HISTORY.get(status, status)

    @abstractmethod
    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""

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

    @abstractmethod
    def _logs(self) -> Dict[str, str]:
        """The text of each log by its name."""

    def _failure(self) -> str:
        """Why it failed."""
        return f"run {self.id}"

"""What is known of a run, in v1's documents, and the logs of its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Dict

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

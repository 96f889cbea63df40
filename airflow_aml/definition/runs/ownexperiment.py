"""The experiment that a script runs in: whoever reuses the step asks again what it is called."""

from __future__ import annotations

from airflow_aml.definition.experiment import Experiment
from airflow_aml.runtime.hidden import EXPERIMENT, note


class OwnExperiment(Experiment):
    """``run.experiment``; that a script has asked for its name is noted."""

    @property
    def name(self) -> str:
        """The name, which belongs to the run and not to the step."""
        note(EXPERIMENT, "", None, {"id": self._name})
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

"""The software that a step really runs in, which may not be what its run was planned with."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_aml.reuse import environment

if TYPE_CHECKING:
    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.workspace.plans import PlannedStep


def with_own_software(run: StepRun, planned: PlannedStep) -> PlannedStep:
    """The step with the software of this worker, which may not be that of the sensor's."""
    if run.software is not None:
        return _contained(run, planned, run.software)
    if not planned.key.get("environment") or planned.lock:
        return planned
    interpreter = run.node.settings.environment.interpreter or sys.executable
    found = environment.of_interpreter(interpreter)
    if found.digest == planned.key["environment"]:
        return planned
    return replace(planned, key={**planned.key, "environment": environment.keep(found, run.home)})


def _contained(run: StepRun, planned: PlannedStep, found: environment.Environment) -> PlannedStep:
    """The step with its image, which may have come here after the run was planned."""
    if planned.lock:
        from airflow_aml.reuse.software import Lock

        found = found.with_packages(Lock.of_document(planned.lock).environment)
    if not planned.key or found.digest == planned.key["environment"]:
        return planned
    key = {**planned.key, "environment": environment.keep(found, run.home)}
    unknown = [each for each in key.pop("unknown", ()) if environment.UNKNOWN_IMAGE not in each]
    return replace(planned, key={**key, "unknown": unknown} if unknown else key)

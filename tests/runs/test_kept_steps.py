"""Why steps of a run were not begun."""

from __future__ import annotations

from airflow_aml.definition.runs.kept import why_kept
from airflow_aml.workspace.plans import PlannedStep, RunPlan
from airflow_aml.workspace.runs import StepResult


def test_what_keeps_a_step_from_starting() -> None:
    """The nearest failure above it, any failure of a run that stops then, or a cancelation."""
    order = {"load": (), "clean": ("load",), "train": ("clean",), "report": ()}
    planned = {name: PlannedStep("", upstream=upstream) for name, upstream in order.items()}
    stops = RunPlan("d", "r", "e", "w", steps=planned)
    goes_on = RunPlan("d", "r", "e", "w", steps=planned, continue_on_step_failure=True)
    begun = {"load": StepResult("load", "load it", "Failed", "no data")}
    steps = [begun.get(name) or StepResult(name, name, "NotStarted") for name in order]
    _, clean, train, report = steps

    for step in (clean, train, report):
        assert why_kept(step, steps, stops) == (
            "it was not started: 'load it' failed before, and the run does not continue on step "
            "failure"
        )
    for step in (clean, train):
        assert why_kept(step, steps, goes_on) == (
            "it was not started: it depends on 'load it', which failed"
        )
    assert why_kept(report, steps, goes_on) == ""  # it will be
    assert why_kept(clean, steps[1:], stops) == ""  # as nothing has failed
    assert why_kept(StepResult("x", "x", "Canceled"), steps, stops) == "the run was canceled"

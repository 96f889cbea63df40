"""Parameter expressions of schedules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_aml.airflow.scheduling import values
from airflow_aml.definition.schedule_expressions import Trigger, evaluate, is_expression
from airflow_aml.definition.schedule_slots import Recurrence
from airflow_aml.definition.schedule_spec import ScheduleSpec
from airflow_aml.definition.spec import ParameterSpec
from airflow_aml.errors import PipelineDefinitionError

SCHEDULED = datetime(2026, 11, 21, 23, 5, tzinfo=UTC)
STARTED = datetime(2026, 11, 21, 23, 5, 9, 120000, tzinfo=UTC)
TRIGGER = Trigger(SCHEDULED, STARTED, "scheduled__1", "airflow")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("@trigger().scheduledTime", "2026-11-21T23:05:00.0000000Z"),
        ("@trigger().startTime", "2026-11-21T23:05:09.1200000Z"),
        ("@utcNow('s')", "2026-11-21T23:05:09"),
        ("@runId()", "scheduled__1"),
        ("@createdBy()", "airflow"),
        ("@formatDateTime(addDays(utcNow(),-1),'yyyy-MM-dd')", "2026-11-20"),
        ("@addHours(trigger().scheduledTime, 2, 'yyyyMMdd HH:mm')", "20261122 01:05"),
        ("@addToTime('2026-01-31T00:00:00Z', 1, 'Month')", "2026-02-28T00:00:00.0000000Z"),
        ("@subtractFromTime('2026-01-31', 2, 'Week', 'd')", "01/17/2026"),
        ("@convertFromUtc(trigger().scheduledTime,'Tokyo Standard Time','g')", "11/22/2026 08:05"),
        ("@convertToUtc('2026-07-01T12:00:00','Europe/Berlin')", "2026-07-01T10:00:00.0000000Z"),
        (
            "@convertTimeZone('2026-07-01T12:00:00','Europe/Berlin','Asia/Tokyo','o')",
            "2026-07-01T19:00:00.0000000",
        ),
        ("@dayOfWeek(utcNow())", "6"),
        ("@dayOfMonth(utcNow())", "21"),
        ("@dayOfYear('2026-12-31')", "365"),
        ("@startOfMonth(utcNow(),'R')", "Sun, 01 Nov 2026 00:00:00 GMT"),
        ("@startOfHour('2026-01-01T10:20:30.5+02:00', 's')", "2026-01-01T08:00:00"),
        (
            "@formatDateTime(utcNow(), 'dddd dd MMM yy h:mm tt zzz ''at'' F')",
            "Saturday 21 Nov 26 11:05 PM +00:00 at 1",
        ),
    ],
)
def test_an_expression_is_worked_out(expression, text):
    """Functions, their nesting and .NET's formats come to what they come to in v1."""
    assert is_expression(expression)
    assert evaluate(expression, TRIGGER) == text


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("@concat('a','b')", "there is no concat()"),
        ("@addDays(utcNow())", "addDays() takes 2 values, not 1"),
        ("@addDays('soon', 1)", "'soon' is no moment"),
        ("@addDays(utcNow(), 99999999)", "date value out of range"),
        ("@formatDateTime(utcNow(),'q')", "there is no format 'q'"),
        ("@trigger().time", "trigger() has scheduledTime and startTime, not time"),
        ("@utcNow(", "it ends too early"),
        ("@utcNow() + 1", "nothing can follow at '+'"),
        ("@convertFromUtc(utcNow(),'Mars')", "Time zone is not a valid TimeZone enum: 'Mars'"),
        ("@addToTime(utcNow(), 1, 'eon')", "'eon' is no unit of time"),
        ("@dayOfYear(utcNow(), 'd')", "dayOfYear() takes fewer values"),
    ],
)
def test_an_expression_that_cannot_be_worked_out(expression, why):
    """What is wrong with an expression is told with the expression."""
    with pytest.raises(PipelineDefinitionError) as raised:
        evaluate(expression, TRIGGER)

    assert why in str(raised.value)
    assert "schedule expression: " in str(raised.value)


@pytest.mark.parametrize("text", ["@team", "me@example.com", "@", "", "utcNow()"])
def test_texts_that_are_no_expressions(text):
    """What does not look like a call is a text like any other."""
    assert not is_expression(text)


@dataclass
class Begun:
    """What Airflow tells a task of its run."""

    run_type: str
    conf: dict[str, Any] = field(default_factory=dict)
    run_id: str = "scheduled__1"
    logical_date: datetime = SCHEDULED
    run_after: datetime = SCHEDULED
    start_date: datetime = STARTED
    triggering_user_name: str | None = None


def test_a_schedules_values_are_those_of_its_own_runs():
    """A run that is begun by hand has the parameters' defaults; what conf says wins."""
    specs = [
        ParameterSpec("day", "string", "never"),
        ParameterSpec("number", "integer", 0),
        ParameterSpec("rate", "number", 0.5),
    ]
    given = {"day": "@utcNow('d')", "number": "@dayOfMonth(utcNow())", "rate": 0.25, "gone": 1}
    schedule = ScheduleSpec("id", "nightly", "sales", Recurrence("Day"), parameters=given)
    params = {each.name: each.default for each in specs}

    def of(run):
        return values(schedule, specs, {"dag_run": run, "params": params})

    assert of(Begun("scheduled")) == {"day": "11/21/2026", "number": 21, "rate": 0.25}
    assert of(Begun("backfill", {"rate": 0.5}))["rate"] == 0.5
    assert of(Begun("manual")) == params

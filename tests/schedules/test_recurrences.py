"""ScheduleRecurrence: what it takes, what it refuses, when it runs, and how it says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest

from airflow_aml import ScheduleRecurrence, TimeZone
from airflow_aml.definition.schedule_slots import following, next_run
from airflow_aml.definition.schedule_words import in_words
from airflow_aml.definition.schedule_zones import iana_name
from airflow_aml.errors import PipelineDefinitionError

NOON = datetime(2026, 3, 27, 12, tzinfo=UTC)  # a Friday; clocks are set forward on Sunday


def times(recurrence, count, after=NOON):
    """The next times, as texts of UTC's clock."""
    found = []
    for _ in range(count):
        after = following(recurrence.spec, after)
        found.append(f"{after:%a %d %b %H:%M}")
    return found


def test_v1s_own_examples_run_when_v1_says():
    """The examples of v1's reference run at the times that it gives for them."""
    months = ScheduleRecurrence("Month", 1, start_time="2019-11-01T09:00:00")
    hours = ScheduleRecurrence("Hour", 1, start_time="2020-01-13T12:55:00")
    days = ScheduleRecurrence("Day", 1, start_time="2026-01-01T00:00:00", time_of_day="15:30")
    weeks = ScheduleRecurrence(
        "Week",
        2,
        start_time="2026-03-16T00:00:00",
        week_days=["Monday", "Wednesday"],
        time_of_day="18:30",
    )

    assert times(months, 2) == ["Wed 01 Apr 09:00", "Fri 01 May 09:00"]
    assert times(hours, 2) == ["Fri 27 Mar 12:55", "Fri 27 Mar 13:55"]
    assert times(days, 2) == ["Fri 27 Mar 15:30", "Sat 28 Mar 15:30"]
    assert times(weeks, 3) == ["Mon 30 Mar 18:30", "Wed 01 Apr 18:30", "Mon 13 Apr 18:30"]


def test_clocks_that_are_set_forward_and_back():
    """A time that the clock leaves out is as much later, one that it shows twice is run once."""
    daily = ScheduleRecurrence(
        "Day", 1, "2026-01-01T00:00:00", "Europe/Berlin", hours=[2], minutes=[30]
    )
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)

    assert times(daily, 3) == ["Sat 28 Mar 01:30", "Sun 29 Mar 01:30", "Mon 30 Mar 00:30"]
    assert times(daily, 3, autumn) == ["Sun 25 Oct 00:30", "Mon 26 Oct 01:30", "Tue 27 Oct 01:30"]


def test_a_start_that_is_one_of_the_named_times_is_none():
    """As in v1 a start on a named time waits for the next one; a plain start is the first run."""
    named = ScheduleRecurrence("Week", 1, "2026-03-30T10:00:00", week_days=["Monday"], hours=[10])
    plain = ScheduleRecurrence("Week", 1, "2026-03-30T10:00:00")

    assert times(named, 1) == ["Mon 06 Apr 10:00"]
    assert times(plain, 2) == ["Mon 30 Mar 10:00", "Mon 06 Apr 10:00"]


def test_a_short_months_last_day_stands_in():
    """What starts on the 31st runs on the last day of shorter months, and on the 31st again."""
    monthly = ScheduleRecurrence("Month", 1, "2026-01-31T08:00:00")

    assert times(monthly, 3) == ["Tue 31 Mar 08:00", "Thu 30 Apr 08:00", "Sun 31 May 08:00"]


def test_without_a_start_the_first_run_is_at_once():
    """No start: the first run is now, and the others are counted from the one before."""
    spec = ScheduleRecurrence("Minute", 15).spec
    first = next_run(spec, None, NOON)

    assert first == NOON
    assert next_run(spec, first, NOON) == NOON + timedelta(minutes=15)
    assert next_run(spec, first, NOON + timedelta(hours=2)) == NOON + timedelta(hours=2)
    assert next_run(spec, None, NOON, earliest=NOON + timedelta(days=1)) == NOON + timedelta(days=1)


def test_a_start_that_has_passed_waits_for_the_next_time():
    """A start of years ago runs nothing at once, and nothing of what was since then."""
    spec = ScheduleRecurrence("Day", 1, "2020-01-01T06:00:00").spec

    assert next_run(spec, None, NOON) == datetime(2026, 3, 28, 6, tzinfo=UTC)
    assert next_run(spec, NOON - timedelta(days=30), NOON) == datetime(2026, 3, 28, 6, tzinfo=UTC)


def test_a_calendar_ends():
    """A time beyond the calendar is never."""
    rare = ScheduleRecurrence("Month", 120_000, "2026-01-31T08:00:00")

    assert following(rare.spec, NOON) is None
    assert next_run(rare.spec, None, NOON) is None


@pytest.mark.parametrize(
    ("recurrence", "words"),
    [
        (ScheduleRecurrence("Minute", 1), "Every minute"),
        (ScheduleRecurrence("Hour", 12), "Every 12 hours"),
        (ScheduleRecurrence("Day", 1, time_of_day="9:05"), "Every day at 09:05 (UTC)"),
        (
            ScheduleRecurrence("Day", 2, hours=[9, 17], minutes=[0, 30], time_zone="Asia/Tokyo"),
            "Every 2 days at 09:00, 09:30, 17:00 and 17:30 (Asia/Tokyo)",
        ),
        (
            ScheduleRecurrence("Week", 2, week_days=["Thursday", "Monday"], time_of_day="18:30"),
            "Every 2 weeks on Monday and Thursday at 18:30 (UTC)",
        ),
        (
            ScheduleRecurrence("Month", 1, datetime(2019, 11, 1, 9), TimeZone.GMTStandardTime),
            "Every month from 2019-11-01 09:00 (Europe/London)",
        ),
        (ScheduleRecurrence("Day", 1, hours=[9, 18]), "Every day in hour 9 and 18 (UTC)"),
        (
            ScheduleRecurrence("Day", 1, hours=[1, 2, 3], minutes=[0, 20, 40]),
            "Every day at minute 00, 20 and 40 of hour 1, 2 and 3 (UTC)",
        ),
    ],
)
def test_a_recurrence_in_words(recurrence, words):
    """What Airflow shows of a recurrence is a sentence."""
    assert in_words(recurrence.spec) == words
    assert words in repr(recurrence)


def test_every_zone_of_v1_is_one_of_iana():
    """All of v1's zones are known by member, by name and by Windows' name."""
    names = {iana_name(zone) for zone in TimeZone}

    assert len(list(TimeZone)) == 131
    assert names <= available_timezones()
    assert iana_name("E. South America Standard Time") == "America/Sao_Paulo"
    assert iana_name("SouthAfricaStandardTime") == iana_name(TimeZone.SouthAfricaStandardTime)
    assert iana_name("Europe/Oslo") == "Europe/Oslo"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frequency": "Year"}, "only one of Minute, Hour, Day, Week, or Month accepted, not 'Yea"),
        ({"interval": 0}, "Interval must be an integer greater than 0, not 0"),
        ({"interval": 1.5}, "Interval must be an integer greater than 0"),
        ({"interval": "2"}, "Interval must be an integer greater than 0"),
        ({"interval": True}, "Interval must be an integer greater than 0"),
        ({"hours": [25]}, "Hours must be between 0 and 23, in a list; not [25]"),
        ({"hours": 9}, "Hours must be between 0 and 23, in a list; not 9"),
        ({"minutes": [60]}, "Minutes must be between 0 and 59"),
        ({"minutes": ["5"]}, "Minutes must be between 0 and 59"),
        ({"frequency": "Hour", "hours": [1]}, "Can only specify hours if frequency is Week or Day"),
        ({"frequency": "Month", "minutes": [1]}, "Can only specify minutes if frequency is Week"),
        ({"week_days": ["Monday"]}, "Can only specify week days if frequency is Week"),
        ({"frequency": "Week", "week_days": ["Mon"]}, "Week days must be a list of str"),
        ({"frequency": "Week", "week_days": "Monday"}, "Week days must be a list of str"),
        ({"time_zone": "Mars/Olympus"}, "Time zone is not a valid TimeZone enum: 'Mars/Olympus'"),
        ({"time_zone": "EST"}, "Time zone is not a valid TimeZone enum: 'EST'"),
        ({"time_zone": "../../etc/passwd"}, "Time zone is not a valid TimeZone enum"),
        ({"time_zone": 7}, "Time zone is not a valid TimeZone enum: 7"),
        ({"start_time": "tomorrow"}, "start_time should be in the format YYYY-MM-DDThh:mm:ss"),
        ({"start_time": "2026-01-01T00:00:00+01:00"}, "Can not specify tzinfo for start_time"),
        ({"start_time": "0001-01-01T00:00:00"}, "start_time should be in this age"),
        ({"start_time": 12}, "start_time should be in the format"),
    ],
)
def test_what_is_wrong_is_said_in_v1s_words(given, message):
    """A wrong value is one error that names it, when the recurrence is used."""
    recurrence = ScheduleRecurrence(**{"frequency": "Day", "interval": 1, **given})

    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        recurrence.validate()
    assert isinstance(raised.value, PipelineDefinitionError)
    assert str(raised.value).count("ScheduleRecurrence") == 1 or "TimeZone" in message
    assert "invalid" in repr(recurrence)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"time_of_day": "25:00"}, "Time of day hour value must be between 0 and 23, not 25"),
        ({"time_of_day": "5:60"}, "Time of day minute value must be between 0 and 59, not 60"),
        ({"time_of_day": "noon"}, "time_of_day should be in the format hh:mm, not 'noon'"),
        ({"time_of_day": 12}, "time_of_day should be in the format hh:mm, not 12"),
        ({"time_of_day": "9:00", "hours": [9]}, "Can not specify time_of_day and hours or minutes"),
        (
            {"start_time": datetime(2026, 1, 1, tzinfo=UTC)},
            "Can not specify tzinfo for start_time, use time_zone instead",
        ),
    ],
)
def test_what_v1s_constructor_refuses(given, message):
    """What v1 refuses while the recurrence is made is refused there."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ScheduleRecurrence("Day", 1, **given)


def test_what_v1_takes_besides():
    """A whole float is an interval; what was made of a recurrence is what it was made of."""
    odd = ScheduleRecurrence("Week", 2.0, "2026-01-01 10:00", week_days=["Friday", "Friday"])
    again = ScheduleRecurrence.of_spec(odd.spec)

    assert odd.spec.interval == 2
    assert odd.time_zone is TimeZone.UTC
    assert again.spec == odd.spec

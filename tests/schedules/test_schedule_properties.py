"""Recurrences against an independent calculation: dateutil's, with zones of dateutil's, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dateutil import rrule, tz
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_aml.definition.schedule_slots import LATE, WEEK_DAYS, Recurrence, following, next_run

# Of each, how long it is looked at, and how long before that it may have started.
FREQUENCIES = {
    "Minute": (rrule.MINUTELY, timedelta(hours=3), timedelta(hours=9)),
    "Hour": (rrule.HOURLY, timedelta(days=2), timedelta(days=9)),
    "Day": (rrule.DAILY, timedelta(days=12), timedelta(days=40)),
    "Week": (rrule.WEEKLY, timedelta(days=100), timedelta(days=300)),
    "Month": (rrule.MONTHLY, timedelta(days=800), timedelta(days=900)),
}
# A day before clocks are set forward, and back; Lord Howe's by half an hour, Cairo's at midnight.
CHANGES = {
    "Europe/Berlin": (datetime(2026, 3, 28), datetime(2026, 10, 24)),
    "America/New_York": (datetime(2026, 3, 7), datetime(2026, 10, 31)),
    "Australia/Lord_Howe": (datetime(2026, 10, 3), datetime(2026, 4, 4)),
    "Africa/Cairo": (datetime(2026, 4, 23), datetime(2026, 10, 29)),
    "America/St_Johns": (datetime(2026, 3, 7), datetime(2026, 10, 31)),
    "UTC": (datetime(2026, 2, 28), datetime(2028, 2, 28)),
}


@st.composite
def recurrences(draw):
    """A recurrence, and a moment before the clocks of its zone are set to look at it from."""
    frequency = draw(st.sampled_from(sorted(FREQUENCIES)))
    zone = draw(st.sampled_from(sorted(CHANGES)))
    begin = draw(st.sampled_from(CHANGES[zone])) + timedelta(hours=draw(st.integers(12, 26)))
    _, looked_at, started = FREQUENCIES[frequency]
    minutes_before = st.integers(
        -looked_at // timedelta(minutes=2), started // timedelta(minutes=1)
    )
    before = timedelta(minutes=draw(minutes_before))
    hours, minutes, days = [], [], []
    if frequency in ("Day", "Week"):
        # Mostly of the hours in which clocks are set.
        hours = draw(st.lists(st.sampled_from([0, 1, 2, 3, 12, 23]), unique=True, max_size=4))
        minutes = draw(st.lists(st.sampled_from([0, 15, 30, 59]), unique=True, max_size=3))
    if frequency == "Week":
        days = draw(st.lists(st.sampled_from(WEEK_DAYS), unique=True, max_size=4))
    recurrence = Recurrence(
        frequency,
        draw(st.sampled_from([1, 1, 2, 3, 5, 7, 45])),
        (begin - before).replace(second=draw(st.sampled_from([0, 20]))).isoformat(),
        zone,
        tuple(sorted(hours)),
        tuple(sorted(minutes)),
        tuple(sorted(days, key=WEEK_DAYS.index)),
    )
    return recurrence, begin.replace(tzinfo=tz.gettz(zone)).astimezone(UTC)


def expected(recurrence, begin, end):
    """The times after ``begin`` and up to ``end``, by dateutil."""
    frequency = FREQUENCIES[recurrence.frequency][0]
    zone = tz.gettz(recurrence.time_zone)
    start = datetime.fromisoformat(recurrence.start)
    if recurrence.frequency in ("Minute", "Hour"):
        first = tz.resolve_imaginary(start.replace(tzinfo=zone)).astimezone(UTC)
        slots = rrule.rrule(frequency, first, recurrence.interval)
        return slots.between(begin, end + timedelta(microseconds=1))
    options = {}
    if recurrence.frequency == "Month":
        days = range(min(start.day, 28), start.day + 1)
        options = {"bymonthday": list(days), "bysetpos": -1}
        first = start.replace(day=1)
    elif recurrence.hours or recurrence.minutes or recurrence.week_days:
        first = start.replace(hour=0, minute=0, second=0)
        options = {
            "byhour": recurrence.hours or start.hour,
            "byminute": recurrence.minutes or start.minute,
            "bysecond": 0 if recurrence.hours or recurrence.minutes else start.second,
        }
        if recurrence.week_days:
            options["byweekday"] = [WEEK_DAYS.index(name) for name in recurrence.week_days]
    else:
        first = start
    margin = timedelta(days=3)
    rule = rrule.rrule(frequency, first, recurrence.interval, **options)
    around = rule.between(
        begin.replace(tzinfo=None) - margin, end.replace(tzinfo=None) + margin, inc=True
    )
    named = recurrence.hours or recurrence.minutes or recurrence.week_days
    local = [each for each in around if (each > start if named else each >= start)]
    moments = {tz.resolve_imaginary(each.replace(tzinfo=zone)).astimezone(UTC) for each in local}
    return sorted(each for each in moments if begin < each <= end)


@settings(max_examples=200)
@given(recurrences())
def test_the_times_are_those_of_an_independent_calculation(case):
    """Whatever the recurrence, its times around a change of the clocks are dateutil's."""
    recurrence, begin = case
    end = begin + FREQUENCIES[recurrence.frequency][1]

    found, moment = [], following(recurrence, begin)
    while moment <= end:
        found.append(moment)
        moment = following(recurrence, moment)

    assert found == expected(recurrence, begin, end)


@settings(max_examples=200)
@given(recurrences(), st.lists(st.integers(0, 50), min_size=1, max_size=5), st.booleans())
def test_a_scheduler_with_a_clock_starts_each_run_once(case, delays, ran_before):
    """Asked as Airflow asks it, late and again, a schedule has one run for each of its times."""
    recurrence, begin = case
    end = begin + FREQUENCIES[recurrence.frequency][1] / 2
    # What is due as the file is dropped into the folder is what it asks first.
    due = expected(recurrence, begin - LATE, begin)[-1:]
    last = due[0] if due and ran_before else None

    runs, clock, number = [], begin, 0
    while True:
        planned = next_run(recurrence, last, clock)
        if planned > end:
            break
        clock = max(clock, planned + timedelta(seconds=delays[number % len(delays)]))
        # The file is read again before the scheduler has come to it.
        assert next_run(recurrence, last, clock) == planned
        runs.append(planned)
        last, number = planned, number + 1

    times = expected(recurrence, begin, end)
    assert runs == (times if ran_before else due + times)


@settings(max_examples=100)
@given(recurrences(), st.integers(6, 3000))
def test_what_an_outage_has_missed_is_left_out(case, minutes):
    """After hours without Airflow at most the time of the last minutes is run, then the next."""
    recurrence, begin = case
    last = following(recurrence, begin)
    clock = last + timedelta(minutes=minutes)

    planned = next_run(recurrence, last, clock)

    late = [each for each in expected(recurrence, clock - LATE, clock) if each > last]
    assert planned == (late[-1] if late else following(recurrence, clock))


@settings(max_examples=100)
@given(recurrences(), st.lists(st.integers(-300, 300), min_size=1, max_size=20))
def test_a_clock_that_is_set_runs_no_time_twice(case, minutes):
    """Set back or forward between any two looks: each run is later than the last, and of a time."""
    recurrence, begin = case
    clock = following(recurrence, begin)
    runs = [clock]

    for change in minutes:
        clock += timedelta(minutes=change)
        planned = next_run(recurrence, runs[-1], clock)
        assert planned > runs[-1]
        if planned <= clock:
            runs.append(planned)

    assert {*runs} <= {*expected(recurrence, begin, runs[-1])}


@settings(max_examples=100)
@given(recurrences())
def test_catching_up_leaves_nothing_out(case):
    """With catch-up the run after the last one is that of the next time, however long ago."""
    recurrence, begin = case
    last = following(recurrence, begin)

    planned = next_run(recurrence, last, last + timedelta(days=4000), catch_up=True)

    assert planned == following(recurrence, last)

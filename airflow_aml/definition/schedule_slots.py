"""When a recurrence runs: pure functions of moments, no clock (reference 2.12).

Days, weeks and months are counted on the clock of the recurrence's time zone, minutes and hours as
they pass. A time that the clock leaves out, as it is set forward, is as much later; one that it
shows twice, as it is set back, counts the first time.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Iterator, Optional, Tuple

from airflow_aml.definition.schedule_zones import UTC_NAME, zone_of

WEEK_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FREQUENCIES = ("Minute", "Hour", "Day", "Week", "Month")

LATE = timedelta(minutes=5)
"""How late a run may begin: Airflow may be busy. What is missed by more is left out."""

_INSTANT = timedelta(microseconds=1)
_DAY = timedelta(days=1)
# No clock was ever set forward by more than a day.
_FURTHEST = timedelta(days=2)


@dataclass(frozen=True)
class Recurrence:
    """A checked ``ScheduleRecurrence``, as data.

    Attributes:
        start: of the zone's clock, ISO 8601; empty: the first run is at once, and the others are
            counted from the one before.
        time_zone: IANA's name.
    """

    frequency: str
    interval: int = 1
    start: str = ""
    time_zone: str = UTC_NAME
    hours: Tuple[int, ...] = ()
    minutes: Tuple[int, ...] = ()
    week_days: Tuple[str, ...] = ()

    @property
    def has_times(self) -> bool:
        """Whether it names times of a day, or days of a week."""
        return bool(self.hours or self.minutes or self.week_days)


def next_run(
    recurrence: Recurrence,
    last: Optional[datetime],
    now: datetime,
    earliest: Optional[datetime] = None,
    catch_up: bool = False,
) -> Optional[datetime]:
    """When the next run is due, which may be a moment ago; None: never again.

    Args:
        last: when the last run was due; None: there was none yet.
        earliest: no run before that.
        catch_up: also run what was missed.
    """
    if last is None and not recurrence.start:
        at_once = now.replace(microsecond=0)
        return earliest if earliest and (catch_up or earliest > now) else at_once
    after = last
    if not (catch_up and (last or earliest)):
        after = _later(last, now - LATE)
    if earliest:
        after = _later(after, earliest - _INSTANT)
    assert after is not None
    found = following(recurrence, after, last)
    while found and not catch_up and found <= now:
        later = following(recurrence, found, last)
        if later is None or later > now:
            break
        found = later
    return found


def following(
    recurrence: Recurrence, moment: datetime, last: Optional[datetime] = None
) -> Optional[datetime]:
    """The first time of a recurrence after a moment, UTC; None: the calendar ends before.

    Args:
        last: what times are counted from where the recurrence has no start; else ``moment``.
    """
    zone = zone_of(recurrence.time_zone)
    if recurrence.start:
        start = datetime.fromisoformat(recurrence.start)
    else:
        start = (last or moment).astimezone(zone).replace(tzinfo=None, fold=0)
    try:
        if recurrence.frequency in ("Minute", "Hour"):
            first = last if last and not recurrence.start else start.replace(tzinfo=zone)
            return _in_passing(recurrence, moment, first.astimezone(timezone.utc))
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        best: Optional[datetime] = None
        for slot in _on_the_clock(recurrence, start, max(start, local - _FURTHEST)):
            # Times that the clock leaves out come after some that are later on the clock.
            if best and slot >= best.astimezone(zone).replace(tzinfo=None):
                break
            passed = slot.replace(tzinfo=zone).astimezone(timezone.utc)
            if passed > moment and (best is None or passed < best):
                best = passed
    except OverflowError:
        return None
    return best


def _in_passing(recurrence: Recurrence, moment: datetime, first: datetime) -> datetime:
    unit = timedelta(hours=1) if recurrence.frequency == "Hour" else timedelta(minutes=1)
    step = recurrence.interval * unit
    return first + max(0, (moment - first) // step + 1) * step


def _on_the_clock(recurrence: Recurrence, start: datetime, begin: datetime) -> Iterator[datetime]:
    """The recurrence's times, ascending, as the zone's clock shows them; none before ``begin``."""
    if not recurrence.has_times:
        slots = _same_time(recurrence, start, begin)
    else:
        # A start that is one of these times is none itself, as v1 has it.
        slots = (each for each in _named_times(recurrence, start, begin) if each > start)
    return (each for each in slots if each >= begin)


def _same_time(recurrence: Recurrence, start: datetime, begin: datetime) -> Iterator[datetime]:
    if recurrence.frequency == "Month":
        apart = 12 * (begin.year - start.year) + begin.month - start.month
        number = max(0, apart // recurrence.interval)
        while True:
            yield months_later(start, number * recurrence.interval)
            number += 1
    step = recurrence.interval * (7 if recurrence.frequency == "Week" else 1) * _DAY
    slot = start + (begin - start) // step * step
    while True:
        yield slot
        slot += step


def months_later(start: datetime, months: int) -> datetime:
    """The same day of a later month, or the month's last where it is shorter."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > 9999:
        raise OverflowError
    return start.replace(
        year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1])
    )


def _named_times(recurrence: Recurrence, start: datetime, begin: datetime) -> Iterator[datetime]:
    hours = sorted(set(recurrence.hours)) or [start.hour]
    minutes = sorted(set(recurrence.minutes)) or [start.minute]
    times = [timedelta(hours=hour, minutes=minute) for hour in hours for minute in minutes]
    if not (recurrence.hours or recurrence.minutes):
        times = [timedelta(hours=start.hour, minutes=start.minute, seconds=start.second)]
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days, step = [0], recurrence.interval * _DAY
    if recurrence.frequency == "Week":
        names = recurrence.week_days or (WEEK_DAYS[start.weekday()],)
        days = sorted({WEEK_DAYS.index(name) for name in names})
        midnight -= start.weekday() * _DAY
        step *= 7
    block = midnight + (begin - midnight) // step * step
    while True:
        for day in days:
            for time in times:
                yield block + day * _DAY + time
        block += step


def _later(one: Optional[datetime], other: datetime) -> datetime:
    return max(one, other) if one else other

"""ScheduleRecurrence: how often a schedule runs, as an author says it (reference 1.3, 2.12)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, List, Optional, Tuple, Union

from airflow_aml.definition.schedule_slots import FREQUENCIES, WEEK_DAYS, Recurrence
from airflow_aml.definition.schedule_words import in_words
from airflow_aml.definition.schedule_zones import UTC_NAME, TimeZone, iana_name, zone_of
from airflow_aml.errors import PipelineDefinitionError

_TIME_OF_DAY = re.compile(r"^[0-9]{1,2}:[0-9]{2}$")
_YEARS = range(1970, 9990)


class ScheduleRecurrence:
    """How often a schedule runs, and from when on.

    Example:
        >>> from airflow_aml import ScheduleRecurrence
        >>> ScheduleRecurrence("Week", 2, week_days=["Monday"], time_of_day="18:30")
        ScheduleRecurrence('Every 2 weeks on Monday at 18:30 (UTC)')

    Args:
        frequency: ``Minute``, ``Hour``, ``Day``, ``Week`` or ``Month``.
        interval: every how many of them.
        start_time: without an offset, or such a text, ``YYYY-MM-DDThh:mm:ss``; where there is none
            the first run is at once.
        time_zone: that all times are of: a :class:`TimeZone`, or a zone's name in Windows or IANA's
            list; UTC by default.
        hours, minutes: of days and weeks.
        week_days: of weeks, in English.
        time_of_day: ``hh:mm``, in place of hours and minutes.

    Raises:
        PipelineDefinitionError: ``start_time`` has an offset, or ``time_of_day`` is no time. The
            rest is checked where the recurrence is used, as v1 does, and by :meth:`validate`.
    """

    def __init__(
        self,
        frequency: str,
        interval: int,
        start_time: Union[datetime, str, None] = None,
        time_zone: Union[TimeZone, str, None] = None,
        hours: Optional[List[int]] = None,
        minutes: Optional[List[int]] = None,
        week_days: Optional[List[str]] = None,
        time_of_day: Optional[str] = None,
    ):
        self.frequency = frequency
        self.interval = interval
        if isinstance(start_time, datetime):
            _refuse_offset(start_time)
            start_time = start_time.strftime("%Y-%m-%dT%H:%M:%S")
        self.start_time = start_time
        self.time_zone = TimeZone.UTC if start_time and time_zone is None else time_zone
        if time_of_day is not None:
            if hours is not None or minutes is not None:
                raise _wrong("Can not specify time_of_day and hours or minutes.")
            hours, minutes = _hour_and_minute(time_of_day)
        self.hours = hours
        self.minutes = minutes
        self.week_days = week_days

    def validate(self) -> None:
        """Checks everything.

        Raises:
            PipelineDefinitionError: the first thing that is wrong, in v1's words where it has some.
        """
        if self.frequency not in FREQUENCIES:
            raise _wrong(
                "Invalid value for frequency, only one of Minute, Hour, Day, Week, or Month "
                f"accepted, not {self.frequency!r}."
            )
        if not _is_count(self.interval):
            raise _wrong(f"Interval must be an integer greater than 0, not {self.interval!r}.")
        by_day = self.frequency in ("Day", "Week")
        if not by_day and self.hours is not None:
            raise _wrong("Can only specify hours if frequency is Week or Day.")
        if not by_day and self.minutes is not None:
            raise _wrong("Can only specify minutes if frequency is Week or Day.")
        if self.frequency != "Week" and self.week_days is not None:
            raise _wrong("Can only specify week days if frequency is Week.")
        _check_numbers("Hours", self.hours, 23)
        _check_numbers("Minutes", self.minutes, 59)
        if self.week_days is not None and not _are_week_days(self.week_days):
            raise _wrong(
                f"Week days must be a list of str, accepted values: {', '.join(WEEK_DAYS)}; "
                f"not {self.week_days!r}."
            )
        if self.time_zone is not None:
            iana_name(self.time_zone)
        if self.start_time is not None:
            _start(self.start_time)

    @property
    def spec(self) -> Recurrence:
        """The same as data.

        Raises:
            PipelineDefinitionError: something of it is wrong.
        """
        self.validate()
        zone = UTC_NAME if self.time_zone is None else iana_name(self.time_zone)
        zone_of(zone)
        return Recurrence(
            frequency=self.frequency,
            interval=int(self.interval),
            start="" if self.start_time is None else _start(self.start_time).isoformat(),
            time_zone=zone,
            hours=tuple(sorted(set(self.hours or ()))),
            minutes=tuple(sorted(set(self.minutes or ()))),
            week_days=tuple(name for name in WEEK_DAYS if name in (self.week_days or ())),
        )

    @staticmethod
    def of_spec(spec: Recurrence) -> ScheduleRecurrence:
        """What an author would have said."""
        return ScheduleRecurrence(
            spec.frequency,
            spec.interval,
            start_time=spec.start or None,
            time_zone=spec.time_zone,
            hours=list(spec.hours) or None,
            minutes=list(spec.minutes) or None,
            week_days=list(spec.week_days) or None,
        )

    def __repr__(self) -> str:
        try:
            return f"ScheduleRecurrence({in_words(self.spec)!r})"
        except PipelineDefinitionError:
            return f"ScheduleRecurrence({self.frequency!r}, {self.interval!r}, invalid)"


def _wrong(message: str) -> PipelineDefinitionError:
    return PipelineDefinitionError(message, where="ScheduleRecurrence")


def _refuse_offset(start: datetime) -> None:
    if start.tzinfo is not None:
        raise _wrong("Can not specify tzinfo for start_time, use time_zone instead.")


def _start(value: Any) -> datetime:
    try:
        start = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _wrong(
            f"start_time should be in the format YYYY-MM-DDThh:mm:ss, not {value!r}."
        ) from None
    _refuse_offset(start)
    if start.year not in _YEARS:
        raise _wrong(f"start_time should be in this age, not in the year {start.year}.")
    return start.replace(microsecond=0)


def _hour_and_minute(time_of_day: Any) -> Tuple[List[int], List[int]]:
    if not isinstance(time_of_day, str) or not _TIME_OF_DAY.match(time_of_day):
        raise _wrong(f"time_of_day should be in the format hh:mm, not {time_of_day!r}.")
    hour, minute = map(int, time_of_day.split(":"))
    if hour > 23:
        raise _wrong(f"Time of day hour value must be between 0 and 23, not {hour}.")
    if minute > 59:
        raise _wrong(f"Time of day minute value must be between 0 and 59, not {minute}.")
    return [hour], [minute]


def _is_count(value: Any) -> bool:
    # v1 takes 2.0, too.
    return type(value) in (int, float) and 1 <= value < 1e9 and value == int(value)


def _check_numbers(what: str, values: Any, most: int) -> None:
    if values is None:
        return
    right = isinstance(values, (list, tuple)) and all(
        type(value) is int and 0 <= value <= most for value in values
    )
    if not right:
        raise _wrong(f"{what} must be between 0 and {most}, in a list; not {values!r}.")


def _are_week_days(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(value in WEEK_DAYS for value in values)

"""A recurrence in words: what Airflow shows of it."""

from __future__ import annotations

from datetime import datetime
from typing import Sequence

from airflow_aml.definition.schedule_slots import WEEK_DAYS, Recurrence
from airflow_aml.definition.schedule_zones import UTC_NAME

_MOST_TIMES = 6


def in_words(recurrence: Recurrence) -> str:
    """Like ``Every 2 weeks on Monday and Thursday at 09:00 (Europe/Berlin)``."""
    unit = recurrence.frequency.lower()
    many = recurrence.interval > 1
    parts = [f"Every {recurrence.interval} {unit}s" if many else f"Every {unit}"]
    if recurrence.week_days:
        days = [name for name in WEEK_DAYS if name in recurrence.week_days]
        parts.append(f"on {_and(days)}")
    if recurrence.hours or recurrence.minutes:
        parts.append(_times(recurrence))
    if recurrence.start:
        start = datetime.fromisoformat(recurrence.start)
        text = start.isoformat(" ", "seconds" if start.second else "minutes")
        parts.append(f"{'after' if recurrence.has_times else 'from'} {text}")
    if recurrence.start or recurrence.has_times or recurrence.time_zone != UTC_NAME:
        parts.append(f"({recurrence.time_zone})")
    return " ".join(parts)


def _times(recurrence: Recurrence) -> str:
    hours, minutes = list(recurrence.hours), list(recurrence.minutes)
    if recurrence.start:
        start = datetime.fromisoformat(recurrence.start)
        hours, minutes = hours or [start.hour], minutes or [start.minute]
    if not minutes:
        return f"in hour {_and([str(hour) for hour in hours])}"
    if not hours:
        return f"at minute {_and([str(minute) for minute in minutes])}"
    times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
    if len(times) <= _MOST_TIMES:
        return f"at {_and(times)}"
    passed = _and([f"{minute:02}" for minute in minutes])
    return f"at minute {passed} of hour {_and([str(hour) for hour in hours])}"


def _and(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"

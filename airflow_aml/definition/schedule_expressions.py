"""Parameter expressions of schedules: ``@formatDateTime(trigger().scheduledTime, 'yyyy-MM-dd')``.

v1 takes them from Azure Data Factory (reference 2.12). Only those are here that give a moment, a
part of one, or a name; what does not look like a call is a text like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, Tuple

from airflow_aml.definition.schedule_formats import format_moment
from airflow_aml.definition.schedule_zones import iana_name, zone_of
from airflow_aml.errors import PipelineDefinitionError

_CALL = re.compile(r"^@[A-Za-z]\w*\s*\(")
_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z]\w*)|(.))")
_MOMENT = re.compile(
    r"^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,7}))?)?(Z|[+-]\d\d:\d\d)?$"
)
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


@dataclass(frozen=True)
class Trigger:
    """What expressions ask of the run that they are worked out for; moments are UTC."""

    scheduled: datetime
    started: datetime
    run_id: str
    created_by: str


def is_expression(value: Any) -> bool:
    """Whether a parameter's value is to be worked out for each run."""
    return isinstance(value, str) and bool(_CALL.match(value))


def check_expression(text: str) -> None:
    """Works it out for some run.

    Raises:
        PipelineDefinitionError: that cannot be done; the text says why.
    """
    moment = datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc)
    evaluate(text, Trigger(moment, moment, "", ""))


def evaluate(text: str, trigger: Trigger) -> str:
    """What an expression comes to, as text.

    Raises:
        PipelineDefinitionError: it is none.
    """
    try:
        tokens = [match for match in _TOKEN.finditer(text[1:].rstrip()) if match.group().strip()]
        value = _Reader(tokens, trigger).whole()
    except (ValueError, OverflowError, TypeError, LookupError) as error:
        raise PipelineDefinitionError(
            f"{text!r} cannot be worked out: {str(getattr(error, 'message', error)).rstrip('.')}.",
            where="schedule expression",
        ) from error
    return format_moment(value) if isinstance(value, datetime) else str(value)


class _Reader:
    """Reads and works out, from left to right."""

    def __init__(self, tokens: List[Any], trigger: Trigger):
        self._tokens = tokens
        self._trigger = trigger

    def whole(self) -> Any:
        value = self._value()
        if self._tokens:
            raise ValueError(f"nothing can follow at {self._tokens[0].group().strip()!r}")
        return value

    def _value(self) -> Any:
        token = self._next()
        if token.group("text"):
            return token.group("text")[1:-1].replace("''", "'")
        if token.group("number"):
            return int(token.group("number"))
        name = token.group("name")
        if not name:
            raise ValueError(f"{token.group().strip()!r} is no value")
        self._expect("(")
        arguments = self._arguments()
        if name.lower() == "trigger":
            return self._of_trigger(arguments)
        return _call(name, arguments, self._trigger)

    def _arguments(self) -> List[Any]:
        values: List[Any] = []
        while self._tokens and self._tokens[0].group().strip() != ")":
            if values:
                self._expect(",")
            values.append(self._value())
        self._expect(")")
        return values

    def _of_trigger(self, arguments: List[Any]) -> datetime:
        self._expect(".")
        part = self._next().group().strip()
        known = {"scheduledtime": self._trigger.scheduled, "starttime": self._trigger.started}
        if arguments or part.lower() not in known:
            raise ValueError(f"trigger() has scheduledTime and startTime, not {part}")
        return known[part.lower()]

    def _expect(self, sign: str) -> None:
        found = self._next().group().strip()
        if found != sign:
            raise ValueError(f"{sign!r} is expected, not {found!r}")

    def _next(self) -> Any:
        if not self._tokens:
            raise ValueError("it ends too early")
        return self._tokens.pop(0)


def _call(name: str, arguments: List[Any], trigger: Trigger) -> Any:
    if name.lower() in ("utcnow", "createdby", "runid"):
        known = {"utcnow": trigger.started, "createdby": trigger.created_by}
        return _formatted(name, known.get(name.lower(), trigger.run_id), arguments)
    if name.lower() not in _FUNCTIONS:
        names = ", ".join(sorted(shown for shown, _, _ in _FUNCTIONS.values()))
        raise ValueError(
            f"there is no {name}(); there are createdBy, runId, trigger, utcNow, {names}"
        )
    shown, count, function = _FUNCTIONS[name.lower()]
    if len(arguments) < count:
        raise ValueError(f"{shown}() takes {count} values, not {len(arguments)}")
    return _formatted(shown, function(*arguments[:count]), arguments[count:])


def _formatted(name: str, value: Any, rest: List[Any]) -> Any:
    if not rest:
        return value
    if len(rest) > 1 or not isinstance(value, datetime):
        raise ValueError(f"{name}() takes fewer values")
    return format_moment(value, str(rest[0]))


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    match = _MOMENT.match(str(value))
    if not match:
        raise ValueError(f"{value!r} is no moment")
    day, time, fraction, offset = match.groups()
    moment = datetime.fromisoformat(f"{day}T{time or '00:00'}")
    moment = moment.replace(microsecond=int((fraction or "0").ljust(7, "0")[:6]))
    if offset in (None, "Z"):
        return moment.replace(tzinfo=timezone.utc) if offset else moment
    sign = -1 if offset[0] == "-" else 1
    ahead = sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
    return (moment - ahead).replace(tzinfo=timezone.utc)


def _adder(seconds: int) -> Callable[[Any, Any], datetime]:
    return lambda moment, count: _moment(moment) + timedelta(seconds=int(count) * seconds)


def _moved(sign: int, moment: Any, count: Any, unit: Any) -> datetime:
    found = _moment(moment)
    name = str(unit).lower()
    if name in _UNITS:
        return found + timedelta(seconds=sign * int(count) * _UNITS[name])
    if name not in ("month", "year"):
        raise ValueError(f"{unit!r} is no unit of time")
    from airflow_aml.definition.schedule_slots import months_later

    return months_later(found, sign * int(count) * (12 if name == "year" else 1))


def _converted(moment: Any, source: Any, target: Any) -> datetime:
    found, there = _moment(moment), iana_name(target)
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone_of(iana_name(source)))
    found = found.astimezone(zone_of(there))
    return found if there == "UTC" else found.replace(tzinfo=None)


def _start_of_hour(moment: Any) -> datetime:
    return _moment(moment).replace(microsecond=0, second=0, minute=0)


def _start_of_day(moment: Any) -> datetime:
    return _start_of_hour(moment).replace(hour=0)


def _functions() -> Dict[str, Tuple[str, int, Callable[..., Any]]]:
    known: List[Tuple[str, int, Callable[..., Any]]] = [
        ("addDays", 2, _adder(86400)),
        ("addHours", 2, _adder(3600)),
        ("addMinutes", 2, _adder(60)),
        ("addSeconds", 2, _adder(1)),
        ("addToTime", 3, lambda *given: _moved(1, *given)),
        ("subtractFromTime", 3, lambda *given: _moved(-1, *given)),
        ("convertFromUtc", 2, lambda moment, zone: _converted(moment, "UTC", zone)),
        ("convertToUtc", 2, lambda moment, zone: _converted(moment, zone, "UTC")),
        ("convertTimeZone", 3, _converted),
        ("dayOfMonth", 1, lambda moment: _moment(moment).day),
        ("dayOfWeek", 1, lambda moment: _moment(moment).isoweekday() % 7),
        ("dayOfYear", 1, lambda moment: _moment(moment).timetuple().tm_yday),
        ("startOfDay", 1, _start_of_day),
        ("startOfHour", 1, _start_of_hour),
        ("startOfMonth", 1, lambda moment: _start_of_day(moment).replace(day=1)),
        ("formatDateTime", 2, lambda moment, form: format_moment(_moment(moment), str(form))),
    ]
    return {name.lower(): (name, count, function) for name, count, function in known}


_FUNCTIONS = _functions()

"""Moments as texts in .NET's formats, which v1's schedule expressions use."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from airflow_aml.definition.schedule_slots import WEEK_DAYS

_ROUND_TRIP = "yyyy-MM-ddTHH:mm:ss.fffffffK"
_STANDARD = {
    "o": _ROUND_TRIP,
    "s": "yyyy-MM-ddTHH:mm:ss",
    "u": "yyyy-MM-dd HH:mm:ss'Z'",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "d": "MM/dd/yyyy",
    "D": "dddd, dd MMMM yyyy",
    "t": "HH:mm",
    "T": "HH:mm:ss",
    "g": "MM/dd/yyyy HH:mm",
    "G": "MM/dd/yyyy HH:mm:ss",
    "Y": "yyyy MMMM",
    "M": "MMMM dd",
}
_ALIKE = {"O": "o", "R": "r", "y": "Y", "m": "M"}
_PART = re.compile(r"'([^']*)'|\"([^\"]*)\"|\\(.)|(y+|M+|d+|H+|h+|m+|s+|f+|F+|t+|z+|K)|(.)", re.S)
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def format_moment(moment: datetime, form: str = "o") -> str:
    """The moment in that format, English; what is no part of a format stands as it is.

    Raises:
        ValueError: a format of one letter that .NET does not have.
    """
    if len(form) == 1:
        letter = _ALIKE.get(form, form)
        if letter not in _STANDARD:
            raise ValueError(f"there is no format {form!r}")
        form = _STANDARD[letter]
    return "".join(_written(moment, match) for match in _PART.finditer(form))


def _written(moment: datetime, match: re.Match[str]) -> str:
    part = match.group(4)
    if part is None:
        return next(text for text in match.groups() if text is not None)
    count, kind = len(part), part[0]
    if kind in "Md" and count > 2:
        name = _MONTHS[moment.month - 1] if kind == "M" else WEEK_DAYS[moment.weekday()]
        return name if count > 3 else name[:3]
    if kind in "fFt":
        digits = f"{moment.microsecond:06}0"[:count]
        half = ("AM" if moment.hour < 12 else "PM")[:count]
        return {"f": digits, "F": digits.rstrip("0"), "t": half}[kind]
    if kind in "zK":
        return _offset(moment, kind, count)
    numbers = {
        "y": moment.year % 100 if count < 3 else moment.year,
        "M": moment.month,
        "d": moment.day,
        "H": moment.hour,
        "h": moment.hour % 12 or 12,
        "m": moment.minute,
        "s": moment.second,
    }
    return f"{numbers[kind]:0{count if kind == 'y' else min(count, 2)}}"


def _offset(moment: datetime, kind: str, count: int) -> str:
    offset = moment.utcoffset()
    if kind == "K" and not offset:
        return "" if offset is None else "Z"
    minutes = (offset or timedelta()) // timedelta(minutes=1)
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    if kind == "z" and count < 3:
        return f"{sign}{hours:0{count}}"
    return f"{sign}{hours:02}:{rest:02}"

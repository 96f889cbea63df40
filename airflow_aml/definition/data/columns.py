"""Column types: inferred from texts as v1 infers them, or set by the author.

v1 looks at the first rows of the first file and knows bool, long, float, datetime and string; a
later value that does not fit its column becomes a missing one (``on_error="null"``).
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Dict, List, Mapping, Optional, Sequence

from airflow_aml.errors import UserErrorException

SAMPLE_ROWS = 200

_BOOL = {"true": True, "false": False}
_LONG = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z|[+-]?(inf|nan)\Z", re.ASCII | re.I)
_DIGITS = re.compile(r"\d")

# Tried in this order: what a text means must not depend on the machine's language.
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%b-%Y", "%d %b %Y")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_ISO = tuple(
    f"%Y-%m-%d{mark}{time}{zone}"
    for mark in ("T", " ")
    for time in ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M")
    for zone in ("", "%z")
)
_FORMATS = (*_ISO, *(day + time for day in _DAYS for time in _TIMES))


def pandas() -> Any:
    """The pandas of this interpreter.

    Raises:
        UserErrorException: it is not installed here.
    """
    return _package("pandas", "reading tables needs pandas in the interpreter that reads them")


def _package(name: str, reason: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserErrorException(f"{reason}: {error}.", hint=f"pip install {name}") from error


def inferred_type(values: Sequence[Optional[str]]) -> Dict[str, Any]:
    """The type document of a column, from texts of its first rows; missing ones do not count."""
    texts = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    if not texts:
        return {"type": "string"}
    if all(text.lower() in _BOOL for text in texts):
        return {"type": "bool"}
    if all(_LONG.match(text) for text in texts):
        return {"type": "long"}
    if all(_FLOAT.match(text) for text in texts):
        return {"type": "float"}
    fitting = _date_format(texts)
    return {"type": "datetime", "formats": [fitting]} if fitting else {"type": "string"}


def _date_format(texts: List[str]) -> Optional[str]:
    if not all(6 <= len(text) <= 40 and _DIGITS.search(text) for text in texts):
        return None
    for fitting in _FORMATS:
        if all(_fits(text, fitting) for text in texts):
            return fitting
    return None


def _fits(text: str, fitting: str) -> bool:
    from datetime import datetime

    try:
        datetime.strptime(text, fitting)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def convert(series: Any, kind: Mapping[str, Any], on_error: str, where: str) -> Any:
    """A column as that type.

    Args:
        series: a pandas Series, of texts or of what a file format gave.
        on_error: ``null`` makes values that do not fit missing ones, ``fail`` raises.

    Raises:
        UserErrorException: ``fail``, and a value does not fit.
    """
    converted = _CONVERTERS[str(kind["type"])](series, kind)
    if on_error == "fail":
        lost = converted.isna() & series.notna() & (series.astype("object") != "")
        if lost.any():
            raise UserErrorException(
                f"{series[lost].iloc[0]!r} in column {series.name!r} is not a {kind['type']}.",
                where=where,
                hint="on_error='null' makes such values missing ones.",
            )
    return converted


def _to_string(series: Any, kind: Mapping[str, Any]) -> Any:
    return series.astype("object").where(series.isna(), series.astype(str))


def _to_long(series: Any, kind: Mapping[str, Any]) -> Any:
    numbers = pandas().to_numeric(_stripped(series), errors="coerce")
    if numbers.dtype.kind == "i":
        return numbers
    # A number outside of 64 bits would turn into another one.
    fits = (numbers % 1 == 0) & (numbers >= -(2**63)) & (numbers < 2**63)
    return numbers.astype("int64") if fits.all() else numbers.where(fits)


def _to_float(series: Any, kind: Mapping[str, Any]) -> Any:
    texts = _stripped(series)
    if kind.get("decimal_mark") == ",":
        texts = texts.astype("object").where(
            texts.isna(),
            texts.astype(str).str.replace(".", "", regex=False).str.replace(",", ".", regex=False),
        )
    return pandas().to_numeric(texts, errors="coerce").astype("float64")


def _to_bool(series: Any, kind: Mapping[str, Any]) -> Any:
    if series.dtype.kind == "b":
        return series
    known = {**_BOOL, "1": True, "0": False, "1.0": True, "0.0": False}
    values = series.astype(str).str.strip().str.lower().map(known).astype("object")
    missing = values.isna()
    return values.astype("bool") if not missing.any() else values.where(~missing, None)


def _to_datetime(series: Any, kind: Mapping[str, Any]) -> Any:
    pd = pandas()
    if series.dtype.kind == "M":
        return series
    result = None
    for fitting in kind.get("formats") or (None,):
        values = _moments(pd, _stripped(series), fitting)
        result = values if result is None else result.fillna(values)
    return result


def _moments(pd: Any, texts: Any, fitting: Optional[str]) -> Any:
    if fitting is None:
        return pd.to_datetime(texts, errors="coerce")
    zoned = "%z" in fitting
    return pd.to_datetime(texts, format=fitting, errors="coerce", utc=True if zoned else None)


def _stripped(series: Any) -> Any:
    if series.dtype.kind in "iufbM":
        return series
    return series.astype("object").map(lambda each: each.strip() if isinstance(each, str) else each)


_CONVERTERS = {
    "string": _to_string,
    "long": _to_long,
    "float": _to_float,
    "bool": _to_bool,
    "datetime": _to_datetime,
}
